"""Cuts edges between writers and readers of the residual stream that the behaviour does not need.

What: a reader (the queries, keys or values of a layer, an MLP, the unembedding) no longer sees what a writer (an
embedding, a layer's
attention, an MLP) wrote, but its mean over the data: the optimal constant under squared error.
Why valid: cutting it leaves nearly all answers as they are, and an edge costs more bits to state than the answers it
saves: the reader's
weights on the directions the writer uses, at 32 bits each, against the exceptions. No coefficient is tuned.
Refuses when: nothing reads a sum of at least two writers. Edges are tried from the least to the most needed, under
resampling from other inputs first: an edge
that survives the harsher ablation is cut before one that does not.
Guarantee: statistical.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from exegesis.ir import Array, Graph, Node
from exegesis.measure import Bench
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.observations import error_bits

_READERS = ("component.heads", "component.linear")


@dataclass(frozen=True)
class Edge:
    """A writer, the sum it enters, and a reader of that sum (through a norm, or directly)."""

    writer: str
    stream: str
    norm: str | None
    reader: str

    @property
    def name(self) -> str:
        """writer → reader."""
        return f"{self.writer} → {self.reader}"


@dataclass(frozen=True)
class DropEdges:
    """When an edge may go.

    Attributes:
        keep: share of the fitted answers that must survive all cuts together.
        tokens: about how many tokens the edges are tried on, one by one; all cuts together are checked on all.
    """

    keep: float = 0.999
    tokens: int = 2048

    name = "drop_edges"
    stage = "prune"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A reader of a sum."""
        return None if edges(graph) else "nothing reads a sum of writers"

    def ensures(self, graph: Graph) -> str | None:
        """The output is still there."""
        return None if graph.outputs else "the output is gone"

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph without the edges that are not worth their bits."""
        found = edges(graph)
        bench = setting.fit.sample(self.tokens)
        means, swapped, ranks = _writers(graph, bench, sorted({e.writer for e in found}))
        effect = {e: _resampled(graph, bench, e, swapped) for e in found}
        cut: list[Edge] = []
        attempts = []
        kept = 1.0
        for edge in sorted(found, key=lambda e: (-effect[e], found.index(e))):
            trial = bench.agreement(_without(graph, [*cut, edge], means))
            saved = 32.0 * ranks[edge.writer] * _width(graph, edge.reader)
            lost = error_bits(round((kept - trial) * bench.n), bench.n, 2) if trial < kept else 0.0
            worth = trial >= self.keep and lost < saved
            figures = (
                ("keeps, resampled", effect[edge]),
                ("keeps, at its mean", trial),
                ("bits saved", saved),
                ("bits lost", lost),
            )
            attempts.append(Attempt(edge.name, "cut" if worth else "needed", worth, figures))
            if worth:
                cut, kept = [*cut, edge], trial
        while cut and setting.fit.agreement(_without(graph, cut, means)) < self.keep:
            cut = cut[: len(cut) * 3 // 4]  # what a sample let through and all inputs do not: take back the last cuts
        attempts = [
            a
            if not a.applied or any(a.where == e.name for e in cut)
            else replace(a, outcome="taken back", applied=False)
            for a in attempts
        ]
        return Outcome(_without(graph, cut, means) if cut else graph, tuple(attempts))


def edges(graph: Graph) -> list[Edge]:
    """Every edge from a writer (constants apart) to a reader, in order of computation."""
    found = []
    for reader in graph.nodes:
        if reader.op not in _READERS:
            continue
        source = graph[reader.inputs[0]]
        norm = source if source.op == "component.norm" else None
        stream = graph[norm.inputs[0]] if norm else source
        if stream.op != "component.add":
            continue
        writers = [w for w in stream.inputs if graph[w].op != "component.constant"]
        found += [Edge(w, stream.id, norm.id if norm else None, reader.id) for w in writers]
    return found


def _writers(
    graph: Graph, bench: Bench, writers: list[str]
) -> tuple[dict[str, Array], list[dict[str, Tensor]], dict[str, int]]:
    """Per writer its mean over the data [d], its values with rows of the batch exchanged, and the rank of its
    values."""
    total: dict[str, Tensor] = {}
    gram: dict[str, Tensor] = {}
    swapped = []
    n = 0
    for seen, values in bench.each(graph, writers):
        b, s = seen.scored.shape
        n += b * s
        exchanged = {}
        for w in writers:
            value = values[w].expand(b, s, -1)
            flat = value.reshape(-1, value.shape[-1]).double()
            total[w] = total.get(w, torch.zeros(flat.shape[1], dtype=torch.float64)) + flat.sum(0)
            gram[w] = gram.get(w, torch.zeros(flat.shape[1], flat.shape[1], dtype=torch.float64)) + flat.T @ flat
            exchanged[w] = value.roll(1, 0)
        swapped.append(exchanged)
    means = {w: (t / n).float().numpy() for w, t in total.items()}
    ranks = {}
    for w in writers:
        spread = torch.linalg.eigvalsh(gram[w] / n - torch.outer(total[w] / n, total[w] / n))
        ranks[w] = max(1, int((spread > 1e-6 * spread.max().clamp(min=1e-30)).sum()))
    return means, swapped, ranks


def _resampled(graph: Graph, bench: Bench, edge: Edge, swapped: list[dict[str, Tensor]]) -> float:
    """Share of answers kept when the reader sees what the writer wrote on another input of the same length."""
    proxy = replace(graph[edge.writer], id=f"{edge.writer}?", sites=())
    routed = _rerouted(graph, [edge], {edge.writer: proxy})
    return bench.agreement_given(routed, lambda k: {proxy.id: swapped[k][edge.writer]})


def _without(graph: Graph, cut: list[Edge], means: Mapping[str, Array]) -> Graph:
    """The graph whose readers see the mean of the writers they are cut from."""
    held, tensors = {}, {}
    for writer in dict.fromkeys(e.writer for e in cut):
        name = f"{writer}.mean"
        tensors[name] = means[writer]
        held[writer] = Node(
            name, "component.constant", (graph.inputs[0].id,), graph[writer].type, tensors={"value": name}
        )
    return _rerouted(graph, cut, held, tensors)


def _rerouted(
    graph: Graph, cut: list[Edge], instead: Mapping[str, Node], tensors: Mapping[str, Array] | None = None
) -> Graph:
    """Gives each cut reader a sum (and norm) of its own, in which the writers it is cut from are replaced."""
    nodes = {n.id: n for n in graph.nodes}
    for node in instead.values():
        nodes[node.id] = node
    for reader in dict.fromkeys(e.reader for e in cut):
        mine = [e for e in cut if e.reader == reader]
        gone = {e.writer for e in mine}
        stream, norm = graph[mine[0].stream], mine[0].norm
        key = "-".join(sorted(gone))
        inputs = tuple(instead[i].id if i in gone else i for i in stream.inputs)
        own = replace(stream, id=f"{stream.id}-({key})", inputs=inputs, sites=())
        nodes[own.id] = own
        read = own.id
        if norm is not None:
            nodes[f"{norm}-({key})"] = replace(graph[norm], id=f"{norm}-({key})", inputs=(own.id,), sites=())
            read = f"{norm}-({key})"
        nodes[reader] = replace(nodes[reader], inputs=(read, *nodes[reader].inputs[1:]))
    return graph.with_nodes(nodes.values(), tensors=tensors).pruned()


def _width(graph: Graph, reader: str) -> int:
    weight = graph.tensors[graph[reader].tensors["weight"]]
    return int(np.prod([s for k, s in enumerate(weight.shape) if k != weight.ndim - 2]))
