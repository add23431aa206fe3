"""Ablations of the counting network, whose used and unused parts are known, against hooks and against claims."""

from typing import Any

import numpy as np
import pytest
import torch

from exegesis.evidence import Bound, Status
from exegesis.ir.progress import Silent
from exegesis.runtime import Network
from exegesis.verify.ablation import BREAKS, EQUAL, MEAN, RESAMPLE, SURVIVES, Ablation, Ablations
from exegesis.verify.budget import Budget
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged


def measured(program: Any, reference: Reference, survives: Bound = SURVIVES, breaks: Bound = BREAKS) -> Ablation:
    ablations = Ablations(Judged(program), reference, "test", survives, breaks)
    ablations.run(Budget(60.0).whole, Silent())
    return ablations.concluded()


def test_what_is_unused_can_go_and_what_is_used_cannot(made: Any, reference: Reference) -> None:
    found = measured(made.program(), reference)
    assert found.unused == 1
    assert {found.sufficiency[name].value for name in (RESAMPLE, MEAN, EQUAL)} == {1.0}
    assert found.necessity[RESAMPLE].value == 1.0
    assert found.necessity[RESAMPLE].null_value == 0.0
    assert found.sufficiency[MEAN].null_value is not None
    assert found.sufficiency[MEAN].null_value < 1.0  # a random part is the one that counts half of the time
    assert [c.status for c in found.claims] == [Status.TESTED, Status.TESTED]
    assert "head 1" in found.claims[0].statement
    assert "head 0" not in found.claims[0].statement


def test_the_mean_breaks_what_a_hook_with_the_mean_breaks(made: Any, reference: Reference) -> None:
    """Over all strings of the split, the share of answers that stay when the counting head is averaged."""
    module = reference.network.module
    ids = torch.from_numpy(np.unique(reference.behavior.sequences("test").gather(np.arange(200)).input_ids, axis=0))
    stored: list[torch.Tensor] = []
    handle = module.out.register_forward_pre_hook(lambda m, args: stored.append(args[0]))
    clean = module(ids)[:, -1].argmax(-1)
    handle.remove()
    mixed = stored[0].clone()
    mixed[..., :4] = stored[0].mean(0)[..., :4]
    handle = module.out.register_forward_pre_hook(lambda m, args: (mixed,))
    broken = float((module(ids)[:, -1].argmax(-1) != clean).float().mean())
    handle.remove()
    found = measured(made.program(), reference).necessity[MEAN]
    assert found.value == pytest.approx(broken, abs=0.15)  # of a sample of the strings


def test_a_program_that_leaves_out_what_counts_is_refuted(made: Any, reference: Reference) -> None:
    """It says that the other head counts: without the counting head little survives, without the other all does."""
    found = measured(made.program(head=1), reference)
    assert found.sufficiency[RESAMPLE].value < 0.8
    assert found.necessity[RESAMPLE].value < 0.2
    assert [c.status for c in found.claims] == [Status.REFUTED, Status.REFUTED]
    for claim in found.claims:
        witness: Any = claim.witness
        assert witness["input_ids"][0] == 2


def test_a_variable_that_says_too_little_does_not_survive_among_equals(made: Any, reference: Reference) -> None:
    """A count of one token alone: its site also holds the count of the other, which the answer hangs on."""
    program = made.program()
    weights = {"values": [1], "negated": False}
    nodes = [n for n in program.nodes if n.id not in ("seen",)]
    ones = program["all"].__class__("ones", "symbolic.where", ("all", "tokens"), program["all"].type, weights)
    seen = program["seen"].__class__(
        "seen", "symbolic.count", ("ones", "tokens"), program["seen"].type, sites=program["seen"].sites
    )
    parity = made.changed(program.with_nodes([*nodes, ones, seen]), "wins", attrs={"is": ">", "to": 0})
    found = measured(parity, reference)
    assert found.sufficiency[EQUAL].value == 1.0  # in strings of one length, one count gives the other
    position_only = made.changed(program, "all", op="symbolic.back", attrs={"by": 0})
    found = measured(position_only, reference)
    assert found.sufficiency[EQUAL].value < 0.9


def test_thresholds_are_those_that_are_given(made: Any, reference: Reference) -> None:
    found = measured(made.program(head=1), reference, Bound(at_least=0.0, lower_at_least=0.0), BREAKS)
    assert found.claims[0].status is Status.TESTED


def test_a_program_that_uses_everything_has_nothing_to_ablate(made: Any, reference: Reference) -> None:
    program = made.program()
    site = program["seen"].sites[0]
    both = made.changed(program, "seen", sites=(site, site.__class__(site.value, site.axes, index=(("head", 1),))))
    found = measured(both, reference)
    assert found.unused == 0
    assert set(found.sufficiency) == {EQUAL}


def test_a_constant_program_says_that_nothing_breaks(made: Any) -> None:
    constant = made.changed(made.program(), "answer", op="symbolic.always", attrs={"value": 0}, inputs=("tokens",))
    biased = made.counting()
    with torch.no_grad():
        biased.unembed.bias.copy_(torch.tensor([1e4, 0.0]))
    found = measured(constant, Reference(Network(biased, "biased"), made.behavior()))
    assert found.necessity[RESAMPLE].value == 1.0
    assert "the program says that nothing breaks" in found.necessity[RESAMPLE].note
