"""The rule, the verdict, and its file."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exegesis.evidence import (
    Attack,
    Bound,
    Claim,
    Figures,
    Measurement,
    Status,
    Substance,
    Threshold,
    Verdict,
    VerdictRule,
    Witness,
    findings,
    judge,
)
from exegesis.ir import InputError

Build = Callable[..., Figures]
RULE = VerdictRule()
WORTH = VerdictRule(substance=Substance(answer_bits=0.05, task_accuracy=0.9))
EVIDENCE = (Measurement.proportion("agreement", 2000, 2000),)
TESTED = Claim(statement="It says what the network says.", domain="test", status=Status.TESTED, evidence=EVIDENCE)
CONJECTURED = Claim(statement="Head L0H1 counts.", domain="test", status=Status.CONJECTURED)
OPEN = CONJECTURED.model_copy(update={"missing": "about 7 more cases would tell"})
CONSTANT: dict[str, object] = {"constant": True, "joint_interchange": None, "necessity": {}}
REFUTED = Claim(statement="Head L0H1 counts.", domain="test", status=Status.REFUTED, witness=[1, 2, 3])


BEYOND = REFUTED.model_copy(update={"about": "beyond"})


def share(successes: int, n: int, null_value: float | None = None) -> Measurement:
    return Measurement.proportion("a share", successes, n, null_value=null_value)


def agreement(successes: int, n: int, null_value: float | None = None) -> dict[str, Measurement]:
    return {"test": Measurement.proportion("agreement", successes, n, null_value=null_value)}


def test_a_verdict_says_that_a_program_is_constant_and_what_would_decide_it(figures: Build) -> None:
    constant = Verdict.of((TESTED,), figures(**CONSTANT), RULE).table()
    assert ("answers of the program", "constant") in [(row.what, row.figure) for row in constant]
    still = Verdict.of((TESTED, OPEN), figures(seconds_to_decide=12.3), RULE)
    assert still.holds is None
    assert "12 s more of budget would decide what is open" in still.table()[0].detail
    assert still.to_json(timings=False) == Verdict.of((TESTED, OPEN), figures(), RULE).to_json(timings=False)


def test_a_program_that_meets_every_condition_holds(figures: Build) -> None:
    assert judge((TESTED,), figures(), RULE) is True
    assert judge((TESTED,), figures(**CONSTANT), RULE) is True
    assert all(found.met is True for found in findings((TESTED,), figures(), RULE))


@pytest.mark.parametrize(
    ("changed", "claims", "rule", "outcome", "says"),
    [
        # What was measured and falls short is false.
        ({"agreement": agreement(1970, 2000)}, (TESTED,), RULE, False, "is 0.9850, below 0.99"),
        ({}, (TESTED, REFUTED), RULE, False, "refuted: Head L0H1 counts."),
        ({}, (TESTED,), VerdictRule(min_legible_share=0.95), False, "legible share is 0.9000"),
        (
            {"joint_interchange": share(260, 300)},
            (TESTED,),
            RULE,
            False,
            "joint interchange accuracy is 0.8667, below 0.9",
        ),
        ({"sufficiency": {"mean": share(270, 300)}}, (TESTED,), RULE, False, "ablated (mean) is 0.9000, below 0.95"),
        ({"necessity": {"resample": share(210, 300)}}, (TESTED,), RULE, False, "resampled is 0.7000, below 0.8"),
        # What could not be checked, or not well enough, is never true.
        ({"agreement": {}}, (TESTED,), RULE, None, "on 'test' was not measured"),
        ({"agreement": agreement(20, 20)}, (TESTED,), RULE, None, "lower bound over 20 cases is 0.8316"),
        ({"agreement": agreement(2000, 2000, 0.9999)}, (TESTED,), RULE, None, "not told apart from its null"),
        ({"agreement": {"test": Measurement(metric="a", value=1.0, n=9999)}}, (TESTED,), RULE, None, "without a conf"),
        ({}, (), RULE, None, "nothing is claimed"),
        ({}, (TESTED, CONJECTURED), RULE, None, "conjectured only: Head L0H1 counts."),
        ({}, (TESTED, OPEN), RULE, None, "Head L0H1 counts. Open, since about 7 more cases would tell."),
        ({}, (TESTED,), VerdictRule(weakest_status=Status.ATTACKED), None, "tested only"),
        ({}, (TESTED,), VerdictRule.for_splits(("train", "test", "long")), None, "on 'long' was not measured"),
        ({"joint_interchange": None}, (TESTED,), RULE, None, "joint interchange accuracy was not measured"),
        ({"joint_interchange": None, "constant": False}, (TESTED,), RULE, None, "accuracy was not measured"),
        # What is constant has nothing to exchange and nothing to break; that nothing matters is to be shown.
        ({**CONSTANT, "sufficiency": {}}, (TESTED,), RULE, None, "what the program does not use was not ablated"),
        ({**CONSTANT, "sufficiency": {"mean": share(100, 300)}}, (TESTED,), RULE, False, "ablated (mean) is 0.3333"),
        ({**CONSTANT, "joint_interchange": share(100, 300)}, (TESTED,), RULE, False, "accuracy is 0.3333, below 0.9"),
        ({**CONSTANT, "necessity": {"resample": share(9, 300)}}, (TESTED,), RULE, False, "resampled is 0.0300"),
        ({"joint_interchange": share(10, 10)}, (TESTED,), RULE, None, "lower bound over 10 cases is 0.6915"),
        ({"joint_interchange": share(300, 300, 0.99)}, (TESTED,), RULE, None, "not told apart from its null, 0.9900"),
        ({"sufficiency": {}}, (TESTED,), RULE, None, "what the program does not use was not ablated"),
        ({"sufficiency": {}, "parts_unused": None}, (TESTED,), RULE, None, "was not ablated"),
        ({"necessity": {"mean": share(300, 300)}}, (TESTED,), RULE, None, "resampled was not measured"),
        ({"necessity": {"resample": share(300, 300, 1.0)}}, (TESTED,), RULE, None, "not told apart from its null"),
        ({}, (BEYOND,), RULE, None, "nothing is claimed"),
        # A network that does nothing is explained by anything.
        ({}, (TESTED,), WORTH, None, "what the network's answers depend on was not measured"),
        ({"answer_bits": 0.01}, (TESTED,), WORTH, None, "carry 0.01 bits each, below 0.05, and nobody says what"),
        ({"answer_bits": 0.0, "task_accuracy": share(50, 100, 0.5)}, (TESTED,), WORTH, None, "by chance (0.5000)"),
        ({"answer_bits": 0.0, "task_accuracy": share(50, 100)}, (TESTED,), WORTH, None, "by chance (0.5000)"),
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


@pytest.mark.parametrize(
    ("changed", "claims", "rule"),
    [
        ({}, (TESTED, BEYOND), RULE),  # inputs that the behaviour does not ask about do not decide
        ({"sufficiency": {}, "parts_unused": 0}, (TESTED,), RULE),  # nothing is left to ablate
        ({"joint_interchange": None}, (TESTED,), VerdictRule(interchange=None)),
        ({"necessity": {}}, (TESTED,), VerdictRule(necessity=None)),
        ({"sufficiency": {}}, (TESTED,), VerdictRule(sufficiency=None)),
        (
            {"joint_interchange": share(260, 300)},
            (TESTED,),
            VerdictRule(interchange=Bound(at_least=0.8, lower_at_least=0.8)),
        ),
        ({"answer_bits": 0.05}, (TESTED,), WORTH),
        ({"answer_bits": 0.0, "task_accuracy": share(95, 100, 0.95)}, (TESTED,), WORTH),  # a task of one answer
        ({"answer_bits": 0.0, "task_accuracy": share(500, 1000, 0.2)}, (TESTED,), WORTH),  # better than chance
    ],
)
def test_what_the_rule_does_not_ask_for_does_not_decide(
    figures: Build, changed: dict[str, object], claims: tuple[Claim, ...], rule: VerdictRule
) -> None:
    assert judge(claims, figures(**changed), rule) is True


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
    assert rule.substance == WORTH.substance
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
    assert record["schema"] == 2
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


def test_witnesses_come_back_from_the_file_and_stand_in_the_table(figures: Build) -> None:
    witness = Witness(kind="blind_spot", cause="Position 3 is not looked at.", input_ids=(1, 2), count=4, surprise=2.5)
    attack = Attack(queries=10, restarts=2, found=0, worst_margin=0.25)
    verdict = Verdict.of(
        (TESTED,), figures(attack=attack), RULE, witnesses=[witness], network="a network", budget_seconds=120.0
    )
    again = Verdict.from_json(verdict.to_json())
    assert again.witnesses == (witness,)
    assert (again.network, again.budget_seconds) == ("a network", 120.0)
    told = {row.what: (row.figure, row.detail) for row in verdict.table()}
    assert told["Position 3 is not looked at."] == ("blind spot", "4 found, 2.5 bits")
    assert told["attack"] == ("0 found", "10 queries, 2 restarts, worst margin 0.25")


def edited(text: str, **changes: object) -> str:
    return json.dumps({**json.loads(text), **changes})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: edited(text, schema=1), "has schema version 1, but this version of exegesis reads only 2"),
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
    measured = figures(answer_bits=1.5, task_accuracy=share(90, 100, 0.25))
    rows = Verdict.of((TESTED, CONJECTURED), measured, RULE).table()
    told = {row.what: (row.figure, row.detail) for row in rows}
    assert told["answers beyond a table of tokens"] == ("1.50 bits", "of the network, each")
    assert told["the network's accuracy"] == ("0.9000", "[0.8238, 0.9510] at 95%, n = 100, null 0.2500")
    assert told["holds"] == ("not decided", "conjectured only: Head L0H1 counts.")
    assert told["agreement, test"] == ("1.0000", "[0.9982, 1.0000] at 95%, n = 2000, null 0.5000")
    assert told["legible share"] == ("0.9000", "100 of 1000 bits are opaque")
    assert told["seconds"] == ("31.4", "812 MiB at most")
    assert told["It says what the network says."] == ("tested", "on test")


def test_the_table_says_which_claims_do_not_decide(figures: Build) -> None:
    rows = Verdict.of((TESTED, BEYOND), figures(), RULE).table()
    assert rows[-1] == (
        "Head L0H1 counts.",
        "refuted",
        "on test; does not decide, since nobody asks about these inputs",
    )


def test_the_table_without_timings_shows_none(figures: Build) -> None:
    verdict = Verdict.from_json(Verdict.of((TESTED,), figures(), RULE).to_json(timings=False))
    assert "seconds" not in {row.what for row in verdict.table()}
