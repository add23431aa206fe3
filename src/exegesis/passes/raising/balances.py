"""Linear separators over shares and truth values, with as few digits as keep the separation.

`separate` looks for small whole coefficients, as counts have them. What a network adds up before a threshold has any:
here a linear program finds them (an L1-minimal hinge classifier; rows that it gets wrong are added until it gets none
wrong, or gains nothing), and they are rounded as far as the labels allow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix, eye, hstack

from exegesis.passes.raising.phrases import simplest_between
from exegesis.passes.raising.separate import Separator

Real = NDArray[np.float64]
Mask = NDArray[np.bool_]

_FIRST = 600
_MORE = 400
_ROUNDS = 6
_PRICE = 1e-3
_DIGITS = range(5)
_WORSE, _ODD = 1.1, 2e-4  # what rounding may add to the errors: a tenth of them, and this share of all rows
_FEWEST, _MOST = 2, 4


def balance(
    columns: Real, labels: Mask, *, tolerance: float, seed: int, shares: Sequence[Sequence[int]] = ()
) -> Separator | None:
    """`columns @ weights > threshold` with short weights, or None where more than the tolerated share is wrong.

    Args:
        columns: [n, k] observations of about the same scale.
        labels: [n].
        tolerance: share of rows that may be on the wrong side.
        seed: draws the rows of the first linear program.
        shares: columns that add up to 1 everywhere, set by set. Where opposite weights for the two largest of a set and
            no threshold will do, as in `a - b > 2 * c`, that is preferred: it says something of counts.
    """
    if labels.all() or not labels.any():
        return None
    rows, index = _distinct(np.round(columns, 6))
    counts = _how_often(index, np.ones(len(labels), bool))
    positive = _how_often(index, labels)
    level = _level(columns, shares)
    if level is not None:
        found = _fitted(rows @ level, counts, positive, tolerance, seed, biased=False)
        if found is not None:
            weights = level @ np.asarray(_spread(found, level.shape[1]))
            active = np.flatnonzero(weights)
            return Separator(tuple(active.tolist()), tuple(weights[active].tolist()), 0.0, found.errors)
    return _fitted(rows, counts, positive, tolerance, seed, biased=True)


def _distinct(columns: Real) -> tuple[Real, NDArray[np.int64]]:
    """Distinct rows, and which of them each row is."""
    rows, index = np.unique(columns, axis=0, return_inverse=True)
    return rows, index.reshape(-1)


def _how_often(index: NDArray[np.int64], which: Mask) -> Real:
    """How many of some rows are each distinct row."""
    found = np.zeros(index.max() + 1)
    np.add.at(found, index[which], 1.0)
    return found


def _level(columns: Real, shares: Sequence[Sequence[int]]) -> Real | None:
    """Directions [k, j] in which weights may go so that the two largest parts of every distribution have opposite ones.

    Then a threshold of 0 says the same of the counts behind the shares, however many positions there are.
    """
    if not shares or not all(_FEWEST <= len(s) <= _MOST for s in shares):
        return None
    directions = np.eye(columns.shape[1])
    second = []
    for share in map(np.asarray, shares):
        a, b = share[np.argsort(-columns[:, share].mean(0), kind="stable")[:2]]
        directions[b, a] = -1.0
        second.append(b)
    return np.delete(directions, second, axis=1)


def _spread(found: Separator, width: int) -> list[float]:
    weights = dict(zip(found.active, found.weights, strict=True))
    return [weights.get(k, 0.0) for k in range(width)]


def _fitted(rows: Real, counts: Real, positive: Real, tolerance: float, seed: int, *, biased: bool) -> Separator | None:
    """The separator with the fewest digits, or None."""
    solution = _solve(rows, counts, positive, seed, biased)
    if solution is None or solution[1] > tolerance * counts.sum():
        return None
    weights, errors = solution
    if not weights.any():  # so few rows are different that nothing needs to separate them
        return None
    allowed = _WORSE * errors + _ODD * counts.sum()
    if biased:
        weights = weights / np.abs(weights).max()
    else:  # in units of the difference that comes first
        weights = weights / np.abs(weights[:1] if weights[0] else weights).max()
    return _shortest(rows, counts, positive, weights, allowed, biased)


def _solve(rows: Real, counts: Real, positive: Real, seed: int, biased: bool) -> tuple[Real, float] | None:
    """The weights with the fewest wrong rows, and how many are wrong."""
    rng = np.random.default_rng(seed)
    sign = np.where(positive * 2 > counts, 1.0, -1.0)
    chosen = np.sort(rng.permutation(len(rows))[:_FIRST])
    best: tuple[Real, float] | None = None
    for _ in range(_ROUNDS):
        found = _hinge(rows[chosen], sign[chosen], counts[chosen], biased)
        if found is None:
            return best
        weights, bias = found
        margin = sign * (rows @ weights + bias)
        wrong, _ = _cut(rows @ weights, counts, positive, biased)
        if best is None or wrong < best[1]:
            best = weights, wrong
        missed = np.setdiff1d(np.flatnonzero(margin < 1), chosen)
        if not len(missed):
            break
        chosen = np.union1d(chosen, missed[np.argsort(margin[missed], kind="stable")[:_MORE]])
    return best


def _hinge(rows: Real, sign: Real, counts: Real, biased: bool) -> tuple[Real, float] | None:
    """min price·|w|₁ + Σ counts·slack  subject to  sign·(w·x + b) ≥ 1 − slack."""
    n, k = rows.shape
    signed = csr_matrix(np.hstack([sign[:, None] * rows, sign[:, None] * biased]))
    matrix = -hstack([signed, -signed, eye(n)]).tocsr()
    price = np.concatenate([np.full(k, _PRICE), np.zeros(1)])
    result = linprog(
        np.concatenate([price, price, counts]), A_ub=matrix, b_ub=-np.ones(n), bounds=(0, None), method="highs"
    )
    if result.x is None:
        return None
    found = result.x[: k + 1] - result.x[k + 1 : 2 * k + 2]
    return found[:k], float(found[k])


def _cut(scores: Real, counts: Real, positive: Real, free: bool) -> tuple[float, tuple[float, float]]:
    """The threshold (0 unless free) with the fewest wrong rows: how many, and between which scores it lies."""
    if not free:
        return float(np.where(scores > 0, counts - positive, positive).sum()), (-1.0, 1.0)
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    below = np.concatenate([[0.0], np.cumsum(positive[order])])  # yes on the wrong side when the cut is before rank i
    above = np.concatenate([[0.0], np.cumsum((counts - positive)[order])])
    wrong = below + above[-1] - above
    apart = np.concatenate([[True], np.diff(ranked) > 1e-9, [True]])
    wrong = np.where(apart, wrong, np.inf)
    at = int(wrong.argmin())
    low = ranked[at - 1] if at else ranked[0] - 1
    high = ranked[at] if at < len(ranked) else ranked[-1] + 1
    return float(wrong[at]), (float(low), float(high))


def _shortest(
    rows: Real, counts: Real, positive: Real, weights: Real, allowed: float, biased: bool
) -> Separator | None:
    """The weights rounded to the fewest digits."""
    for digits in _DIGITS:
        rounded = np.round(weights, digits)
        if not rounded.any():
            continue
        wrong, (low, high) = _cut(rows @ rounded, counts, positive, biased)
        if wrong <= allowed:
            active = np.flatnonzero(rounded)
            threshold = simplest_between(low, high)
            return Separator(tuple(active.tolist()), tuple(rounded[active].tolist()), threshold, int(wrong))
    return None
