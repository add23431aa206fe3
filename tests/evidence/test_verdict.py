"""The rule, the verdict, and its file."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exegesis.evidence import Claim, Figures, Measurement, Status, Threshold, Verdict, VerdictRule, findings, judge
from exegesis.ir import InputError

Build = Callable[..., Figures]
RULE = VerdictRule()
EVIDENCE = (Measurement.proportion("agreement", 2000, 2000),)
TESTED = Claim(statement="It says what the network says.", domain="test", status=Status.TESTED, evidence=EVIDENCE)
CONJECTURED = Claim(statement="Head L0H1 counts.", domain="test", status=Status.CONJECTURED)
REFUTED = Claim(statement="Head L0H1 counts.", domain="test", status=Status.REFUTED, witness=[1, 2, 3])


def agreement(successes: int, n: int, null_value: float | None = None) -> dict[str, Measurement]:
    return {"test": Measurement.proportion("agreement", successes, n, null_value=null_value)}


def test_a_program_that_meets_every_condition_holds(figures: Build) -> None:
    assert judge((TESTED,), figures(), RULE) is True
    assert all(found.met is True for found in findings((TESTED,), figures(), RULE))


@pytest.mark.parametrize(
    ("changed", "claims", "rule", "outcome", "says"),
    [
        # What was measured and falls short is false.
        ({"agreement": agreement(1970, 2000)}, (TESTED,), RULE, False, "is 0.9850, below 0.99"),
        ({}, (TESTED, REFUTED), RULE, False, "refuted: Head L0H1 counts."),
        ({}, (TESTED,), VerdictRule(min_legible_share=0.95), False, "legible share is 0.9000"),
        # What could not be checked, or not well enough, is never true.
        ({"agreement": {}}, (TESTED,), RULE, None, "on 'test' was not measured"),
        ({"agreement": agreement(20, 20)}, (TESTED,), RULE, None, "lower bound over 20 cases is 0.8316"),
        ({"agreement": agreement(2000, 2000, 0.9999)}, (TESTED,), RULE, None, "not told apart from its null"),
        ({"agreement": {"test": Measurement(metric="a", value=1.0, n=9999)}}, (TESTED,), RULE, None, "without a conf"),
        ({}, (), RULE, None, "nothing is claimed"),
        ({}, (TESTED, CONJECTURED), RULE, None, "conjectured only: Head L0H1 counts."),
        ({}, (TESTED,), VerdictRule(weakest_status=Status.ATTACKED), None, "tested only"),
        ({}, (TESTED,), VerdictRule.for_splits(("train", "test", "long")), None, "on 'long' was not measured"),
        # False outweighs what is not decided.
        ({"agreement": {}}, (REFUTED,), RULE, False, "refuted"),
    ],
)
def test_a_planted_fault_trips_its_condition(
    figures: Build,
    changed: dict[str, object],
    claims: tuple[Claim, ...],
    rule: VerdictRule,
    outcome: bool | None,
    says: str,
) -> None:
    made = figures(**changed)
    assert judge(claims, made, rule) is outcome
    unmet = [found for found in findings(claims, made, rule) if found.met is outcome]
    assert any(says in found.sentence for found in unmet), unmet


@given(successes=st.integers(0, 400), short=st.integers(0, 40), refuted=st.booleans())
def test_true_only_above_the_threshold_and_unrefuted(figures: Build, successes: int, short: int, refuted: bool) -> None:
    n = successes + short
    measured = agreement(successes, n) if n else {}
    holds = judge((TESTED, REFUTED) if refuted else (TESTED,), figures(agreement=measured), RULE)
    if holds:
        assert not refuted
        assert successes >= 0.99 * n > 0
    if refuted or (n and successes < 0.99 * n):
        assert holds is False


def test_the_rule_for_the_splits_of_a_behaviour() -> None:
    rule = VerdictRule.for_splits(("train", "test", "long"))
    assert [(threshold.split, threshold.at_least) for threshold in rule.agreement] == [("test", 0.99), ("long", 0.98)]
    with pytest.raises(InputError, match="no split besides train"):
        VerdictRule.for_splits(("train",))


def test_a_rule_asks_for_something() -> None:
    with pytest.raises(ValidationError):
        VerdictRule(agreement=())
    with pytest.raises(ValidationError):
        Threshold(split="test", at_least=1.2, lower_at_least=0.9)


def test_a_verdict_comes_back_from_its_file(figures: Build) -> None:
    for claims in ((), (TESTED,), (TESTED, CONJECTURED), (REFUTED,)):
        verdict = Verdict.of(claims, figures(), RULE)
        text = verdict.to_json()
        again = Verdict.from_json(text)
        assert again == verdict
        assert again.to_json() == text


def test_the_file_names_what_readers_look_for(figures: Build) -> None:
    record = json.loads(Verdict.of((TESTED,), figures(), RULE).to_json())
    assert record["schema"] == 1
    assert record["holds"] is True
    assert record["legible_share"] == record["figures"]["legible_share"] == 0.9
    assert record["claims"][0]["status"] == "tested"
    assert record["figures"]["agreement"]["test"]["value"] == 1.0
    assert record["figures"]["seconds"] == 31.4


def test_equal_verdicts_give_equal_bytes(figures: Build) -> None:
    both = agreement(2000, 2000) | {"long": Measurement.proportion("agreement", 10, 10)}
    one = Verdict.of((TESTED,), figures(agreement=both, versions={"a": "1", "b": "2"}), RULE)
    other = Verdict.of((TESTED,), figures(agreement=dict(reversed(both.items())), versions={"b": "2", "a": "1"}), RULE)
    assert one.to_json() == other.to_json()


def test_timings_can_be_left_out(figures: Build) -> None:
    fast = Verdict.of((TESTED,), figures(seconds=1.0, peak_memory_mb=100.0), RULE)
    slow = Verdict.of((TESTED,), figures(seconds=9.0, peak_memory_mb=900.0), RULE)
    assert fast.to_json() != slow.to_json()
    assert fast.to_json(timings=False) == slow.to_json(timings=False)
    assert Verdict.from_json(fast.to_json(timings=False)).figures.seconds is None


def test_a_verdict_may_be_left_unjudged(figures: Build) -> None:
    verdict = Verdict(holds=None, rule=RULE, legible_share=0.9, claims=(TESTED,), figures=figures())
    assert Verdict.from_json(verdict.to_json()).holds is None


def edited(text: str, **changes: object) -> str:
    return json.dumps({**json.loads(text), **changes})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: edited(text, schema=2), "has schema version 2, but this version of exegesis reads only 1"),
        (lambda text: edited(text, schema=True), "has schema version True"),
        (lambda text: edited(text, schema="1"), "has schema version '1'"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "schema"}), "no schema version"),
        (lambda text: "[1]", "no schema version"),
        (lambda text: text[:-30], "is not valid JSON"),
        (lambda text: edited(text, holds=False), "holds is False, but by the rule in the verdict it is True"),
        (lambda text: edited(text, legible_share=1.0), "legible_share is 1.0 in the verdict"),
        (lambda text: edited(text, holds="true"), "holds: Input should be a valid boolean"),
        (lambda text: edited(text, note="fine"), "note: Extra inputs are not permitted"),
        (lambda text: edited(text, claims=[{"statement": "x"}]), "claims.0.domain: Field required"),
        (lambda text: text.replace('"tested"', '"certain"', 1), "is not a valid verdict"),
        (lambda text: text.replace("31.4", "NaN"), "is not a valid verdict"),
    ],
)
def test_a_planted_fault_in_the_file_is_refused(figures: Build, damage: Callable[[str], str], sentence: str) -> None:
    text = Verdict.of((TESTED,), figures(), RULE).to_json()
    with pytest.raises(InputError) as refusal:
        Verdict.from_json(damage(text), source="runs/x/verdict.json")
    message = str(refusal.value)
    assert message.startswith("runs/x/verdict.json ")
    assert sentence in message
    assert "\n" not in message


def test_the_table_tells_a_person(figures: Build) -> None:
    rows = Verdict.of((TESTED, CONJECTURED), figures(), RULE).table()
    told = {row.what: (row.figure, row.detail) for row in rows}
    assert told["holds"] == ("not decided", "conjectured only: Head L0H1 counts.")
    assert told["agreement, test"] == ("1.0000", "[0.9982, 1.0000] at 95%, n = 2000, null 0.5000")
    assert told["legible share"] == ("0.9000", "100 of 1000 bits are opaque")
    assert told["seconds"] == ("31.4", "812 MiB at most")
    assert told["It says what the network says."] == ("tested", "on test")


def test_the_table_without_timings_shows_none(figures: Build) -> None:
    verdict = Verdict.from_json(Verdict.of((TESTED,), figures(), RULE).to_json(timings=False))
    assert "seconds" not in {row.what for row in verdict.table()}
