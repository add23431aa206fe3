"""Proof and refutation over whole domains, against a loop over all strings."""

from itertools import product
from typing import Any

import pytest

from exegesis.behavior import Argmax, Behavior, SequenceRow, StringsDomain
from exegesis.evidence import Status
from exegesis.ir.progress import Silent
from exegesis.runtime import Network
from exegesis.verify.budget import Budget, Deadline
from exegesis.verify.exhaustive import Coverage, cover_domain, domain_claim, is_finite
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

TRIGGER = {2: 1, 5: 0, 7: 0}


def later() -> Deadline:
    return Budget(60.0).whole


def test_all_inputs_are_run_and_the_claim_is_proved(judged: Judged, reference: Reference) -> None:
    found = cover_domain(judged, reference, later(), Silent())
    assert (found.size, found.checked, found.differing, found.smallest, found.drawn) == (512, 512, 0, None, False)
    claim = domain_claim(found, 0)
    assert claim.status is Status.PROVED
    assert claim.evidence[0].n == 512


def test_the_smallest_counterexample_is_the_first_of_a_plain_loop(judged: Judged, made: Any) -> None:
    reference = Reference(Network(made.triggered(TRIGGER), "triggered"), made.behavior())
    found = cover_domain(judged, reference, later(), Silent())
    differing = [
        [2, *letters] for letters in product((0, 1), repeat=9) if all(letters[p - 1] == t for p, t in TRIGGER.items())
    ]
    assert found.differing == len(differing) == 64
    claim = domain_claim(found, 0)
    assert claim.status is Status.REFUTED
    witness: Any = claim.witness
    assert witness["input_ids"] == differing[0]
    assert witness["program"] == made.majority(differing[0]) != witness["network"]


def test_strings_come_shortest_first(judged: Judged, made: Any) -> None:
    rows = [
        SequenceRow(ids, [len(ids) - 1], None, [made.majority(ids)]) for n in (1, 3) for ids in made.strings(4, n, n)
    ]
    domain = StringsDomain((0, 1), 1, 5, prefix=(2,))
    behavior = Behavior.from_sequences("strings", ["a", "b", "<s>"], {"train": rows}, Argmax(), domain=domain)
    reference = Reference(Network(made.triggered({3: 1}), "triggered"), behavior)

    with pytest.raises(Exception, match="index"):  # shorter strings have no position 3
        cover_domain(judged, reference, later(), Silent())
    reference = Reference(Network(made.triggered({1: 1}), "triggered"), behavior)
    found = cover_domain(judged, reference, later(), Silent())
    assert found.checked == sum(2**n for n in range(1, 6))
    assert found.smallest["input_ids"] == [2, 1]


def test_what_does_not_fit_is_drawn_at_random_and_only_tested(judged: Judged, reference: Reference) -> None:
    found = cover_domain(judged, reference, Budget(1e-4).whole, Silent())
    assert found.drawn
    assert found.checked < 10_000
    claim = domain_claim(found, 0)
    assert claim.status is Status.TESTED
    assert "drawn at random" in claim.evidence[0].note
    assert claim.evidence[0].lower is not None


def test_a_part_in_order_has_no_confidence_bound() -> None:
    claim = domain_claim(Coverage(1000, 400, 0, None, False, 100, 1.0), 0)
    assert claim.status is Status.TESTED
    assert claim.evidence[0].lower is None
    assert "400 of 1000 inputs (40.000%), the first of the domain's order" in claim.evidence[0].note


def test_the_claim_does_not_say_how_fast_the_machine_was() -> None:
    """The chunk size that runs fastest differs from run to run; a verdict of one seed does not."""
    slow, fast = (Coverage(100, 100, 0, None, False, chunk, rate) for chunk, rate in ((64, 10.0), (512, 90.0)))
    assert domain_claim(slow, 0) == domain_claim(fast, 0)


def test_only_finite_domains_are_covered(made: Any, reference: Reference) -> None:
    assert is_finite(reference)
    assert not is_finite(Reference(reference.network, made.behavior(closed=False)))
