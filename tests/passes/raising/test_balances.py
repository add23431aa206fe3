"""Linear separators with few digits: rules over shares that are known, and labels that follow none."""

from __future__ import annotations

import numpy as np
import pytest

from exegesis.passes.raising.balances import balance


def shares(n: int, seed: int = 0) -> np.ndarray:
    """Shares of a, b and of one more, which occurs once, as counts of two letters give them."""
    rng = np.random.default_rng(seed)
    length = rng.integers(4, 50, n)
    a = np.clip((length - 1) / 2 + rng.integers(-3, 4, n), 0, length - 1).round()
    return np.stack([a, length - 1 - a, np.ones(n)], 1) / length[:, None]


@pytest.mark.parametrize("bound", [0.5, 1.5, -1.5])
def test_a_difference_of_counts_is_found_and_holds_beyond_its_lengths(bound: float) -> None:
    x = shares(4000)
    found = balance(x, x @ [1, -1, -bound] > 0, tolerance=0.0, seed=0, shares=[[0, 1, 2]])
    assert found is not None
    weights = dict(zip(found.active, found.weights, strict=True))
    assert (abs(weights[0]), weights[0] + weights[1], found.threshold) == (1.0, 0.0, 0.0)
    counts = np.array([[k + d, k, 1] for k in range(20, 200) for d in range(-4, 5)])
    longer = counts / counts.sum(1, keepdims=True)
    form = longer @ [weights.get(k, 0.0) for k in range(3)]
    assert np.array_equal(form > 0, counts @ [1, -1, -bound] > 0)


def test_an_offset_is_found() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([shares(4000), rng.integers(-1, 2, (4000, 1))], 1)
    labels = x @ [1, -1, -1.5, 0.08] > 0
    found = balance(x, labels, tolerance=0.01, seed=0, shares=[[0, 1, 2]])
    assert found is not None
    said = x[:, list(found.active)] @ found.weights > found.threshold
    assert (said == labels).mean() > 0.99
    assert dict(zip(found.active, found.weights, strict=True))[3] == pytest.approx(0.08, abs=0.02)
    assert found.errors == int((said != labels).sum())


def test_without_shares_any_threshold_will_do() -> None:
    x = np.random.default_rng(2).normal(size=(2000, 3)).round(3)
    labels = x @ [1, 0.5, 0] > 0.2
    found = balance(x, labels, tolerance=0.01, seed=0)
    assert found is not None
    assert (((x[:, list(found.active)] @ found.weights) > found.threshold) == labels).mean() > 0.99
    assert 2 not in found.active


def test_labels_that_follow_nothing_are_refused() -> None:
    x = shares(2000)
    assert balance(x, np.random.default_rng(3).random(2000) < 0.5, tolerance=0.05, seed=0, shares=[[0, 1, 2]]) is None
    assert balance(x, np.ones(2000, bool), tolerance=0.05, seed=0) is None


def test_so_few_exceptions_that_nothing_separates_them_are_left_alone() -> None:
    labels = np.zeros(2000, bool)
    labels[7] = True
    constant = np.ones((2000, 2))
    assert balance(constant, labels, tolerance=0.05, seed=0) is None
