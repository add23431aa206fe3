"""How many parts of one kind a behaviour needs, and how many random ones can go: heads, neurons, channels, edges.

Parts go in the order of what the lesion of each alone does to the outputs (edges: to the answers), least first, and
are counted under three lesions, the harshest first: what a part is on another input (`resample`), its mean, zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.ir import Graph, Node
from exegesis.measure.bench import Bench, Values
from exegesis.measure.redundancy import FRACTIONS, tolerated
from exegesis.measure.units import Ablation, Lesion, Units

NAMES = {"dense": "neurons", "conv": "channels", "recurrent": "recurrent states", "heads": "heads"}
ABLATIONS: tuple[Ablation, ...] = ("resample", "mean", "zero")
READERS = ("component.heads", "component.linear")

Kept: TypeAlias = Callable[[Int[np.ndarray, " k"], Ablation], float]


@dataclass(frozen=True)
class Family:
    """Parts of one kind.

    Attributes:
        kind: heads, neurons, channels, recurrent states or edges.
        parts: how many there are.
        resample, mean, zero: how many must stay under each lesion until `target` of the answers do.
        random: how many random ones can be put at their mean before more answers than `drop` change: on average, and
            the least and the most over orders.
        drop: the loss that counts as a loss.
        target: the share of answers that has to stay.
    """

    kind: str
    parts: int
    resample: int
    mean: int
    zero: int
    random: tuple[float, float, float]
    drop: float
    target: float


def families(
    units: Units,
    importance: Float[np.ndarray, " total"],
    *,
    drop: float = 0.05,
    target: float = 0.99,
    seeds: int = 5,
    seed: int = 0,
) -> tuple[Family, ...]:
    """Every kind of unit that a network has, and edges where it has a residual stream.

    Args:
        units: the network over a split.
        importance: of every unit of every layer in order, as `redundancy.importance` gives it.
        drop: share of answers that may change when random parts go.
        target: share of answers that has to stay when the least important go.
        seeds: how many random orders.
        seed: of these.
    """
    places = np.array([(layer.index, u) for layer in units.layers for u in range(layer.units)])
    kinds = np.array([layer.kind for layer in units.layers for _ in range(layer.units)])
    found = []
    for kind in dict.fromkeys(kinds.tolist()):
        mine = np.flatnonzero(kinds == kind)
        order = mine[np.argsort(importance[mine], kind="stable")]

        def kept(chosen: Int[np.ndarray, " k"], how: Ablation, order: Int[np.ndarray, " n"] = order) -> float:
            return float(units.kept([_lesion(places[order[chosen]], how, seed)])[0])

        found.append(_family(NAMES[kind], len(mine), kept, drop, target, seeds, seed))
    edges = Edges.of(units.graph, units.bench)
    if edges.edges:
        order = np.argsort([-edges.kept_alone(k) for k in range(len(edges.edges))], kind="stable")
        whole = _family(
            "edges", len(order), lambda chosen, how: edges.kept(order[chosen], how), drop, target, seeds, seed
        )
        found.append(whole)
    return tuple(found)


def _family(kind: str, parts: int, kept: Kept, drop: float, target: float, seeds: int, seed: int) -> Family:
    stay = {how: parts - _most(parts, lambda m, how=how: kept(np.arange(m), how) >= target) for how in ABLATIONS}  # type: ignore[misc]
    sizes = list(dict.fromkeys(max(1, round(f * parts)) for f in FRACTIONS))
    random = []
    for k in range(seeds):
        order = np.random.default_rng([seed, k]).permutation(parts)
        random.append(tolerated(np.array([kept(order[:size], "mean") for size in sizes]), sizes, drop))
    about = (float(np.mean(random)), min(random), max(random))
    return Family(kind, parts, stay["resample"], stay["mean"], stay["zero"], about, drop, target)


def _most(parts: int, still: Callable[[int], bool]) -> int:
    """The largest number of parts without which it still holds, by bisection; none may go where one already hurts."""
    low, high = 0, parts + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if still(middle) else (low, middle)
    return low


def _lesion(places: Int[np.ndarray, "k two"], how: Ablation, seed: int) -> Lesion:
    return Lesion({int(k): places[places[:, 0] == k, 1] for k in np.unique(places[:, 0])}, how, seed)


@dataclass(frozen=True, eq=False)
class Edges:
    """Every edge from a writer of a residual stream to a reader, each of which can be lesioned alone.

    Attributes:
        graph: the network, in which each edge is a node of its own.
        edges: writer and id of that node, in the order of computation.
        bench: the inputs.
        values: per batch, what writers write.
        means: the mean of that over inputs and positions, by writer.
    """

    graph: Graph
    edges: tuple[tuple[str, str], ...]
    bench: Bench
    values: tuple[Values, ...]
    means: dict[str, Tensor]

    @classmethod
    def of(cls, graph: Graph, bench: Bench) -> Edges:
        """The edges of a lifted network on a bench; none where nothing linear reads a sum of writers."""
        routed, edges = _routed(graph)
        writers = list(dict.fromkeys(w for w, _ in edges))
        values = tuple(v for _, v in bench.each(graph, writers)) if writers else ()
        means = {w: torch.cat([v[w].flatten(0, -2) for v in values]).mean(0) for w in writers}
        return cls(routed, edges, bench, values, means)

    def kept(self, cut: Sequence[int] | Int[np.ndarray, " k"], how: Ablation) -> float:
        """The share of answers that stay when readers see what takes the place of writers along some edges."""
        chosen = [self.edges[int(k)] for k in cut]

        def given(batch: int) -> Values:
            return {edge: self._instead(self.values[batch][writer], writer, how) for writer, edge in chosen}

        return self.bench.agreement_given(self.graph, given)

    def kept_alone(self, edge: int) -> float:
        """The share of answers that stay when one edge is lesioned, resampled or at its mean, whichever is worse:
        positions are the same on every input of one length, so that resampling them says nothing."""
        return min(self.kept([edge], "resample"), self.kept([edge], "mean"))

    def _instead(self, value: Tensor, writer: str, how: Ablation) -> Tensor:
        if how == "zero":
            return torch.zeros_like(value)
        if how == "resample" and len(value) > 1:
            return value.roll(1, 0)
        return self.means[writer].expand_as(value)


def _routed(graph: Graph) -> tuple[Graph, tuple[tuple[str, str], ...]]:
    """The graph with a sum (and norm) for every reader of its own, fed by a node for every edge."""
    nodes = {n.id: n for n in graph.nodes}
    edges = []
    for reader in graph.nodes:
        if reader.op not in READERS:
            continue
        source = graph[reader.inputs[0]]
        norm = source if source.op == "component.norm" else None
        stream = graph[norm.inputs[0]] if norm else source
        if stream.op != "component.add" or len(stream.type.axes) != 3:
            continue
        inputs = []
        for writer in stream.inputs:
            if graph[writer].op == "component.constant":
                inputs.append(writer)
                continue
            edge = f"{writer} → {reader.id}"
            nodes[edge] = Node(edge, "component.add", (writer,), stream.type)
            edges.append((writer, edge))
            inputs.append(edge)
        own = replace(stream, id=f"{stream.id} for {reader.id}", inputs=tuple(inputs), sites=())
        nodes[own.id] = own
        if norm is not None:
            nodes[f"{norm.id} for {reader.id}"] = replace(
                norm, id=f"{norm.id} for {reader.id}", inputs=(own.id,), sites=()
            )
        first = own.id if norm is None else f"{norm.id} for {reader.id}"
        nodes[reader.id] = replace(reader, inputs=(first, *reader.inputs[1:]))
    if not edges:
        return graph, ()
    return graph.with_nodes(nodes.values()).pruned(), tuple(edges)
