"""k-means from several starts at once: one matrix product a step for all of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.random import Generator

STEPS = 60
TOLERANCE = 1e-4


def lloyd(
    points: Float[np.ndarray, "n d"], k: int, rng: Generator, restarts: int, *, steps: int = STEPS
) -> Int[np.ndarray, "r n"]:
    """The labels that Lloyd's algorithm ends with, from starts by k-means++ (Arthur and Vassilvitskii, 2007).

    A start is done when its inertia falls by less than 1 in 10,000 in a step. A cluster that loses all its points stays
    where it is.

    Args:
        points: [n, d], n ≥ k.
        k: how many clusters.
        rng: draws the starts.
        restarts: how many starts, r.
        steps: at most.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    n, d = points.shape
    length = np.einsum("nd,nd->n", points, points)
    centres = _starts(points, length, k, rng, restarts)
    labels = np.zeros((restarts, n), dtype=np.int64)
    running, before = np.arange(restarts), np.full(restarts, np.inf)
    for _ in range(steps):
        r = len(running)
        flat = centres[running].reshape(r * k, d)
        away = np.einsum("cd,cd->c", flat, flat)[None] - 2 * (points @ flat.T)
        near = away.reshape(n, r, k)
        nearest = near.argmin(2)
        labels[running] = nearest.T
        inertia = np.take_along_axis(near, nearest[:, :, None], 2)[:, :, 0].sum(0) + length.sum()
        members = np.zeros((n, r * k), dtype=np.float32)
        members[np.arange(n)[:, None], nearest + k * np.arange(r)] = 1
        counts = members.sum(0)
        sums = members.T @ points
        moved = np.where(counts[:, None] > 0, sums / counts.clip(1)[:, None], flat)
        centres[running] = moved.reshape(r, k, d)
        going = before[running] - inertia > TOLERANCE * np.abs(inertia)
        before[running] = inertia
        running = running[going]
        if not len(running):
            break
    return labels


def _starts(
    points: Float[np.ndarray, "n d"], length: Float[np.ndarray, " n"], k: int, rng: Generator, restarts: int
) -> Float[np.ndarray, "r k d"]:
    """Each next centre is the best of a few points drawn by their squared distance to the centres so far."""
    n = len(points)
    trials = 2 + int(np.log(k))
    centres = np.empty((restarts, k, points.shape[1]), dtype=np.float32)
    picks = rng.integers(n, size=restarts)
    centres[:, 0] = points[picks]
    squared = (length[:, None] + length[picks] - 2 * points @ points[picks].T).clip(0)  # [n, r]
    for j in range(1, k):
        reach = squared.cumsum(0, dtype=np.float64)
        wanted = rng.random((trials, restarts)) * reach[-1]
        drawn = np.stack([np.searchsorted(reach[:, r], wanted[:, r]) for r in range(restarts)], 1).clip(0, n - 1)
        away = length[:, None] + length[drawn.ravel()] - 2 * points @ points[drawn.ravel()].T
        closer = np.minimum(squared[:, None], away.clip(0).reshape(n, trials, restarts))
        best = closer.sum(0).argmin(0)
        squared = np.take_along_axis(closer, best[None, None], 1)[:, 0]
        centres[:, j] = points[drawn[best, np.arange(restarts)]]
    return centres
