"""Communities by the Leiden algorithm, which chooses their number itself. Needs the extra `modules`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.random import default_rng

from exegesis.ir import InputError
from exegesis.measure.modularity.graphs import ModularityError, UnitGraph
from exegesis.measure.modularity.nulls import LEVEL, Null, null_graph

NULLS = 20


@dataclass(frozen=True, eq=False)
class Communities:
    """A graph's communities and its modularity beside that of nulls.

    Attributes:
        labels: the community of each unit, largest first, [n]; -1 for units without edges.
        modularity: Q (Newman and Girvan, 2004): the share of edges inside communities above what degrees alone give.
        null: Q of each null, [m].
        z: how many standard deviations Q lies above the nulls; positive where more modular.
        p: (1 + how many nulls have as large a Q) / (1 + m).
    """

    labels: Int[np.ndarray, " n"]
    modularity: float
    null: Float[np.ndarray, " m"]
    z: float
    p: float

    @property
    def k(self) -> int:
        """How many communities there are."""
        return int(self.labels.max()) + 1

    @property
    def modular(self) -> bool:
        """Whether the graph has communities, at 5 %."""
        return self.p <= LEVEL and self.z > 0


def communities(graph: UnitGraph, *, null: Null = "shuffle", nulls: int = NULLS, seed: int = 0) -> Communities:
    """Finds communities, in a graph and in its nulls.

    Source: Traag, Waltman and van Eck, From Louvain to Leiden (2019).

    Args:
        graph: units and edges.
        null: how nulls are drawn, as in `cut_test`.
        nulls: how many; at least 20.
        seed: of everything drawn.

    Raises:
        InputError: the extra `modules` is not installed.
        ModularityError: no edges, or too few nulls.
    """
    drawn = (null_graph(graph, null, default_rng([seed, 3, i])) for i in range(nulls))
    return compared_communities(graph, drawn, nulls, seed=seed)


def compared_communities(graph: UnitGraph, others: Iterable[UnitGraph], count: int, *, seed: int = 0) -> Communities:
    """The same against any other graphs, of which there are `count`.

    Raises:
        InputError: the extra `modules` is not installed.
        ModularityError: no edges, or too few nulls.
    """
    if count < 20:
        raise ModularityError(f"{count} nulls are too few to tell anything at 5 %; draw at least 20.")
    if not graph.connected.any():
        raise ModularityError("The graph has no edges, and so no communities.")
    labels, q = _leiden(graph, seed)
    null_q = np.array([_leiden(g, seed)[1] for g in others])
    spread = max(float(null_q.std(ddof=1)), 1e-9)
    p = (1 + int((null_q >= q).sum())) / (1 + count)
    return Communities(labels, q, null_q, (q - float(null_q.mean())) / spread, p)


def _leiden(graph: UnitGraph, seed: int) -> tuple[Int[np.ndarray, " n"], float]:
    there = np.flatnonzero(graph.connected)
    edges = graph.sparse()[there][:, there].tocsr()
    edges.sort_indices()
    q, found = _native().leiden_csr(
        edges.indptr.astype(np.int64),
        edges.indices.astype(np.int32),
        edges.data.astype(np.float64),
        len(there),
        seed=seed,
    )
    inside = np.array([found[i] for i in range(len(there))], dtype=np.int64)
    names, inverse, counts = np.unique(inside, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    labels = np.full(graph.n, -1, dtype=np.int64)
    labels[there] = rank[inverse]
    return labels, float(q)


def _native() -> Any:
    try:
        return import_module("graspologic_native")
    except ImportError:
        raise InputError("Communities need the package graspologic-native: pip install 'exegesis[modules]'.") from None
