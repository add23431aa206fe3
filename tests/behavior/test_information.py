"""How much there is to explain: entropies counted by hand, and accuracies beside what chance gives."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior import Argmax, Behavior, Sign, Value, accuracy_of, answer_bits, substance

ROWS = [[0, 1, 1, 2], [2, 0, 0], [1, 1, 2, 0, 2]]


def behavior(expected: object = None, readout: object = None) -> Behavior:
    rows = [{"input_ids": r, "scored": list(range(1, len(r)))} for r in ROWS]
    for row in rows:
        if expected is not None:
            row["expected"] = [expected] * len(row["scored"])
    return Behavior.from_sequences("b", list("abc"), {"train": rows, "test": rows}, readout or Argmax())


TOKENS = np.array([t for r in ROWS for t in r[1:]])


def conditional_entropy(tokens: list[int], answers: list[int]) -> float:
    """The sum over tokens of their share times the entropy of the answers there, written out."""
    total = 0.0
    for token in set(tokens):
        there = [a for t, a in zip(tokens, answers, strict=True) if t == token]
        shares = [there.count(a) / len(there) for a in set(there)]
        total -= len(there) / len(tokens) * sum(s * log2(s) for s in shares)
    return total


@given(answers=st.lists(st.integers(0, 3), min_size=len(TOKENS), max_size=len(TOKENS)))
def test_bits_are_those_that_the_token_leaves_open(answers: list[int]) -> None:
    found = answer_bits(behavior().split("test"), np.array(answers), Argmax())
    assert found == pytest.approx(conditional_entropy(TOKENS.tolist(), answers), abs=1e-9)


@pytest.mark.parametrize("answers", [np.full(len(TOKENS), 2), TOKENS, np.array([5, 0, 7])[TOKENS]])
def test_constants_and_tables_of_tokens_leave_nothing(answers: np.ndarray) -> None:
    assert answer_bits(behavior().split("test"), answers, Argmax()) == 0.0


def test_sets_count_whole_and_numbers_within_their_tolerance() -> None:
    split = behavior().split("test")
    sets = np.stack([TOKENS == 0, np.arange(len(TOKENS)) % 2 == 0], 1)
    codes = (2 * sets[:, 0] + sets[:, 1]).tolist()
    assert answer_bits(split, sets, Sign()) == pytest.approx(conditional_entropy(TOKENS.tolist(), codes))
    near = TOKENS + np.linspace(-0.004, 0.004, len(TOKENS))
    assert answer_bits(split, near, Value(0.01)) == 0.0
    assert answer_bits(split, near, Value(1e-6)) > 1.0


def test_over_arrays_it_is_the_entropy_of_the_answers() -> None:
    y = np.array([0, 1, 1, 1])
    split = Behavior.from_arrays("b", {"test": (np.zeros((4, 2)), y)}, Argmax()).split("test")
    assert answer_bits(split, y, Argmax()) == pytest.approx(-(0.25 * log2(0.25) + 0.75 * log2(0.75)))


def test_accuracy_stands_beside_chance() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.integers(0, 4, 4000)
    split = Behavior.from_arrays("b", {"test": (np.zeros((4000, 1)), wanted)}, Argmax()).split("test")
    right = np.where(rng.random(4000) < 0.9, wanted, (wanted + 1) % 4)
    measured = accuracy_of(split, right, Argmax(), seed=0)
    assert measured is not None
    assert measured.value == pytest.approx((right == wanted).mean())
    assert measured.null_value == pytest.approx(0.25, abs=0.03)
    constant = accuracy_of(split, np.zeros(4000, np.int64), Argmax(), seed=0)
    assert constant is not None
    assert constant.value == constant.null_value, "dealing out does nothing for an answer that never varies"


def test_sets_expected_are_compared_whole() -> None:
    split = behavior(expected=[0, 2], readout=Sign()).split("test")
    said = np.tile([True, False, True], (len(TOKENS), 1))
    said[0, 1] = True
    measured = accuracy_of(split, said, Sign(), seed=0)
    assert measured is not None
    assert (measured.value, measured.n) == ((len(TOKENS) - 1) / len(TOKENS), len(TOKENS))


def test_without_expectations_there_is_no_accuracy() -> None:
    assert accuracy_of(behavior().split("test"), TOKENS, Argmax(), seed=0) is None


def test_substance_is_measured_on_held_out_inputs() -> None:
    asked: list[str] = []

    def said(name: str) -> np.ndarray:
        asked.append(name)
        return TOKENS

    bits, measured = substance(behavior(expected=1), said, seed=0)
    assert asked == ["test"]
    assert bits == 0.0
    assert measured is not None
    assert measured.value == (TOKENS == 1).mean()
