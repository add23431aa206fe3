"""Sparse linear separators with coefficients a person would write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

Real = NDArray[np.float64]

_MAX_ROWS = 1500
_HOPEFUL = 0.95
_SCREEN = 200
_ENUMERATED = 4
_SIZES = (*range(1, 13), 20, 50, 100, 1000)
_COEFFICIENTS = range(-3, 4)
_THRESHOLDS = [float(t) for k in range(9) for t in dict.fromkeys((k, -k))]


@dataclass(frozen=True)
class Separator:
    """`columns @ weights > threshold` predicts the label; `errors` counts the (weighted) rows where it does not."""

    active: tuple[int, ...]
    weights: tuple[float, ...]
    threshold: float
    errors: int


def separate(columns: Real, labels: NDArray[np.bool_], *, tolerance: float, seed: int) -> list[Separator]:
    """Separators of the labels by few columns with small whole coefficients, simplest first.

    An L1-minimal linear program (hinge slack) proposes the active columns and, rounded, coefficients. Over at most four
    columns all small whole coefficients and thresholds are enumerated, and columns dropped one by one while the
    separation survives.

    Args:
        columns: [n, k] observations, integer counts where possible (ties matter).
        labels: [n].
        tolerance: share of rows that may be on the wrong side.
        seed: picks the rows of the linear program when there are too many distinct ones.

    Returns:
        Separators within the tolerance, ordered by the size of their coefficients; empty when there is none.
    """
    rows, counts, positive = _distinct(columns, labels)
    allowed = tolerance * len(labels)
    active, weights, bias = _propose(rows, counts, positive, seed)
    found: list[Separator] = []
    if len(active) > _ENUMERATED:
        rounded = _round(rows[:, active], weights, bias, counts, positive, allowed)
        found = [] if rounded is None else [_without_zeros(active, *rounded)]
        active = active[: _ENUMERATED + 2]
    while active:
        best = _enumerate(rows[:, active], counts, positive, allowed)
        if not best:
            active = active[:-1] if len(active) > _ENUMERATED else []
            continue
        found = [Separator(tuple(active), w, t, e) for w, t, e in best]
        active = _drop_one(rows, counts, positive, active, allowed)
    return found


def _without_zeros(active: list[int], weights: tuple[float, ...], threshold: float, errors: int) -> Separator:
    kept = [(a, w) for a, w in zip(active, weights, strict=True) if w]
    return Separator(tuple(a for a, _ in kept), tuple(w for _, w in kept), threshold, errors)


def _distinct(columns: Real, labels: NDArray[np.bool_]) -> tuple[Real, Real, Real]:
    """Distinct rows, how often each occurs, and how often with a positive label."""
    rows, inverse = np.unique(columns, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    counts, positive = np.bincount(inverse), np.bincount(inverse, labels.astype(np.float64))
    return rows, counts.astype(np.float64), positive.astype(np.float64)


def _errors(scores: Real, counts: Real, positive: Real, thresholds: Real) -> Real:
    """Wrong rows [forms, thresholds] of `score > threshold` for scores [forms, rows]."""
    above = scores[:, None, :] > thresholds[None, :, None]
    return np.asarray((above * (counts - positive) + ~above * positive).sum(-1))


def _propose(rows: Real, counts: Real, positive: Real, seed: int) -> tuple[list[int], Real, float]:
    """Columns that an L1-minimal hinge classifier uses, most influential first, with their weights and its bias."""
    majority = positive * 2 > counts
    if majority.all() or not majority.any() or not _is_hopeful(rows, majority, counts):
        return [], np.zeros(0), 0.0
    keep = np.arange(len(rows))
    if len(keep) > _MAX_ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(keep, _MAX_ROWS, replace=False, p=counts / counts.sum()))
    solution = _hinge(rows[keep], majority[keep], counts[keep])
    if solution is None:
        return [], np.zeros(0), 0.0
    weights, bias = solution
    influence = np.abs(weights) * rows.std(0)
    order = np.argsort(-influence, kind="stable")
    active = [int(k) for k in order if influence[k] > 1e-6 * influence.max()]
    return active, weights[active], bias


def _is_hopeful(rows: Real, labels: NDArray[np.bool_], counts: Real) -> bool:
    """Whether a regularised classifier comes near a separation; a linear program that has none to find takes long."""
    spread = rows.std(0)
    scaled = (rows - rows.mean(0)) / np.where(spread > 0, spread, 1)
    model = LogisticRegression(C=100.0, max_iter=200, tol=1e-3).fit(scaled, labels, sample_weight=counts)
    return bool(((model.predict(scaled) == labels) * counts).sum() >= _HOPEFUL * counts.sum())


def _hinge(rows: Real, labels: NDArray[np.bool_], counts: Real, price: float = 0.01) -> tuple[Real, float] | None:
    """min price·|w|₁ + Σ counts·slack  subject to  label·(w·x + b) ≥ 1 − slack."""
    n, k = rows.shape
    sign = np.where(labels, 1.0, -1.0)[:, None]
    matrix = -np.hstack([sign * rows, -sign * rows, sign, -sign, np.eye(n)])
    cost = np.concatenate([np.full(2 * k, price), np.zeros(2), counts])
    result = linprog(cost, A_ub=csr_matrix(matrix), b_ub=-np.ones(n), bounds=(0, None), method="highs")
    if result.x is None:
        return None
    x = result.x
    return x[:k] - x[k : 2 * k], float(x[2 * k] - x[2 * k + 1])


def _enumerate(rows: Real, counts: Real, positive: Real, allowed: float) -> list[tuple[tuple[float, ...], float, int]]:
    """All small whole separators over at most four columns, simplest first."""
    k = rows.shape[1]
    if k > _ENUMERATED:
        return []
    forms = np.array([w for w in product(_COEFFICIENTS, repeat=k) if all(w)], float)
    thresholds = np.array(_THRESHOLDS)
    few = np.linspace(0, len(rows) - 1, min(_SCREEN, len(rows))).astype(int)
    hopeful = _errors(forms @ rows[few].T, counts[few], positive[few], thresholds).min(1) <= allowed
    found = []
    for form in forms[hopeful]:
        errors = _errors((form @ rows.T)[None], counts, positive, thresholds)[0]
        found += [
            (tuple(form.tolist()), float(thresholds[j]), int(errors[j])) for j in np.flatnonzero(errors <= allowed)
        ]
    return sorted(found, key=lambda f: (f[2], sum(abs(c) for c in f[0]) + abs(f[1]), f[0], f[1]))


def _drop_one(rows: Real, counts: Real, positive: Real, active: list[int], allowed: float) -> list[int]:
    """The active columns without one that is not needed, or nothing."""
    for column in reversed(active):
        rest = [a for a in active if a != column]
        if rest and _enumerate(rows[:, rest], counts, positive, allowed):
            return rest
    return []


def _round(
    rows: Real, weights: Real, bias: float, counts: Real, positive: Real, allowed: float
) -> tuple[tuple[float, ...], float, int] | None:
    """The hinge solution with the smallest whole coefficients that still separate."""
    largest = float(np.abs(weights).max(initial=0.0))
    if not largest:
        return None
    thresholds = np.array(_THRESHOLDS)
    for size in _SIZES:
        rounded = np.round(weights * size / largest)
        centre = np.round(-bias * size / largest)
        errors = _errors((rounded @ rows.T)[None], counts, positive, thresholds + centre)[0]
        zero = _errors((rounded @ rows.T)[None], counts, positive, np.zeros(1))[0]
        if zero[0] <= allowed:
            return tuple(rounded.tolist()), 0.0, int(zero[0])
        best = int(errors.argmin())
        if errors[best] <= allowed:
            return tuple(rounded.tolist()), float(thresholds[best] + centre), int(errors[best])
    return None
