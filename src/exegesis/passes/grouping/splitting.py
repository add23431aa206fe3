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
    """The same program with a layer computed part by part, each a function, and joined again.

    The maps that read the layer take its units in the new order. Each part lives where its units do, together with what
    follows these alone (see `ir.Site.echo`).

    Args:
        graph: the program.
        source: the layer, one of `chains`.
        parts: all of its units, none twice.
        joined: what the program calls the values of all parts together.
    """
    order = np.concatenate([p.units for p in parts])
    assert sorted(order.tolist()) == list(range(source.units))
    last, home = graph[source.between[-1]], _home(graph, source)
    nodes, tensors, functions = list[Node](), _reordered(graph, source, order), list[Function]()
    ends = []
    for part in parts:
        own = [_narrow(graph, source, n, part, tensors) for n in source.between]
        own = [
            replace(n, sites=_sites(graph, home, part, tensors)) if k == home else n
            for k, n in zip(source.between, own, strict=True)
        ]
        own[-1] = replace(own[-1], name=part.value)
        nodes += own
        ends.append(own[-1].id)
        functions.append(Function(part.name, tuple(n.id for n in own), part.doc))
    at = _unit_axis(last)
    together = replace(last, op="component.join", inputs=tuple(ends), attrs={"axis": at}, tensors={}, name=joined)
    rest = [n for n in graph.nodes if n.id not in source.between]
    made = graph.with_nodes([*rest, *nodes, replace(together, sites=())], tensors=tensors)
    return replace(made, functions=(*graph.functions, *functions)).pruned()


def _unit_axis(node: Node) -> int:
    return 1 if len(node.type.axes) == 4 else len(node.type.axes) - 1


def _home(graph: Graph, source: UnitSource) -> str | None:
    """The last node of a layer that lives in the network and tells its units apart."""
    for name in reversed(source.between):
        node = graph[name]
        if node.sites and _size(graph, node.type.axes[_unit_axis(node)]) == source.units:
            return name
    return None


def _sites(graph: Graph, home: str, part: Part, tensors: dict[str, Array]) -> tuple[Site, ...]:
    """Where some units of a layer live."""
    found = []
    for site in graph[home].sites:
        at = _unit_axis(graph[home])
        axis = site.axes[at] if at < len(site.axes) else site.axes[-1]
        numbers = np.array(
            [number for name, number in site.index if name == axis] or range(_size(graph, graph[home].type.axes[at]))
        )
        others = tuple(pair for pair in site.index if pair[0] != axis)
        own = replace(site, index=(*others, *((axis, int(n)) for n in numbers[part.units])))
        if site.echo is not None:
            own = replace(own, echo=f"{part.name}.echo")
            rows = np.searchsorted(np.sort(numbers), np.sort(numbers[part.units]))
            tensors[f"{part.name}.echo"] = np.ascontiguousarray(graph.tensors[site.echo][rows])
        found.append(own)
    return tuple(found)


def _narrow(graph: Graph, source: UnitSource, node_id: str, part: Part, tensors: dict[str, Array]) -> Node:
    """One node of the layer for the units of a part."""
    node = graph[node_id]
    at = _unit_axis(node)
    entries = _spread(part.units, source.units, _size(graph, node.type.axes[at]))
    roles = {}
    for role, name in node.tensors.items():
        roles[role] = f"{part.name}.{role}"
        old = graph.tensors[name]
        columns = role == "weight" and node.op == "component.linear"
        tensors[roles[role]] = np.ascontiguousarray(old[:, part.units] if columns else old[part.units])
    first = node_id == source.writer.nodes[0]
    inputs = node.inputs if first else tuple(f"{part.name}.{i}" for i in node.inputs)
    kind = replace(node.type, axes=(*node.type.axes[:at], f"={len(entries)}", *node.type.axes[at + 1 :]))
    return replace(node, id=f"{part.name}.{node.id}", inputs=inputs, tensors=roles, type=kind, sites=())


def _spread(units: Int[np.ndarray, " u"], of: int, size: int) -> Int[np.ndarray, " e"]:
    """The entries of a value of a size that belong to units: unit u has as many as any other, one after another."""
    each = size // of
    found: Int[np.ndarray, " e"] = (units[:, None] * each + np.arange(each)).ravel()
    return found


def _size(graph: Graph, axis: str) -> int:
    size = int(axis[1:]) if axis.startswith("=") else graph.axes[axis].size
    assert size is not None
    return size


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


@dataclass(frozen=True, eq=False)
class Merged:
    """A program whose layers are whole again, as they were before they were split.

    Attributes:
        graph: the program, without functions.
        members: for each function of a layer's part, the node that carries the layer and the part's units in it.
    """

    graph: Graph
    members: Mapping[str, tuple[str, Int[np.ndarray, " u"]]]


def merged(graph: Graph) -> Merged:
    """Puts split layers together, so that their units can be looked at, lesioned and compared layer by layer."""
    owner = {n: f.name for f in graph.functions for n in f.nodes}
    members: dict[str, tuple[str, Int[np.ndarray, " u"]]] = {}
    nodes, tensors, gone = {n.id: n for n in graph.nodes}, dict(graph.tensors), set[str]()
    for join in graph.nodes:
        if join.op != "component.join" or any(i not in owner for i in join.inputs):
            continue
        chains_ = [_chain(graph, end, owner) for end in join.inputs]
        ids = [n.id.removeprefix(f"{owner[n.id]}.") for n in chains_[0]]
        for step, name in enumerate(ids):
            parts = [chain[step] for chain in chains_]
            nodes[name] = _whole(graph, parts, name, ids[step - 1] if step else None, tensors)
        carrier = _carrier(graph, chains_, ids)
        nodes[carrier] = replace(nodes[carrier], sites=_joined_sites(chains_))
        sizes = [_size(graph, c[0].type.axes[_unit_axis(c[0])]) for c in chains_]
        for chain, start, size in zip(chains_, np.cumsum([0, *sizes]), sizes, strict=False):
            members[owner[chain[0].id]] = (carrier, np.arange(start, start + size))
        gone |= {n.id for chain in chains_ for n in chain}
    if not gone:
        return Merged(graph, {})
    whole = replace(graph, functions=()).with_nodes([n for k, n in nodes.items() if k not in gone], tensors=tensors)
    return Merged(whole.pruned(), members)


def _joined_sites(parts: Sequence[Sequence[Node]]) -> tuple[Site, ...]:
    """Where all parts of a layer live together; what follows them is left out."""
    lives = [next((n.sites[0] for n in chain if n.sites), None) for chain in parts]
    if None in lives:
        return ()
    index = tuple(pair for site in lives if site is not None for pair in site.index)
    return tuple(replace(site, index=index, echo=None) for site in lives[:1] if site is not None)


def _chain(graph: Graph, end: str, owner: Mapping[str, str]) -> list[Node]:
    """The nodes of a part, first to last."""
    found = [graph[end]]
    while (before := graph[found[0].inputs[0]]).id in owner and owner[before.id] == owner[end]:
        found.insert(0, before)
    return found


def _carrier(graph: Graph, parts: Sequence[Sequence[Node]], ids: Sequence[str]) -> str:
    """The last node of a chain on which units are still told apart, pooling left out: what `Layers` calls a layer."""
    first = parts[0]
    kept = [i for i, n in enumerate(first) if n.op in ("component.activation", "component.linear", "component.conv2d")]
    return ids[kept[-1]]


def _whole(graph: Graph, parts: Sequence[Node], name: str, before: str | None, tensors: dict[str, Array]) -> Node:
    first = parts[0]
    at = _unit_axis(first)
    size = sum(_size(graph, n.type.axes[at]) for n in parts)
    roles = {}
    for role in first.tensors:
        roles[role] = f"{name}.{role}"
        columns = role == "weight" and first.op == "component.linear"
        tensors[roles[role]] = np.concatenate([graph.tensors[n.tensors[role]] for n in parts], axis=1 if columns else 0)
    inputs = first.inputs if before is None else (before,)
    kind = replace(first.type, axes=(*first.type.axes[:at], f"={size}", *first.type.axes[at + 1 :]))
    return replace(first, id=name, inputs=inputs, tensors=roles, type=kind, name=None)
