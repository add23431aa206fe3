"""Descriptions of variables whose definition is known: same groups, and not longer than the definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from exegesis.passes.raising.clusters import codes_of, same_partition
from exegesis.passes.raising.columns import Column
from exegesis.passes.raising.describe import deciding, describe, descriptions

RNG = np.random.default_rng(1)
N = 3200
LETTER, OTHER = RNG.integers(0, 6, N), RNG.integers(0, 6, N)
A, B, C = (RNG.integers(0, 9, N) for _ in range(3))
FLAG = RNG.integers(0, 2, N)
SHARE, SHARE_2 = RNG.integers(0, 9, N) / 8, RNG.integers(0, 9, N) / 8
COLUMNS = [
    Column("letter", None, "category", LETTER, "token"),
    Column("other", None, "category", OTHER, "token"),
    Column("a", None, "int", A),
    Column("b", None, "int", B),
    Column("c", None, "int", C),
    Column("flag", None, "bool", FLAG),
    Column("shares", 2, "real", SHARE),
    Column("shares", 3, "real", SHARE_2),
]

DEFINITIONS: dict[str, tuple[Callable[[], np.ndarray], set[str], float]] = {
    "a variable": (lambda: LETTER, {"letter"}, 7),
    "renamed": (lambda: (LETTER * 5 + 2) % 7, {"letter"}, 7),
    "denied": (lambda: 1 - FLAG, {"flag"}, 7),
    "one of": (lambda: np.isin(LETTER, [1, 4]), {"letter"}, 20),
    "more than": (lambda: A > 5, {"a"}, 20),
    "exactly": (lambda: B == 3, {"b"}, 20),
    "difference": (lambda: A - B, {"a", "b"}, 32),
    "twice": (lambda: 2 * A - B > 1, {"a", "b"}, 40),
    "three": (lambda: A + B - C, {"a", "b", "c"}, 45),
    "parity": (lambda: C % 2, {"c"}, 25),
    "remainder": (lambda: C % 3, {"c"}, 25),
    "capped": (lambda: np.minimum(A, 4), {"a"}, 25),
    "at least": (lambda: np.maximum(B, 6), {"b"}, 25),
    "smaller": (lambda: np.minimum(A, B), {"a", "b"}, 25),
    "same": (lambda: LETTER == OTHER, {"letter", "other"}, 25),
    "both": (lambda: (LETTER == 2) & (A > 4), {"letter", "a"}, 50),
    "either": (lambda: (FLAG == 1) | (B < 2), {"flag", "b"}, 50),
    "balance": (lambda: SHARE == SHARE_2, {"shares"}, 40),
    "below": (lambda: SHARE - SHARE_2 < 0, {"shares"}, 40),
    "table": (lambda: np.array([0, 2, 1, 1, 0, 2])[LETTER], {"letter"}, 50),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_is_found(name: str) -> None:
    make, about, bits = DEFINITIONS[name]
    target = codes_of(make())
    phrase = describe(target, COLUMNS)
    assert phrase is not None
    assert same_partition(codes_of(phrase.values), target)
    assert set(phrase.of) == about
    assert phrase.bits < bits


def test_chance_is_not_described() -> None:
    assert describe(RNG.integers(0, 3, N), COLUMNS) is None


def test_a_variable_that_holds_it_already_is_all_that_is_offered() -> None:
    found = descriptions(codes_of(A), [*COLUMNS, Column("copy", None, "category", A + 1)])
    assert [f.of for f in found] == [("a",), ("copy",)]


def test_sets_that_decide_come_by_size() -> None:
    target = codes_of(A - B)
    single, pairs = list(deciding(target, COLUMNS, most=2))
    assert single == []
    assert {frozenset(c.node for c in pair) for pair in pairs} == {frozenset("ab")}


def test_too_few_observations_decide_nothing() -> None:
    few = [Column("x", None, "int", np.arange(8)), Column("y", None, "int", np.arange(8)[::-1].copy())]
    assert all(not found for found in deciding(np.array([0, 1, 0, 0, 1, 1, 0, 1]), few))
