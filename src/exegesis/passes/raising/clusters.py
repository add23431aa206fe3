"""Vectors that take few distinct values: which value is it at each observation?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

Real = NDArray[np.floating]
Codes = NDArray[np.int64]

_EXACT = 1e-3
_MOST = 400
_JUMP = 1.5


@dataclass(frozen=True)
class Clusters:
    """Observations grouped by value.

    Attributes:
        codes: [n], which group.
        count: how many groups.
        spread: the largest distance within a group, relative to the largest distance between any two observations.
    """

    codes: Codes
    count: int
    spread: float


def cluster(vectors: Real, *, most: int = _MOST) -> list[Clusters]:
    """Groupings of vectors [n, d], coarsest first.

    The last one is exact: its groups differ by less than a thousandth of the largest distance. Coarser ones are offered
    where the distances leave a gap: a compiled network blends neighbouring values where it cannot tell them apart well.

    Args:
        vectors: one per observation.
        most: more distinct vectors than this are no finite set.

    Returns:
        Nothing where there are too many distinct vectors; one group where all are the same.
    """
    vectors = np.asarray(vectors, np.float64)
    scale = float(np.ptp(vectors, axis=0).max(initial=0.0))
    if scale <= 1e-9 + 1e-6 * float(np.abs(vectors).max(initial=0.0)):
        return [Clusters(np.zeros(len(vectors), np.int64), 1, 0.0)]
    rounded = np.round(vectors / (_EXACT * scale)).astype(np.int64)
    _, first, inverse = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    if len(first) > most:
        return []
    tree = linkage(pdist(vectors[first]), method="complete")
    heights, widest = tree[:, 2], float(tree[:, 2].max())
    cuts = [float(c) for c in _cuts(heights, widest)]
    found = []
    for cut in cuts:
        codes = fcluster(tree, cut, criterion="distance").astype(np.int64)[inverse.reshape(-1)] - 1
        inside = heights[heights <= cut]
        found.append(Clusters(codes, int(codes.max()) + 1, float(inside.max(initial=0.0)) / widest))
    return found


def _cuts(heights: NDArray[np.float64], widest: float) -> NDArray[np.float64]:
    """Where to cut the tree of merges, highest first: in every gap between heights, and below all real distances."""
    exact = 4 * _EXACT * widest
    real = heights[heights > exact]
    gaps = [np.sqrt(a * b) for a, b in pairwise(real) if b > _JUMP * a and a < 0.5 * widest]
    return np.array([*sorted(gaps, reverse=True), exact])


def codes_of(values: NDArray[Any]) -> Codes:
    """A variable's values [n] as 0, 1, 2 … in their order; reals that differ by rounding alone count as equal."""
    if np.issubdtype(values.dtype, np.floating):
        values = np.round(values, 6)
    return np.asarray(np.unique(values, return_inverse=True)[1].reshape(-1), np.int64)


def joint(first: Codes, second: Codes) -> Codes:
    """The codes of pairs."""
    return np.asarray(
        np.unique(first * (second.max(initial=0) + 1) + second, return_inverse=True)[1].reshape(-1), np.int64
    )


def decides(source: Codes, target: Codes) -> bool:
    """Whether equal source codes always go with equal target codes."""
    order = np.zeros(int(source.max(initial=0)) + 1, np.int64)
    order[source] = target
    return bool((order[source] == target).all())


def same_partition(first: Codes, second: Codes) -> bool:
    """Whether two groupings are one, up to the names of their groups."""
    return decides(first, second) and decides(second, first)
