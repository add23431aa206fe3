"""Selectors against their definitions, one pair of positions at a time."""

from collections.abc import Callable

import numpy as np
import pytest

from exegesis import primitives as p

RNG = np.random.default_rng(0)
CASES = [RNG.integers(-1, 4, size=n) for n in (1, 2, 7, 12)]


def pairs(n: int, looked: Callable[[int, int], float]) -> np.ndarray:
    """A selector spelled out: `looked(query, key)` for every pair."""
    return np.array([[looked(s, t) for t in range(n)] for s in range(n)])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("x", CASES, ids=len)
def test_everywhere_at_and_match(x: np.ndarray, causal: bool) -> None:
    n = len(x)

    def seen(s: int, t: int) -> bool:
        return t <= s or not causal

    y = np.roll(x, 1)
    np.testing.assert_array_equal(p.everywhere(x, causal=causal), pairs(n, seen))
    np.testing.assert_array_equal(p.at(x, 1, causal=causal), pairs(n, lambda s, t: t == 1 and seen(s, t)))
    np.testing.assert_array_equal(
        p.match(x, y, causal=causal), pairs(n, lambda s, t: x[s] == y[t] and x[s] != -1 and seen(s, t))
    )


@pytest.mark.parametrize("by", [0, 1, 3, -1])
@pytest.mark.parametrize("x", CASES, ids=len)
def test_back(x: np.ndarray, by: int) -> None:
    np.testing.assert_array_equal(p.back(x, by), pairs(len(x), lambda s, t: t == s - by))


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("x", CASES, ids=len)
def test_where_keeps_weights(x: np.ndarray, negated: bool) -> None:
    weights = RNG.random((len(x), len(x)))
    expected = pairs(len(x), lambda s, t: weights[s, t] if (x[t] in (0, 3)) != negated else 0.0)
    np.testing.assert_array_equal(p.where(weights, x, {0, 3}, negated=negated), expected)


def test_where_takes_a_condition() -> None:
    x = np.array([2, 0, 2, 1])
    np.testing.assert_array_equal(p.where(p.everywhere(x), x == 2), pairs(4, lambda s, t: x[t] == 2))


def test_where_of_a_bool_selector_stays_bool() -> None:
    assert p.where(p.everywhere(np.arange(3)), np.arange(3), range(2)).dtype == bool
    assert p.both(p.everywhere(np.arange(3)), p.back(np.arange(3), 1)).dtype == bool
    assert p.nearest(p.everywhere(np.arange(3))).dtype == bool


def test_both_multiplies_weights() -> None:
    a, b = np.array([[0.5, 2.0]]), np.array([[True, False]])
    np.testing.assert_array_equal(p.both(a, b), [[0.5, 0.0]])


@pytest.mark.parametrize(("which", "pick"), [("latest", max), ("first", min)])
def test_nearest(which: str, pick: Callable[[list[int]], int]) -> None:
    weights = RNG.random((9, 9)) * (RNG.random((9, 9)) < 0.3)
    weights[4] = 0
    chosen = [pick(keys) if (keys := np.flatnonzero(row).tolist()) else None for row in weights]
    expected = pairs(9, lambda s, t: weights[s, t] if t == chosen[s] else 0.0)
    np.testing.assert_array_equal(p.nearest(weights, which), expected)


def test_weigh() -> None:
    x = np.array([2, 0, -1, 1, 2])
    weight = {2: 3.0, 0: 0.5}
    expected = pairs(5, lambda s, t: (t <= s) * weight.get(int(x[t]), 0.25))
    np.testing.assert_array_equal(p.weigh(p.everywhere(x, causal=True), x, weight, other=0.25), expected)


def test_when() -> None:
    weights, holds = RNG.random((6, 6)), np.array([True, False, True, True, False, False])
    np.testing.assert_array_equal(p.when(weights, holds), pairs(6, lambda s, t: weights[s, t] if holds[s] else 0.0))


def test_weigh_pairs() -> None:
    x, y = np.array([2, 0, -1, 1, 2]), np.array([0, 0, 1, 2, 1])
    weight = {(2, 0): 3.0, (1, 2): 0.5, (-1, 1): 2.0}
    expected = pairs(5, lambda s, t: (t <= s) * weight.get((int(x[s]), int(y[t])), 0.25))
    np.testing.assert_array_equal(p.weigh_pairs(p.everywhere(x, causal=True), x, y, weight, other=0.25), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_attend(causal: bool) -> None:
    x, table = np.array([1, 0, -1, 2, 2]), RNG.normal(size=(3, 3))
    rows = []
    for s in range(5):
        keys = range(s + 1) if causal else range(5)
        scores = {t: table[x[s], x[t]] if x[s] >= 0 and x[t] >= 0 else 0.0 for t in keys}
        total = sum(np.exp(v) for v in scores.values())
        rows.append([np.exp(scores[t]) / total if t in scores else 0.0 for t in range(5)])
    np.testing.assert_allclose(p.attend(x, x, table, causal=causal), rows, rtol=1e-12)


def test_bool_variables_are_categories_too() -> None:
    flags = np.array([True, False, True])
    np.testing.assert_array_equal(p.match(flags, flags), flags[:, None] == flags)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("key_is", "holds"),
    [
        ("<", lambda k, q: k < q),
        ("<=", lambda k, q: k <= q),
        (">", lambda k, q: k > q),
        (">=", lambda k, q: k >= q),
    ],
)
def test_ordered(key_is: str, holds: Callable[[int, int], bool], causal: bool) -> None:
    x = CASES[3]
    y = np.roll(x, 5)
    expected = pairs(len(x), lambda s, t: y[t] != -1 and holds(y[t], x[s]) and (t <= s or not causal))
    np.testing.assert_array_equal(p.ordered(y, key_is, x, causal=causal), expected)


@pytest.mark.parametrize(("which", "pick"), [("smallest", min), ("largest", max)])
def test_extreme(which: str, pick: Callable[[list[int]], int]) -> None:
    x = CASES[3]
    weights = RNG.random((12, 12)) * (RNG.random((12, 12)) < 0.4)
    weights[5] = 0

    def kept(s: int, t: int) -> float:
        known = [int(x[u]) for u in range(12) if weights[s, u] > 0 and x[u] != -1]
        return weights[s, t] if known and x[t] == pick(known) else 0.0

    np.testing.assert_array_equal(p.extreme(weights, x, which), pairs(12, kept))


def test_otherwise_where_nothing_is_looked_at() -> None:
    a, b = np.array([[0.0, 0.5], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 2.0]])
    np.testing.assert_array_equal(p.otherwise(a, b), [[0.0, 0.5], [0.0, 2.0]])
    assert p.otherwise(p.match(np.arange(3), np.arange(3)), p.back(np.arange(3), 1)).dtype == bool


@pytest.mark.parametrize("causal", [True, False])
def test_related(causal: bool) -> None:
    x = CASES[3]
    y = np.roll(x, 5)
    listed = {-1: {2}, 0: {0, -1}, 3: {1}, 99: {0}}
    expected = pairs(len(x), lambda s, t: int(y[t]) in listed.get(int(x[s]), ()) and (t <= s or not causal))
    np.testing.assert_array_equal(p.related(x, y, listed, causal=causal), expected)


def test_either_takes_the_larger_weight() -> None:
    np.testing.assert_array_equal(p.either(np.array([[0.5, 0.0]]), np.array([[True, False]])), [[1.0, 0.0]])
    assert p.either(p.everywhere(np.arange(3)), p.back(np.arange(3), 1)).dtype == bool
