"""What may go from a linear map, and what has to be put right in the rest, judged by its values on the behaviour.

A map z = x @ W + b is seen through the second moments of what it reads and of what it should give. Nothing here knows
labels: the target is always what the network itself has at this place.

Sources: optimal brain surgeon (Hassibi and Stork 1993) for what a row costs when the others make up for it; its use
row by row on large layers by Frantar and Alistarh (2022, "Optimal Brain Compression"; 2023, "GPTQ").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve

DAMPING = 0.01  # of the mean variance of what is read: weights of rare inputs stay near those of the network


@dataclass(frozen=True, eq=False)
class Moments:
    """What a map reads (k numbers) and what it should give (m numbers), over n cases.

    Attributes:
        mean_x: [k].
        mean_z: [m].
        xx: covariance of what it reads, [k, k].
        xz: covariance of what it reads with what it should give, [k, m].
        zz: variance of what it should give, [m].
        n: how many cases.
    """

    mean_x: Float[np.ndarray, " k"]
    mean_z: Float[np.ndarray, " m"]
    xx: Float[np.ndarray, "k k"]
    xz: Float[np.ndarray, "k m"]
    zz: Float[np.ndarray, " m"]
    n: int

    @property
    def damped(self) -> Float[np.ndarray, "k k"]:
        """`xx` with the damping on its diagonal."""
        rounding = 1e-9 * float((self.mean_x**2).mean())  # what never varies has a covariance of rounding errors
        ridge = DAMPING * max(float(np.diag(self.xx).mean()), rounding, 1e-12)
        found: Float[np.ndarray, "k k"] = self.xx + ridge * np.eye(len(self.xx))
        return found

    def fitted(self, weight: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "k m"]:
        """The weight that comes closest to the target, held near a given one where the cases say little."""
        gap = self.xz - self.xx @ weight
        found: Float[np.ndarray, "k m"] = weight + cho_solve(cho_factor(self.damped), gap)
        return found

    def bias(self, weight: Float[np.ndarray, "k m"]) -> Float[np.ndarray, " m"]:
        """The bias that makes the means right."""
        found: Float[np.ndarray, " m"] = self.mean_z - self.mean_x @ weight
        return found

    def error(self, weight: Float[np.ndarray, "k m"]) -> float:
        """The share of the target's variance that a weight (with its best bias) leaves unexplained."""
        left = self.zz.sum() - 2 * (self.xz * weight).sum() + (weight * (self.xx @ weight)).sum()
        return max(0.0, float(left / max(float(self.zz.sum()), 1e-12)))

    def rows(self, kept: Int[np.ndarray, " r"]) -> Moments:
        """The moments when only these entries are read."""
        return Moments(self.mean_x[kept], self.mean_z, self.xx[np.ix_(kept, kept)], self.xz[kept], self.zz, self.n)


@dataclass(frozen=True, eq=False)
class Removal:
    """In which order sources can go, and what that costs.

    Attributes:
        order: numbers of the sources, first to go first, [sources].
        cost: share of the targets' variance lost once the first k + 1 are gone and the others made up for them,
            [sources]; over several readers, the sum.
    """

    order: Int[np.ndarray, " s"]
    cost: Float[np.ndarray, " s"]

    def kept(self, tolerance: float, least: int = 1) -> Bool[np.ndarray, " s"]:
        """Which sources stay when at most so much may be lost; never fewer than `least`."""
        gone = min(int(np.searchsorted(self.cost, tolerance, side="right")), len(self.order) - least)
        mask = np.ones(len(self.order), dtype=bool)
        mask[self.order[:gone]] = False
        return mask


def removal(readers: list[Moments], sources: int) -> Removal:
    """Takes away one source after another, always the one that the others replace best.

    Args:
        readers: the maps that read the sources; source s of a reader with k rows is rows s·k/sources up to the next
            source's.
        sources: how many there are.
    """
    states = []
    for moments in readers:
        inverse = np.linalg.inv(moments.damped)  # from here weights are held near zero: what never varies costs nothing
        scale = max(float(moments.zz.sum()), 1e-12)
        states.append((inverse, inverse @ moments.xz, len(inverse) // sources, scale))
    alive = np.ones(sources, dtype=bool)
    order, cost, total = np.zeros(sources, dtype=np.int64), np.zeros(sources), 0.0
    for step in range(sources):
        prices = sum(_prices(inverse, weight, size) / scale for inverse, weight, size, scale in states)
        prices = np.where(alive, prices, np.inf)
        chosen = int(np.argmin(prices))
        total += max(0.0, float(prices[chosen]))
        alive[chosen], order[step], cost[step] = False, chosen, total
        states = [(*_without(i, w, slice(chosen * s, chosen * s + s)), s, scale) for i, w, s, scale in states]
    return Removal(order, cost)


def _prices(
    inverse: Float[np.ndarray, "k k"], weight: Float[np.ndarray, "k m"], size: int
) -> Float[np.ndarray, " sources"]:
    """How much the squared error grows when a source goes, for each."""
    if size == 1:
        single: Float[np.ndarray, " sources"] = (weight**2).sum(1) / np.maximum(np.diag(inverse), 1e-300)
        return single
    count = len(inverse) // size
    blocks = inverse.reshape(count, size, count, size)[np.arange(count), :, np.arange(count)]
    rows = weight.reshape(count, size, -1)
    grown = np.linalg.solve(blocks + 1e-12 * np.eye(size), rows)
    found: Float[np.ndarray, " sources"] = (rows * grown).sum((1, 2))
    return found


def _without(
    inverse: Float[np.ndarray, "k k"], weight: Float[np.ndarray, "k m"], gone: slice
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k m"]]:
    """Inverse and weight when some rows are gone and the others made up for them. Their own rows become neutral."""
    block, across = inverse[gone, gone], inverse[:, gone]
    weight = weight - across @ np.linalg.solve(block, weight[gone])
    inverse = inverse - across @ np.linalg.solve(block, across.T)
    weight[gone], inverse[gone], inverse[:, gone] = 0.0, 0.0, 0.0
    at = np.arange(len(inverse))[gone]
    inverse[at, at] = 1.0
    return inverse, weight


def quantised(
    moments: Moments, weight: Float[np.ndarray, "k m"], step: float, dead: float = 0.6
) -> Int[np.ndarray, "k m"]:
    """Whole multiples of a step in the place of a weight, later rows making up for what earlier ones lost.

    Args:
        moments: of the map.
        weight: what is rounded.
        step: what one multiple is worth.
        dead: a weight becomes the nearest multiple below it unless it is further than this share of a step above that;
            0.5 is plain rounding, more makes more zeros.
    """
    order = np.argsort(-np.diag(moments.xx), kind="stable")
    inverse = np.linalg.inv(moments.damped[np.ix_(order, order)])
    upper = np.linalg.cholesky(inverse).T
    left = weight[order].astype(np.float64)
    counts = np.zeros(left.shape, dtype=np.int64)
    block = 64
    for start in range(0, len(left), block):
        stop = min(start + block, len(left))
        errors = np.zeros((stop - start, left.shape[1]))
        for i in range(start, stop):
            counts[i] = np.sign(left[i]) * np.floor(np.abs(left[i]) / step + 1 - dead)
            errors[i - start] = (left[i] - counts[i] * step) / upper[i, i]
            left[i + 1 : stop] -= np.outer(upper[i, i + 1 : stop], errors[i - start])
        left[stop:] -= upper[start:stop, stop:].T @ errors
    found = np.zeros_like(counts)
    found[order] = counts
    return found
