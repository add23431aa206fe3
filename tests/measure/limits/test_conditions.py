"""Conditions: what is planted comes back, what is random does not, and prices are what they say."""

import math

import numpy as np
import pytest

from exegesis.measure.limits.conditions import Atom, Condition, Search, list_bits, scale_of
from exegesis.measure.limits.quantities import Quantity

RNG = np.random.default_rng(0)
N = 4000
ROW = np.arange(N) // 4
LENGTH = RNG.integers(5, 60, N).astype(float)
GAP = RNG.integers(0, 30, N).astype(float)
LETTER = RNG.integers(0, 5, N).astype(float)
EVEN = RNG.integers(0, 2, N).astype(float)
KNOWN = [
    Quantity("the length", "number", LENGTH),
    Quantity("the gap", "number", np.where(GAP > 25, np.nan, GAP)),
    Quantity("the letter", "category", LETTER, ("a", "b", "c", "d", "e")),
    Quantity("it is even", "truth", EVEN, denied="it is odd"),
    *(Quantity(f"noise {k}", "number", RNG.integers(0, 40, N).astype(float)) for k in range(20)),
]


def found(wrong: np.ndarray) -> Condition:
    return Search(KNOWN, ROW).shortest(wrong)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (LENGTH >= 41, "the length is at least 41"),
        (GAP <= 3, "the gap is at most 3"),
        (LETTER == 3, "the letter is d"),
        (np.isin(LETTER, (1, 4)), "the letter is b or e"),
        (EVEN == 0, "it is odd"),
        ((LENGTH >= 41) & (LETTER == 2), {"the length is at least 41", "the letter is c"}),
        ((GAP >= 20) & (GAP <= 22), {"the gap is at least 20", "the gap is at most 22"}),
    ],
)
def test_a_planted_condition_comes_back_exactly(wrong: np.ndarray, text: str | set[str]) -> None:
    condition = found(wrong)
    if isinstance(text, str):
        assert str(condition) == text
    else:
        assert {str(a) for a in condition.clauses[0]} == text
        assert len(condition.clauses) == 1


def test_either_of_two_conditions() -> None:
    wrong = (LENGTH >= 50) | ((LETTER == 0) & (EVEN == 1))
    condition = found(wrong)
    assert len(condition.clauses) == 2
    assert np.array_equal(condition.holds(KNOWN, N), wrong)


def test_exceptions_to_a_condition_do_not_hide_it() -> None:
    wrong = (LENGTH >= 41) & (RNG.random(N) < 0.7)
    assert str(found(wrong)) == "the length is at least 41"


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_random_failures_have_no_condition(share: float) -> None:
    assert not any(found(np.random.default_rng(seed).random(N) < share) for seed in range(5))


def test_where_the_network_is_right_is_no_condition() -> None:
    """Failures nearly everywhere but at one letter: what is told is where it fails, not where it is right."""
    condition = found(LETTER != 1)
    assert str(condition) == "the letter is not b"


def test_a_quantity_without_value_satisfies_nothing() -> None:
    missing = Quantity("q", "number", np.array([np.nan, 1.0, 3.0]))
    assert Atom("q", "at least", 0.0).holds(missing).tolist() == [False, True, True]
    assert Atom("q", "at most", 2.0).holds(missing).tolist() == [False, True, False]
    assert Atom("q", "is not", among=(1,), labels=("a",)).holds(missing).tolist() == [False, False, True]
    assert not Condition(((Atom("unknown", "at least", 0.0),),)).holds([missing], 3).any()


def test_the_list_of_failures_costs_the_binomial_and_its_number() -> None:
    assert float(list_bits(3.0, 10.0, 1.0)) == pytest.approx(math.log2(math.comb(10, 3)) + math.log2(11))
    assert scale_of(np.array([True, True, False, True]), np.array([0, 0, 0, 1])) == pytest.approx(2 / 3)
