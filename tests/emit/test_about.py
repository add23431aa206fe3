"""What a program says of itself follows from behaviour and verdict, and from nothing that differs between two runs."""

import pytest

from exegesis.behavior import Argmax, Behavior, Readout, Sign, Value
from exegesis.emit import About
from exegesis.emit.about import reading
from exegesis.evidence import Figures, Measurement, Verdict, VerdictRule


def behavior(task: str) -> Behavior:
    row = {"input_ids": [0, 1], "scored": [1], "expected": [1]}
    return Behavior.from_sequences("bin-majority", ("a", "b"), {"test": [row]}, Argmax(), task=task)


def verdict(right: int, seconds: float, splits: tuple[str, ...] = ("test", "long")) -> Verdict:
    agreement = {name: Measurement.proportion("agreement", right, 2000) for name in splits}
    figures = Figures(
        agreement=agreement,
        sequences_exact=agreement,
        legible_share=0.75,
        opaque_bits=25,
        unread_bits=25,
        lifted_bits=100,
        code_lines=10,
        numbers_in_code=1,
        numbers_in_tensors=0,
        seconds=seconds,
        interchange={"depth": Measurement.proportion("interchange", right, 2000, null_value=0.125)},
        seed=0,
        versions={},
    )
    return Verdict.of((), figures, VerdictRule())


@pytest.mark.parametrize("task", ["", "bin_majority", "bin-majority"])
def test_a_task_that_only_repeats_the_name_is_left_out(task: str) -> None:
    assert About.of(behavior(task), "a net").behavior == "The answer is the output with the largest logit."


def test_a_task_in_words_is_kept() -> None:
    about = About.of(behavior("which digit is commoner?"), "a net")
    assert about.behavior == "Which digit is commoner? The answer is the output with the largest logit."
    assert about.title == "bin-majority, decompiled from a net."
    assert about.checked == ("Not checked against the network.",)


def test_agreement_is_told_per_split_and_never_rounded_up() -> None:
    head, rows, legible = About.of(behavior(""), "a net", verdict(1999, 1.0)).checked
    assert head == "How often it says what the network says (in brackets the lower bound at 95 % confidence):"
    assert sorted(rows.splitlines()) == [
        "    long  99.9 % of 2,000 answers (99.7 %)",
        "    test  99.9 % of 2,000 answers (99.7 %)",
    ]
    assert legible == "Legible share: 75 %."


def test_wall_time_leaves_no_trace() -> None:
    assert About.of(behavior(""), "a net", verdict(5, 1.0)) == About.of(behavior(""), "a net", verdict(5, 2.0))


def test_a_verdict_without_agreement_says_so() -> None:
    assert "Not checked against the network." in About.of(behavior(""), "a net", verdict(5, 1.0, ())).checked


@pytest.mark.parametrize(
    ("readout", "words"),
    [(Argmax((1, 2)), "among 2"), (Sign(), "positive logit"), (Value(0.25), "within 0.25")],
)
def test_every_readout_has_a_sentence(readout: Readout, words: str) -> None:
    assert words in reading(readout)


def test_each_variable_says_what_its_swap_did() -> None:
    evidence = About.of(behavior(""), "a net", verdict(1999, 1.0)).evidence
    assert evidence == {
        "depth": "Swapped in the network, depth does what the program says in 99.9 % of 2,000 cases (by chance 12.5 %)."
    }
