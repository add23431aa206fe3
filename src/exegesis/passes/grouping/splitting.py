"""Splits a layer of a program into parts that are computed one by one and joined again; and the functions of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from exegesis.ir import Array, Function, Graph, Level, Node, Site
from exegesis.passes.compressing.sources import UnitSource, sources_of


@dataclass(frozen=True, eq=False)
class Part:
    """Some units of a layer.

    Attributes:
        name: of the function that will compute them.
        units: their numbers in the layer.
        value: what the program calls what it gives.
        doc: of the function.
    """

    name: str
    units: Int[np.ndarray, " u"]
    value: str
    doc: str = ""


def chains(graph: Graph) -> Mapping[str, UnitSource]:
    """The layers that can be split, by the last of their nodes: a map and what follows it in a line, read by maps."""
    found = {}
    for source in sources_of(graph):
        if not isinstance(source, UnitSource) or len(source.writer.nodes) != 1:
            continue
        nodes = [graph[n] for n in source.between]
        in_line = all(b.inputs == (a.id,) for a, b in pairwise(nodes))
        alone = all(len(graph.users(n.id)) == 1 for n in nodes[:-1])
        readers = {n for m in source.readers for n in m.nodes}
        if in_line and alone and {u.id for u in graph.users(nodes[-1].id)} <= readers:
            found[nodes[-1].id] = source
    return found


def split(graph: Graph, source: UnitSource, parts: Sequence[Part], joined: str) -> Graph:
    """The same program with a layer computed part by part, each a function.

    Where the output is a linear map of the layer, each part goes on to what it adds to the outputs, and these are
    summed; otherwise what the parts give is joined, and the maps that read it take it in that order.

    Args:
        graph: the program.
        source: the layer, one of `chains`.
        parts: all of its units, none twice.
        joined: what the program calls the values of all parts together.
    """
    order = np.concatenate([p.units for p in parts])
    assert sorted(order.tolist()) == list(range(source.units))
    last = graph[source.between[-1]]
    output = _summed(graph, source)
    nodes, tensors, functions = list[Node](), dict[str, Array](), list[Function]()
    ends = []
    for part in parts:
        own = [_narrow(graph, source, n, part, tensors) for n in source.between]
        if output is not None:
            own.append(_votes(graph, output, own[-1], part, source.units, tensors))
        else:
            own[-1] = replace(own[-1], name=part.value)
        nodes += own
        ends.append(own[-1].id)
        functions.append(Function(part.name, tuple(n.id for n in own), part.doc))
    gone = set(source.between)
    if output is not None:
        nodes += _sum(replace(output, name=joined), ends)
        gone.add(output.id)
        rest = [n for n in graph.nodes if n.id not in gone]
    else:
        axis = 1 if len(last.type.axes) == 4 else len(last.type.axes) - 1
        nodes.append(
            replace(
                last, op="component.join", inputs=tuple(ends), attrs={"axis": axis}, tensors={}, sites=(), name=joined
            )
        )
        tensors |= _reordered(graph, source, order)
        rest = [n for n in graph.nodes if n.id not in gone]
    made = graph.with_nodes([*rest, *nodes], tensors=tensors)
    return replace(made, functions=(*graph.functions, *functions)).pruned()


def _narrow(graph: Graph, source: UnitSource, node_id: str, part: Part, tensors: dict[str, Array]) -> Node:
    """One node of the layer for the units of a part; its own sites say which of the network's these are."""
    node = graph[node_id]
    at = 1 if len(node.type.axes) == 4 else len(node.type.axes) - 1
    first = node_id == source.writer.nodes[0]
    size = _size(graph, node.type.axes[at])
    entries = _spread(part.units, source.units, size)
    roles = {}
    for role, name in node.tensors.items():
        roles[role] = f"{part.name}.{role}"
        old = graph.tensors[name]
        tensors[roles[role]] = np.ascontiguousarray(
            old[:, part.units] if role == "weight" and node.op == "component.linear" else old[part.units]
        )
    inputs = node.inputs if first else tuple(f"{part.name}.{i}" for i in node.inputs)
    axes = (*node.type.axes[:at], f"={len(entries)}", *node.type.axes[at + 1 :])
    # What goes into an activation says no more than what comes out of it; one of them is enough to be swapped.
    keeps = size == source.units and (not first or len(source.between) == 1)
    sites = tuple(_at(s, at, part.units, source.units) for s in node.sites) if keeps else ()
    return replace(
        node, id=f"{part.name}.{node.id}", inputs=inputs, tensors=roles, type=replace(node.type, axes=axes), sites=sites
    )


def _at(site: Site, at: int, units: Int[np.ndarray, " u"], of: int) -> Site:
    axis = site.axes[at] if at < len(site.axes) else site.axes[-1]
    before = [number for name, number in site.index if name == axis] or list(range(of))
    others = tuple(pair for pair in site.index if pair[0] != axis)
    return replace(site, index=(*others, *((axis, before[u]) for u in units.tolist())))


def _spread(units: Int[np.ndarray, " u"], of: int, size: int) -> Int[np.ndarray, " e"]:
    """The entries of a value of a size that belong to units: unit u has as many as any other, one after another."""
    each = size // of
    found: Int[np.ndarray, " e"] = (units[:, None] * each + np.arange(each)).ravel()
    return found


def _size(graph: Graph, axis: str) -> int:
    size = int(axis[1:]) if axis.startswith("=") else graph.axes[axis].size
    assert size is not None
    return size


def _summed(graph: Graph, source: UnitSource) -> Node | None:
    """The output, where it is a linear map of this layer and of nothing else."""
    readers = [graph[n] for m in source.readers for n in m.nodes]
    if len(readers) == 1 and readers[0].id in graph.outputs and readers[0].op == "component.linear":
        return readers[0] if not graph.users(readers[0].id) else None
    return None


def _votes(graph: Graph, output: Node, last: Node, part: Part, of: int, tensors: dict[str, Array]) -> Node:
    weight = graph.tensors[output.tensors["weight"]]
    name = f"{part.name}.votes"
    tensors[name] = np.ascontiguousarray(weight[_spread(part.units, of, len(weight))])
    if "bias" in output.tensors:
        tensors[f"{output.id}.constant"] = graph.tensors[output.tensors["bias"]]
    return replace(
        output,
        id=name,
        inputs=(last.id,),
        tensors={"weight": name},
        sites=(),
        name=part.value,
        doc="",
        attrs=output.attrs,
    )


def _sum(output: Node, votes: Sequence[str]) -> list[Node]:
    if "bias" not in output.tensors:
        return [replace(output, op="component.add", inputs=tuple(votes), attrs={}, tensors={})]
    name = f"{output.id}.constant"
    plus = replace(
        output,
        id=name,
        name=None,
        op="component.constant",
        inputs=(votes[0],),
        attrs={},
        tensors={"value": name},
        sites=(),
    )
    return [plus, replace(output, op="component.add", inputs=(*votes, name), attrs={}, tensors={})]


def _reordered(graph: Graph, source: UnitSource, order: Int[np.ndarray, " u"]) -> dict[str, Array]:
    found = {}
    for reader in source.readers:
        weight = graph.tensors[reader.weight]
        if graph[reader.nodes[0]].op == "component.linear":
            found[reader.weight] = np.ascontiguousarray(weight[_spread(order, source.units, len(weight))])
        else:
            found[reader.weight] = np.ascontiguousarray(weight[:, order])
    return found


def layer_functions(graph: Graph, maps: Sequence[str]) -> tuple[Function, ...]:
    """A function for each layer: what comes after one map and before the next; the last map is left out.

    Layers of one block of the network (`blocks.0`) are one function, called after it.

    Args:
        graph: the program.
        maps: ids of its maps, in the order of computation.
    """
    if any("state" in n.attrs for n in graph.nodes):
        return ()  # steps of a recurrent layer share their weights; each would be a function of its own
    owner: dict[str, int] = {}
    number = {m: i for i, m in enumerate(maps)}
    for node in graph.nodes:
        before = [owner[i] for i in node.inputs if i in owner]
        if node.id in number:
            owner[node.id] = max([number[node.id], *before])
        elif node.level is not Level.INPUT and before:
            owner[node.id] = max(before)
    held = {n for f in graph.functions for n in f.nodes}
    layers: dict[str, list[int]] = {}
    for i, name in enumerate(maps[:-1]):
        layers.setdefault(_block(graph[name]) or f"layer_{i + 1}", []).append(i)
    found = []
    for name, numbers in layers.items():
        inside = [n.id for n in graph.nodes if owner.get(n.id) in numbers and n.id not in graph.outputs]
        if len(inside) > 1 and not held & set(inside):
            found.append(Function(name, tuple(inside)))
    return tuple(found)


def _block(node: Node) -> str:
    """`blocks_0` for what lies at `blocks.0.conv1`; empty for what is in no block."""
    for site in node.sites:
        path = (site.module or "").split(".")
        for i, step in enumerate(path[:-1]):
            if step.isdigit() and i:
                return "_".join(path[: i + 1])
    return ""
