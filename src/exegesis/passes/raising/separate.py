"""Sparse linear separators with coefficients a person would write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

Real = NDArray[np.float64]

_MAX_ROWS = 3000
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

    An L1-minimal linear program (hinge slack) proposes the active columns; small whole coefficients and thresholds over them are then
    enumerated, and columns dropped one by one while the separation survives.

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
    active = _propose(rows, counts, positive, seed)
    found: list[Separator] = []
    while active:
        best = _enumerate(rows[:, active], counts, positive, allowed)
        if not best:
            rounded = _round(rows[:, active], counts, positive, allowed, seed)
            found += [Separator(tuple(active), *rounded)] if rounded and not found else []
            break
        found = [Separator(tuple(active), w, t, e) for w, t, e in best]
        active = _drop_one(rows, counts, positive, active, allowed)
    return found


def _distinct(columns: Real, labels: NDArray[np.bool_]) -> tuple[Real, Real, Real]:
    """Distinct rows, how often each occurs, and how often with a positive label."""
    rows, inverse = np.unique(columns, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    return rows, np.bincount(inverse).astype(float), np.bincount(inverse, labels.astype(float))


def _errors(scores: Real, counts: Real, positive: Real, thresholds: Real) -> Real:
    """Wrong rows [forms, thresholds] of `score > threshold` for scores [forms, rows]."""
    above = scores[:, None, :] > thresholds[None, :, None]
    return np.asarray((above * (counts - positive) + ~above * positive).sum(-1))


def _propose(rows: Real, counts: Real, positive: Real, seed: int) -> list[int]:
    """Columns that an L1-minimal hinge classifier uses, most influential first."""
    majority = positive * 2 > counts
    if majority.all() or not majority.any():
        return []
    keep = np.arange(len(rows))
    if len(keep) > _MAX_ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(keep, _MAX_ROWS, replace=False, p=counts / counts.sum()))
    solution = _hinge(rows[keep], majority[keep], counts[keep])
    if solution is None:
        return []
    weights, _ = solution
    influence = np.abs(weights) * rows.std(0)
    order = np.argsort(-influence, kind="stable")
    return [int(k) for k in order if influence[k] > 1e-6 * influence.max()][:8]


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
    if k > 4:
        return []
    forms = np.array([w for w in product(_COEFFICIENTS, repeat=k) if all(w)], float)
    thresholds = np.array(_THRESHOLDS)
    found = []
    for chunk in np.array_split(forms, max(1, len(forms) * len(rows) // 100_000)):
        errors = _errors(chunk @ rows.T, counts, positive, thresholds)
        for i, j in zip(*np.nonzero(errors <= allowed), strict=True):
            found.append((tuple(chunk[i].tolist()), float(thresholds[j]), int(errors[i, j])))
    return sorted(found, key=lambda f: (f[2], sum(abs(c) for c in f[0]) + abs(f[1]), f[0], f[1]))


def _drop_one(rows: Real, counts: Real, positive: Real, active: list[int], allowed: float) -> list[int]:
    """The active columns without one that is not needed, or nothing."""
    for column in reversed(active):
        rest = [a for a in active if a != column]
        if rest and _enumerate(rows[:, rest], counts, positive, allowed):
            return rest
    return []


def _round(rows: Real, counts: Real, positive: Real, allowed: float, seed: int) -> tuple[tuple[float, ...], float, int] | None:
    """A hinge solution over the given columns with the fewest digits that still separate."""
    majority = positive * 2 > counts
    keep = np.arange(len(rows))
    if len(keep) > _MAX_ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(keep, _MAX_ROWS, replace=False, p=counts / counts.sum()))
    solution = _hinge(rows[keep], majority[keep], counts[keep])
    if solution is None or not np.abs(solution[0]).max() > 0:
        return None
    weights, bias = solution
    smallest = np.abs(weights[np.abs(weights) > 1e-9]).min()
    for scale in (1 / smallest, *(d / np.abs(weights).max() for d in (5, 10, 20, 50, 100, 1000))):
        w, t = np.round(weights * scale), float(np.round(-bias * scale, 1))
        for threshold in (t, 0.0):
            errors = _errors((w @ rows.T)[None], counts, positive, np.array([threshold]))[0, 0]
            if errors <= allowed:
                return tuple(w.tolist()), threshold, int(errors)
    return None
