"""Heads and MLP neurons of sequence networks: which the behaviour can do without, and the network without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from exegesis.ir import Array, Axis, Graph, Node
from exegesis.measure import Bench
from exegesis.passes.compressing.least_squares import Moments, Removal, removal
from exegesis.passes.compressing.sources import UnitSource, sources_of, without

KINDS = ("heads", "neurons")


@dataclass(frozen=True)
class Part:
    """The heads or the neurons that one writer of the residual stream adds up.

    Attributes:
        writer: id of the node that writes.
        kind: heads or neurons.
        units: how many.
        inside: ids of the nodes that have one entry per unit.
    """

    writer: str
    kind: str
    units: int
    inside: tuple[str, ...]


def parts_of(graph: Graph) -> tuple[Part, ...]:
    """Everything that may be dropped, in the order of computation: heads that nothing else reads, neurons likewise.

    Left out: heads whose queries share keys (grouped queries), or whose scores have parameters of their own; neurons
    behind a gate.
    """
    neurons = {r.nodes[0]: s for s in sources_of(graph) if isinstance(s, UnitSource) for r in s.readers[:1]}
    found = []
    for node in graph.nodes:
        if node.op == "component.write" and (inside := _head_nodes(graph, node)):
            found.append(Part(node.id, "heads", len(graph.tensors[node.tensors["weight"]]), inside))
        elif node.id in neurons and len(neurons[node.id].readers) == 1:
            source = neurons[node.id]
            found.append(Part(node.id, "neurons", source.units, source.between))
    return tuple(p for p in found if _is_summed(graph, p.writer))


def _is_summed(graph: Graph, writer: str) -> bool:
    users = graph.users(writer)
    return writer not in graph.outputs and bool(users) and all(u.op == "component.add" for u in users)


def _head_nodes(graph: Graph, write: Node) -> tuple[str, ...]:
    """The nodes between the projections of heads and what writes them, both projections and mix included."""
    found, stack = dict[str, None](), [write.inputs[0]]
    axis = graph[write.inputs[0]].type.axes[1]
    while stack:
        node = graph[stack.pop()]
        if node.id in found or len(node.type.axes) < 2 or node.type.axes[1] != axis:
            continue
        found[node.id] = None
        if node.op == "component.heads":
            continue
        if node.tensors:
            return ()
        stack.extend(node.inputs)
    heads = len(graph.tensors[write.tensors["weight"]])
    for name in found:
        if any(u.id not in found and u.id != write.id for u in graph.users(name)):
            return ()
        if graph[name].op == "component.heads" and len(graph.tensors[graph[name].tensors["weight"]]) != heads:
            return ()
    return tuple(n.id for n in graph.nodes if n.id in found)


def removals(
    graph: Graph, bench: Bench, parts: tuple[Part, ...], felt: Mapping[str, Float[np.ndarray, "d d"]], spread: float
) -> Mapping[str, Removal]:
    """In which order the units of each part go, by what outputs feel of it when the others make up for them.

    Args:
        graph: the network.
        bench: inputs.
        parts: as `parts_of` gives them.
        felt: per writer, how much outputs feel of a change of what it writes (`measure.sensitivity`).
        spread: the variance of the outputs; costs are a share of it.
    """
    found = {}
    for part, (mean, xx, count) in zip(parts, _read(graph, bench, parts), strict=True):
        weight = graph.tensors[graph[part.writer].tensors["weight"]]
        weight = weight.reshape(-1, weight.shape[-1]).astype(np.float64)
        size, basis = np.linalg.eigh(felt[part.writer])
        kept = size > 1e-9 * max(float(size.max()), 1e-30)
        target = weight @ (basis[:, kept] * np.sqrt(size[kept]))
        zz = np.full(target.shape[1], spread / max(target.shape[1], 1))
        about = Moments(mean, np.zeros(target.shape[1]), xx, xx @ target, zz, count)
        found[part.writer] = removal([about], part.units)
    return found


def _read(
    graph: Graph, bench: Bench, parts: tuple[Part, ...]
) -> list[tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"], int]]:
    """Mean and covariance of what each writer reads, heads side by side, and over how many positions."""
    sources = [graph[p.writer].inputs[0] for p in parts]
    sums = [(np.zeros(0), np.zeros((0, 0)))] * len(parts)
    count = 0
    for seen, values in bench.each(graph, sources):
        count += seen.scored.numel()
        for k, (part, source) in enumerate(zip(parts, sources, strict=True)):
            value = values[source]
            value = value.movedim(1, 2).flatten(2) if part.kind == "heads" else value
            x = value.flatten(0, -2).double().numpy()
            total, square = sums[k] if sums[k][0].size else (0.0, 0.0)
            sums[k] = total + x.sum(0), square + x.T @ x
    means = [(total / count, square / count) for total, square in sums]
    return [(mean, square - np.outer(mean, mean), count) for mean, square in means]


def without_units(graph: Graph, part: Part, kept: Bool[np.ndarray, " units"]) -> Graph:
    """The network without some units of a part. Where none is left, the writer is a constant: zero, until fitted."""
    if kept.all():
        return graph
    if not kept.any():
        return _silent(graph, part)
    if part.kind == "neurons":
        source = next(
            s for s in sources_of(graph) if isinstance(s, UnitSource) and s.readers[0].nodes[0] == part.writer
        )
        return without(graph, source, kept)
    return _without_heads(graph, part, kept)


def _silent(graph: Graph, part: Part) -> Graph:
    old = graph[part.writer]
    size = graph.tensors[old.tensors["weight"]].shape[-1]
    name = f"{part.writer}.mean"
    like = graph.inputs[0].id
    node = Node(part.writer, "component.constant", (like,), old.type, tensors={"value": name}, origin=old.origin)
    nodes = [node if n.id == part.writer else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors={name: np.zeros(size, np.float32)}).pruned()


def _without_heads(graph: Graph, part: Part, kept: Bool[np.ndarray, " units"]) -> Graph:
    old = graph[part.inside[0]].type.axes[1]
    name = f"{old}_of_{part.writer}"
    tensors: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        if node.id in part.inside:
            axes = (node.type.axes[0], name, *node.type.axes[2:])
            node = replace(node, type=replace(node.type, axes=axes), sites=())
        if node.id in part.inside or node.id == part.writer:
            tensors |= {t: np.ascontiguousarray(graph.tensors[t][kept]) for t in node.tensors.values()}
        nodes.append(node)
    return graph.with_nodes(nodes, tensors=tensors, axes={name: Axis(name, int(kept.sum()))})
