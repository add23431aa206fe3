"""Statuses, measurements and claims."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exegesis.evidence import Claim, Measurement, Status

AGREEMENT = Measurement.proportion("agreement", 99, 100, seed=0)


def test_the_order_of_statuses() -> None:
    descending = [Status.PROVED, Status.ATTACKED, Status.TESTED, Status.CONJECTURED, Status.REFUTED]
    assert sorted(Status, reverse=True) == descending
    assert all(stronger > weaker for stronger, weaker in pairwise(descending))


@pytest.mark.parametrize(("a", "b"), list(product(Status, repeat=2)))
def test_statuses_are_totally_ordered(a: Status, b: Status) -> None:
    assert [a < b, a is b, a > b].count(True) == 1
    assert (a <= b) == (not b < a)


def test_a_status_is_not_compared_with_a_word() -> None:
    with pytest.raises(TypeError):
        _ = Status.PROVED > "tested"  # type: ignore[operator]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_lies_within_its_bounds(result: tuple[int, int]) -> None:
    successes, n = result
    measured = Measurement.proportion("agreement", successes, n)
    assert measured.lower is not None
    assert measured.upper is not None
    assert measured.lower <= measured.value == successes / n <= measured.upper
    assert measured.confidence == 0.95


@pytest.mark.parametrize(
    "planted",
    [
        {"n": 0},
        {"value": float("nan")},
        {"value": float("inf")},
        {"metric": ""},
        {"lower": 0.9},
        {"lower": 0.9, "upper": 1.0},
        {"confidence": 0.95},
        {"lower": 0.1, "upper": 0.4, "confidence": 0.95},
        {"lower": 0.0, "upper": 1.0, "confidence": 1.0},
        {"null_value": float("nan")},
        {"precision": 3},
    ],
)
def test_a_faulty_measurement_is_refused(planted: dict[str, object]) -> None:
    sound: dict[str, object] = {"metric": "agreement", "value": 0.5, "n": 10}
    assert Measurement.model_validate(sound).value == 0.5
    with pytest.raises(ValidationError):
        Measurement.model_validate({**sound, **planted})


def test_records_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AGREEMENT.value = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("status", [Status.TESTED, Status.ATTACKED, Status.PROVED])
def test_a_claim_said_to_be_checked_shows_its_evidence(status: Status) -> None:
    claim = Claim(statement="It counts brackets.", domain="strings up to 20", status=status, evidence=(AGREEMENT,))
    assert claim.evidence == (AGREEMENT,)
    with pytest.raises(ValidationError, match="only with a measurement as evidence"):
        Claim(statement="It counts brackets.", domain="strings up to 20", status=status)


def test_a_refuted_claim_shows_its_witness() -> None:
    refuted = Claim(statement="It counts.", domain="all", status=Status.REFUTED, witness={"input_ids": [1, 2]})
    assert refuted.witness == {"input_ids": [1, 2]}
    with pytest.raises(ValidationError, match="shows the witness"):
        Claim(statement="It counts.", domain="all", status=Status.REFUTED)


def test_a_witness_refutes() -> None:
    with pytest.raises(ValidationError, match="'refuted', not 'tested'"):
        Claim(statement="It counts.", domain="all", status=Status.TESTED, evidence=(AGREEMENT,), witness=[1])


def test_only_what_is_open_says_what_is_missing() -> None:
    said = {"statement": "It counts.", "domain": "all", "missing": "about 7 more cases would tell"}
    assert Claim.model_validate({**said, "status": Status.CONJECTURED}).missing == said["missing"]
    with pytest.raises(ValidationError, match="is not open"):
        Claim.model_validate({**said, "status": Status.TESTED, "evidence": (AGREEMENT,)})
