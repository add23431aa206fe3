"""Is a graph more modular than chance? Its n-cut beside those of graphs whose weights were dealt out anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.random import Generator, default_rng

from exegesis.measure.modularity.graphs import Block, ModularityError, UnitGraph
from exegesis.measure.modularity.spectral import RESTARTS, Partition, partitions

Null: TypeAlias = Literal["shuffle", "nonzero", "degree"]
NULLS = 50
KS = (2, 3, 4, 5, 6, 8, 10, 12)
LEVEL = 0.05
_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class AtK:
    """One number of clusters.

    Attributes:
        partition: the graph's own.
        null: the n-cut of each null, [m].
        z: how many standard deviations of the nulls the n-cut lies above their mean; negative where more modular.
        percentile: share of the nulls, in percent, whose n-cut is below.
        p: (1 + how many nulls cut no worse) / (1 + m).
    """

    partition: Partition
    null: Float[np.ndarray, " m"]
    z: float
    percentile: float
    p: float

    @property
    def k(self) -> int:
        """How many clusters were asked for and found."""
        return self.partition.k


@dataclass(frozen=True, eq=False)
class CutTest:
    """A graph's n-cuts against a null, for several numbers of clusters.

    Attributes:
        null: which: `shuffle` deals out each layer's weights anew; `nonzero` leaves the zeros where they are; `degree`
            keeps how strongly every unit is tied to each neighbouring layer, so that units of different strength alone
            do not count as modules.
        at: what was found for each k.
        p: for the best k, corrected for having chosen it: the share of nulls whose own best z, over the same k, is as
            low.
        eigenvalues: the leading ones of the normalised adjacency matrix, largest first.
        components: how many connected parts the units with edges form.
        isolated: how many units have no edges.
    """

    null: str
    at: tuple[AtK, ...]
    p: float
    eigenvalues: Float[np.ndarray, " k"]
    components: int
    isolated: int

    @property
    def best(self) -> AtK:
        """The number of clusters that stands out most from the null."""
        return min(self.at, key=lambda a: a.z)

    @property
    def modular(self) -> bool:
        """Whether the graph has modules, at 5 %."""
        return self.p <= LEVEL and self.best.z < 0

    @property
    def eigengap(self) -> int:
        """The number of clusters before the largest fall of the eigenvalues, 2 at least."""
        falls = self.eigenvalues[1:-1] - self.eigenvalues[2:]
        return int(np.argmax(falls)) + 2 if len(falls) else 2

    def says(self) -> str:
        """The outcome in one sentence."""
        best = self.best
        figures = f"n-cut {best.partition.ncut:.3f} at k = {best.k}, z = {best.z:.1f}, p = {self.p:.3f} ({self.null})"
        return f"{'Modular' if self.modular else 'Not modular'}: {figures}."


def null_graph(graph: UnitGraph, null: Null, rng: Generator) -> UnitGraph:
    """A graph with each block's weights dealt out anew. Blocks that were not learned stay as they are."""
    blocks = tuple(b if b.fixed else replace(b, weights=_dealt(b, null, rng)) for b in graph.blocks)
    return replace(graph, blocks=blocks)


def _dealt(block: Block, null: Null, rng: Generator) -> Float[np.ndarray, "m n"]:
    weights = block.weights
    if null == "shuffle":
        return rng.permutation(weights.ravel()).reshape(weights.shape)
    out = np.zeros_like(weights)
    if null == "nonzero":
        there = weights > 0
        out[there] = rng.permutation(weights[there])
        return out
    rows, columns = weights.sum(1, dtype=np.float64), weights.sum(0, dtype=np.float64)
    cells = np.ix_(rows > 0, columns > 0)
    if rows.any():
        out[cells] = _with_strengths(weights[cells], rows[rows > 0], columns[columns > 0], rng)
    return out


def _with_strengths(
    weights: Float[np.ndarray, "m n"],
    rows: Float[np.ndarray, " m"],
    columns: Float[np.ndarray, " n"],
    rng: Generator,
) -> Float[np.ndarray, "m n"]:
    """What each edge has beyond the strength of its ends is dealt out anew; then rows and columns are scaled in turn
    until they sum to what they did (Sinkhorn and Knopp, 1967)."""
    expected = np.outer(rows, columns) / rows.sum()
    ratio = weights / expected
    dealt = expected * rng.permutation(ratio.ravel()).reshape(ratio.shape)
    for _ in range(_ROUNDS):
        dealt *= _ratio(rows, dealt.sum(1))[:, None]
        dealt *= _ratio(columns, dealt.sum(0))
    return np.asarray(dealt, dtype=np.float32)


def _ratio(wanted: Float[np.ndarray, " n"], there: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """By how much to scale; bounded, since zeros may have come to lie where no scaling helps."""
    found = np.divide(wanted, there, out=np.ones(len(there)), where=there > 0)
    return np.asarray(found.clip(0.1, 10))


def cut_test(
    graph: UnitGraph,
    *,
    ks: Sequence[int] | None = None,
    null: Null = "shuffle",
    nulls: int = NULLS,
    restarts: int = RESTARTS,
    seed: int = 0,
) -> CutTest:
    """Compares the n-cuts of a graph with those of its own shuffles.

    Source: Filan et al. (arXiv 2103.03386), section 3; the correction over k is ours (the largest statistic).

    Args:
        graph: units and edges.
        ks: numbers of clusters; None for 2 … 12, as far as there are units.
        null: how nulls are drawn.
        nulls: how many, m; at least 20, or no p value could be small.
        restarts: of k-means, for the graph and for each null.
        seed: of nulls and starts.

    Raises:
        ModularityError: too few units with edges, or too few nulls.
    """
    drawn = (null_graph(graph, null, default_rng([seed, 1, i])) for i in range(nulls))
    return compared(graph, drawn, nulls, ks=ks, null=null, restarts=restarts, seed=seed)


def compared(
    graph: UnitGraph,
    others: Iterable[UnitGraph],
    count: int,
    *,
    ks: Sequence[int] | None = None,
    null: str = "shuffle",
    restarts: int = RESTARTS,
    seed: int = 0,
) -> CutTest:
    """The same against any other graphs, of which there are `count`, e.g. those of networks with shuffled weights.

    Raises:
        ModularityError: too few units with edges, or too few nulls.
    """
    alive = int(graph.connected.sum())
    if alive < 4:
        raise ModularityError(f"Only {alive} units have edges; modules need at least 4.")
    if count < 20:
        raise ModularityError(f"{count} nulls are too few to tell anything at 5 %; draw at least 20.")
    wanted = sorted({k for k in (ks or KS) if 2 <= k <= alive // 2})
    if not wanted:
        raise ModularityError(f"{alive} units with edges allow 2 to {alive // 2} clusters, none of those asked for.")
    own, found = partitions(graph, wanted, default_rng([seed, 0]), restarts=restarts)
    drawn = [_cuts(g, wanted, default_rng([seed, 2, i]), restarts) for i, g in enumerate(others)]
    return _tested(graph, own, found.values, np.array(drawn), null)


def _cuts(graph: UnitGraph, ks: Sequence[int], rng: Generator, restarts: int) -> list[float]:
    """The n-cut for each k. A null that has lost too many units for k clusters cuts as badly as can be."""
    fits = [k for k in ks if k <= graph.connected.sum()]
    found = partitions(graph, fits, rng, restarts=restarts)[0] if fits else []
    return [p.ncut for p in found] + [float(k) for k in ks[len(fits) :]]


def _tested(
    graph: UnitGraph,
    own: Sequence[Partition],
    eigenvalues: Float[np.ndarray, " k"],
    drawn: Float[np.ndarray, "m j"],
    null: str,
) -> CutTest:
    cuts = np.array([p.ncut for p in own])
    z = (cuts - drawn.mean(0)) / drawn.std(0, ddof=1).clip(1e-9)
    both = np.vstack([cuts, drawn])  # each judged by all, so that under the null none is special
    best = ((both - both.mean(0)) / both.std(0, ddof=1).clip(1e-9)).min(1)
    m = len(drawn)
    at = tuple(
        AtK(
            partition,
            drawn[:, i],
            float(z[i]),
            float(100 * (drawn[:, i] < cuts[i]).mean()),
            float((1 + (drawn[:, i] <= cuts[i]).sum()) / (1 + m)),
        )
        for i, partition in enumerate(own)
    )
    there = graph.connected
    return CutTest(
        null=null,
        at=at,
        p=float((1 + (best[1:] <= best[0]).sum()) / (1 + m)),
        eigenvalues=eigenvalues.astype(np.float64),
        components=len(np.unique(graph.components[there])),
        isolated=int((~there).sum()),
    )
