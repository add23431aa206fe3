"""Spectral clustering by normalised cuts, for layered graphs.

Every edge of a feed-forward network joins an even layer to an odd one, so the normalised adjacency matrix is
[[0, B], [Bᵀ, 0]] and its leading eigenvectors are the singular vectors of B. The smaller of BᵀB and BBᵀ is all that has
to be decomposed: for 784-256-256-256-10 that is 512 × 512 instead of 1562 × 1562. Graphs with skip or recurrent edges
take the long way.

Source: Shi and Malik, Normalized Cuts and Image Segmentation (2000); von Luxburg, A Tutorial on Spectral Clustering
(2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.random import Generator
from scipy.linalg import eigh

from exegesis.measure.modularity.graphs import ModularityError, UnitGraph
from exegesis.measure.modularity.kmeans import lloyd

RESTARTS = 8


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The leading eigenvectors of a graph's normalised adjacency matrix.

    Attributes:
        values: eigenvalues, largest first, [k]; 1 minus these are those of the normalised Laplacian.
        rows: a place for each unit with an edge, [n, k]: eigenvectors divided by the roots of the degrees.
    """

    values: Float[np.ndarray, " k"]
    rows: Float[np.ndarray, "n k"]


@dataclass(frozen=True, eq=False)
class Partition:
    """Units dealt out to clusters.

    Attributes:
        labels: the cluster of each unit, [n]; -1 for units without edges.
        ncut: the sum over clusters of (weight of the edges that leave it) / (sum of the degrees in it).
    """

    labels: Int[np.ndarray, " n"]
    ncut: float

    @property
    def k(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max(initial=-1)) + 1


def spectrum(graph: UnitGraph, k: int) -> Spectrum:
    """The k leading eigenvectors of a graph in which every unit has an edge.

    Raises:
        ModularityError: a unit has no edge, or there are fewer units than k.
    """
    if not graph.connected.all():
        raise ModularityError(f"{int((~graph.connected).sum())} units have no edges; leave them out first.")
    if not 1 <= k <= graph.n:
        raise ModularityError(f"A graph of {graph.n} units has no {k} clusters.")
    scale = (1 / np.sqrt(graph.degrees)).astype(np.float32)
    values, vectors = _of_two_sides(graph, scale, k) if graph.colours else _of_any(graph, scale, k)
    return Spectrum(values, vectors * scale[:, None])


def _of_two_sides(
    graph: UnitGraph, scale: Float[np.ndarray, " n"], k: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]:
    """Through the singular vectors of the block that joins the two sides."""
    assert graph.colours is not None
    side = np.array(graph.colours)[graph.layer_of]
    if (side == 1).sum() > (side == 0).sum():
        side = 1 - side  # the smaller side is decomposed
    place = np.where(side == 1, np.cumsum(side == 1), np.cumsum(side == 0)) - 1
    joined = np.zeros((int((side == 0).sum()), int((side == 1).sum())), dtype=np.float32)
    for b in graph.blocks:
        at = graph.offsets[b.source], graph.offsets[b.target]
        if not b.weights.size:
            continue
        part = b.weights * scale[graph.span(b.source), None] * scale[None, graph.span(b.target)]
        if side[at[0]] == 1:
            part, at = part.T, (at[1], at[0])
        rows, columns = place[at[0]], place[at[1]]
        joined[rows : rows + part.shape[0], columns : columns + part.shape[1]] += part
    small = joined.shape[1]
    found = min(k, small)
    squares, right = _leading(joined.T @ joined, found)
    values = np.sqrt(squares.clip(0))
    left = joined @ right / values.clip(1e-6)
    left[:, values < 1e-3] = 0
    vectors = np.zeros((graph.n, k), dtype=np.float32)
    vectors[side == 0, :found] = left / np.sqrt(2)
    vectors[side == 1, :found] = right / np.sqrt(2)
    return np.pad(values, (0, k - found)), vectors


def _of_any(
    graph: UnitGraph, scale: Float[np.ndarray, " n"], k: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]:
    """Through the whole matrix."""
    return _leading(graph.adjacency() * scale[:, None] * scale[None], k)


def _leading(matrix: Float[np.ndarray, "n n"], k: int) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]:
    n = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[n - k, n - 1], driver="evr", overwrite_a=True, check_finite=False)
    return values[::-1].copy(), vectors[:, ::-1].copy()


def ncuts(graph: UnitGraph, labels: Int[np.ndarray, "r n"], k: int) -> Float[np.ndarray, " r"]:
    """The n-cut of each of several partitions of a graph into k clusters. Units labelled -1 are in none.

    An empty cluster, or one without edges, counts as 1: all that could be cut is.
    """
    r, n = labels.shape
    members = (labels[:, :, None] == np.arange(k)).astype(np.float32).transpose(1, 0, 2).reshape(n, r * k)
    volume = graph.degrees @ members
    inside = np.zeros(r * k)
    for b in graph.blocks:
        far = b.weights @ members[graph.span(b.target)]
        inside += 2 * np.einsum("nc,nc->c", members[graph.span(b.source)], far, dtype=np.float64)
    kept = np.divide(inside, volume, out=np.zeros_like(inside), where=volume > 0)
    return np.asarray((1 - kept).reshape(r, k).sum(1))


def partitions(
    graph: UnitGraph, ks: Sequence[int], rng: Generator, *, restarts: int = RESTARTS
) -> tuple[list[Partition], Spectrum]:
    """The best partition into k clusters for each k, from one decomposition.

    k-means is started several times in the leading eigenvectors, and the start with the smallest n-cut is kept.

    Args:
        graph: the units and their edges; those without any stay outside.
        ks: how many clusters to look for.
        rng: draws the starts.
        restarts: how often k-means is started.

    Returns:
        A partition for each k, and the spectrum of the units with edges.

    Raises:
        ModularityError: fewer connected units than clusters, or k < 2.
    """
    there = graph.connected
    alive = graph if there.all() else graph.select(there)
    if alive.n < max(ks) or min(ks) < 2:
        raise ModularityError(f"{alive.n} units with edges cannot be dealt out to {max(ks)} clusters.")
    found = spectrum(alive, max(ks))
    out = []
    for k in ks:
        tried = lloyd(found.rows[:, :k], k, rng, restarts)
        cuts = ncuts(alive, tried, k)
        best = int(np.argmin(cuts))
        labels = np.full(graph.n, -1, dtype=np.int64)
        labels[there] = _in_order(tried[best])
        out.append(Partition(labels, float(cuts[best])))
    return out, found


def _in_order(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Clusters numbered by their size, largest first; empty ones are gone."""
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    return np.asarray(rank[inverse])
