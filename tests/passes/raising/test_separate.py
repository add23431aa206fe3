"""Linear separators: planted forms are recovered, none is made up, and what is returned separates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exegesis.passes.raising.separate import Separator, separate

RNG = np.random.default_rng


def counts(n: int, k: int, seed: int = 0, most: int = 9) -> np.ndarray:
    return RNG(seed).integers(0, most, (n, k)).astype(float)


def predicted(found: Separator, columns: np.ndarray) -> np.ndarray:
    return columns[:, list(found.active)] @ np.array(found.weights) > found.threshold


@pytest.mark.parametrize(
    ("weights", "threshold"),
    [
        ({0: 1}, 4),
        ({0: 1, 1: -1}, 0),
        ({0: 1, 1: -1}, 2),
        ({2: -1, 3: 1}, -1),
        ({0: 1, 1: -2}, 0),
        ({0: 2, 1: -3}, 1),
        ({0: 1, 1: 1, 2: -1}, 3),
        ({0: 1, 1: 1, 2: -1, 3: -1}, 0),
    ],
)
def test_planted_whole_forms_come_back(weights: dict[int, int], threshold: int) -> None:
    columns = counts(1500, 6)
    labels = sum(w * columns[:, k] for k, w in weights.items()) > threshold
    best = separate(columns, labels, tolerance=0.0, seed=0)[0]
    assert best.errors == 0
    assert dict(zip(best.active, best.weights, strict=True)) == weights
    assert best.threshold == threshold


@pytest.mark.parametrize("k", [6, 8])
def test_forms_over_many_columns_separate_too(k: int) -> None:
    """Beyond four columns nothing is enumerated; the rounded solution of the linear program stands."""
    columns = counts(1500, k, seed=2)
    truth = np.where(np.arange(k) % 2, -1.0, 1.0)
    labels = columns @ truth > 0
    best = separate(columns, labels, tolerance=0.0, seed=0)[0]
    assert best.errors == 0
    np.testing.assert_array_equal(predicted(best, columns), labels)
    assert dict(zip(best.active, best.weights, strict=True)) == dict(enumerate(truth))


def test_simplest_first() -> None:
    columns = counts(800, 3)
    found = separate(columns, columns[:, 0] - columns[:, 1] > 0, tolerance=0.0, seed=0)
    sizes = [(s.errors, sum(abs(w) for w in s.weights) + abs(s.threshold)) for s in found]
    assert sizes == sorted(sizes)
    assert sizes[0] == (0, 2)


def test_columns_that_are_not_needed_are_dropped() -> None:
    """A column that goes along with the truth most of the time is no part of it."""
    columns = counts(1200, 4)
    columns[:, 3] = columns[:, 0] + RNG(1).integers(-1, 2, 1200)
    best = separate(columns, columns[:, 0] > 4, tolerance=0.0, seed=0)[0]
    assert best.active == (0,)


def test_some_errors_are_tolerated_and_counted() -> None:
    columns = counts(1000, 3)
    labels = columns[:, 0] - columns[:, 1] > 0
    wrong = RNG(3).choice(1000, 4, replace=False)
    noisy = labels.copy()
    noisy[wrong] ^= True
    assert separate(columns, noisy, tolerance=0.0, seed=0) == []
    best = separate(columns, noisy, tolerance=0.01, seed=0)[0]
    assert dict(zip(best.active, best.weights, strict=True)) == {0: 1, 1: -1}
    assert (best.threshold, best.errors) == (0, 4)


@pytest.mark.parametrize(
    "labels",
    [
        lambda c: (c[:, 0] + c[:, 1]) % 2 == 1,
        lambda c: np.abs(c[:, 0] - c[:, 1]) > 3,
        lambda c: c[:, 0] * c[:, 1] % 3 == 0,
        lambda c: RNG(4).random(len(c)) > 0.5,
        lambda c: np.ones(len(c), bool),
        lambda c: np.zeros(len(c), bool),
    ],
    ids=["parity", "distance", "product", "noise", "always", "never"],
)
def test_what_no_form_separates_gives_nothing(labels: object) -> None:
    assert callable(labels)
    columns = counts(900, 2)
    assert separate(columns, labels(columns), tolerance=0.002, seed=0) == []


def test_many_distinct_rows_are_sampled_and_all_are_checked() -> None:
    columns = RNG(5).integers(0, 60, (6000, 3)).astype(float)
    labels = columns[:, 0] - columns[:, 2] > 0
    found = separate(columns, labels, tolerance=0.0, seed=0)
    assert found[0].weights == (1.0, -1.0)
    assert all(int((predicted(s, columns) != labels).sum()) == s.errors for s in found[:10])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    weights=st.lists(st.integers(-3, 3), min_size=2, max_size=4),
    threshold=st.integers(-5, 5),
    flips=st.integers(0, 6),
    tolerance=st.sampled_from([0.0, 0.01, 0.03]),
)
def test_whatever_is_returned_separates(
    seed: int, weights: list[int], threshold: int, flips: int, tolerance: float
) -> None:
    columns = counts(200, len(weights), seed, most=7)
    labels = columns @ np.array(weights) > threshold
    labels[RNG(seed).choice(200, flips, replace=False)] ^= True
    for found in separate(columns, labels, tolerance=tolerance, seed=0):
        assert int((predicted(found, columns) != labels).sum()) == found.errors <= tolerance * 200
        assert len(set(found.active)) == len(found.active) == len(found.weights)
        assert all(found.weights)


@settings(max_examples=15)
@given(weights=st.lists(st.sampled_from([-2, -1, 1, 2]), min_size=1, max_size=2), threshold=st.integers(0, 3))
def test_a_separator_is_found_wherever_a_small_one_exists(weights: list[int], threshold: int) -> None:
    """Every small form over all pairs of small counts: an exhaustive reference."""
    columns = np.array(list(product(range(6), repeat=2)), float)[:, : len(weights)].repeat(3, 0)
    labels = columns @ np.array(weights) > threshold
    if labels.all() or not labels.any():
        return
    assert separate(columns, labels, tolerance=0.0, seed=0)[0].errors == 0


def test_the_same_twice() -> None:
    columns = RNG(6).integers(0, 40, (5000, 5)).astype(float)
    labels = columns[:, 1] + columns[:, 2] > 40
    assert separate(columns, labels, tolerance=0.01, seed=1) == separate(columns, labels, tolerance=0.01, seed=1)
