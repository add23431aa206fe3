"""What may be dropped from a graph and how: units of a map, and single entries of what linear maps read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from exegesis.ir import Axis, Graph, Node, Site, Type
from exegesis.passes.compressing.maps import Map, maps_of

THROUGH = ("component.activation", "component.pool2d", "component.scale", "component.flatten")


@dataclass(frozen=True)
class UnitSource:
    """The units of a map that nothing but other maps reads, through activations and pooling.

    Attributes:
        writer: the map whose units they are.
        between: ids of the nodes from the map to its readers, the map's own included.
        readers: the maps that read them; unit u of `units` is rows u·k/units … of a reader with k rows.
        units: how many.
    """

    writer: Map
    between: tuple[str, ...]
    readers: tuple[Map, ...]
    units: int

    @property
    def name(self) -> str:
        """Where they are."""
        return self.writer.nodes[0]


@dataclass(frozen=True)
class EntrySource:
    """The entries of a vector that only linear maps read: pixels, or places of a picture that was laid flat.

    Attributes:
        value: the node that holds them.
        readers: the linear maps.
        units: how many entries.
    """

    value: str
    readers: tuple[Map, ...]
    units: int

    @property
    def name(self) -> str:
        """Where they are."""
        return self.value


Source = UnitSource | EntrySource


def sources_of(graph: Graph) -> tuple[Source, ...]:
    """Everything that may be dropped, in the order of computation."""
    maps = {m.nodes: m for m in maps_of(graph)}
    by_node = {n: m for m in maps.values() for n in m.nodes}
    found: dict[str, Source] = {}
    for node in graph.nodes:
        if node.op in ("input.array", "component.flatten", "component.scale"):
            if (entries := _entries(node, graph, by_node)) is not None:
                found[node.id] = entries
        elif (
            node.id in by_node
            and node.id == by_node[node.id].nodes[-1]
            and (units := _units(by_node[node.id], graph, by_node)) is not None
        ):
            found[units.name] = units
    return tuple(found.values())


def _entries(node: Node, graph: Graph, by_node: dict[str, Map]) -> EntrySource | None:
    size = _size(node.type.axes[-1], graph)
    users = graph.users(node.id)
    linear = all(u.op == "component.linear" and u.id in by_node for u in users)
    if len(node.type.axes) != 2 or not users or not linear or size is None or node.id in graph.outputs:
        return None
    readers = tuple(dict.fromkeys(by_node[u.id] for u in users))
    alone = all(graph[n].inputs[0] == node.id for m in readers for n in m.nodes)
    return EntrySource(node.id, readers, size) if alone else None


def _units(writer: Map, graph: Graph, by_node: dict[str, Map]) -> UnitSource | None:
    if any(_groups(graph[n]) != 1 for n in writer.nodes):
        return None
    between, readers = list(writer.nodes), dict[Map, None]()
    stack = list(writer.nodes)
    while stack:
        name = stack.pop()
        if name in graph.outputs or not graph.users(name):
            return None
        for user in graph.users(name):
            if user.id in by_node and _groups(user) == 1:
                readers[by_node[user.id]] = None
            elif user.op in THROUGH and len(user.inputs) == 1:
                if user.id not in between:
                    between.append(user.id)
                    stack.append(user.id)
            else:
                return None
    if any(graph[n].inputs[0] not in between for m in readers for n in m.nodes):
        return None
    units = graph.tensors[writer.weight].shape[1 if graph[writer.nodes[0]].op == "component.linear" else 0]
    return UnitSource(writer, tuple(n.id for n in graph.nodes if n.id in between), tuple(readers), int(units))


def _groups(node: Node) -> int:
    return int(node.attrs.get("groups", 1))


def _size(axis: str, graph: Graph) -> int | None:
    return int(axis[1:]) if axis.startswith("=") else graph.axes[axis].size


def without(graph: Graph, source: Source, kept: Bool[np.ndarray, " units"]) -> Graph:
    """The graph without the units or entries that are not kept; maps just lose rows and columns."""
    if kept.all():
        return graph
    return (
        _without_units(graph, source, kept) if isinstance(source, UnitSource) else _without_entries(graph, source, kept)
    )


def _without_units(graph: Graph, source: UnitSource, kept: Bool[np.ndarray, " units"]) -> Graph:
    tensors = dict(_rows_dropped(graph, source.readers, kept))
    first = graph[source.writer.nodes[0]]
    for role, name in first.tensors.items():
        old = graph.tensors[name]
        tensors[name] = old[:, kept] if role == "weight" and first.op == "component.linear" else old[kept]
    axes: dict[str, Axis] = {}
    nodes = []
    for node in graph.nodes:
        if node.id in source.between:
            at = 1 if len(node.type.axes) == 4 else len(node.type.axes) - 1  # channels of pictures come first
            flat = node.op == "component.flatten"
            size = _size(node.type.axes[at], graph)
            assert size is not None
            mask = np.repeat(kept, size // len(kept)) if flat else kept
            node = _narrower(node, at, mask, graph, axes, sites=not flat)
        nodes.append(node)
    return graph.with_nodes(nodes, tensors=tensors, axes=axes)


def _without_entries(graph: Graph, source: EntrySource, kept: Bool[np.ndarray, " units"]) -> Graph:
    """A node that keeps the others, before the linear maps."""
    value = graph[source.value]
    keep_id = f"{value.id}_kept"
    axis = _fresh(graph, value.type.axes[-1], {})
    keep = Node(
        keep_id,
        "component.keep",
        (value.id,),
        Type("real", (*value.type.axes[:-1], axis)),
        {"axis": len(value.type.axes) - 1},
        {"mask": f"{keep_id}.mask"},
    )
    readers = {n for m in source.readers for n in m.nodes}
    nodes = [replace(n, inputs=(keep_id,)) if n.id in readers else n for n in graph.nodes]
    tensors = dict(_rows_dropped(graph, source.readers, kept)) | {f"{keep_id}.mask": kept}
    axes = {axis: Axis(axis, int(kept.sum()))}
    return graph.with_nodes([*nodes, keep], tensors=tensors, axes=axes)


def _rows_dropped(
    graph: Graph, readers: tuple[Map, ...], kept: Bool[np.ndarray, " units"]
) -> Iterator[tuple[str, NDArray[np.generic]]]:
    for reader in readers:
        weight = graph.tensors[reader.weight]
        if graph[reader.nodes[0]].op == "component.linear":
            yield reader.weight, weight[np.repeat(kept, len(weight) // len(kept))]
        else:
            yield reader.weight, weight[:, kept]


def _narrower(
    node: Node, at: int, kept: Bool[np.ndarray, " size"], graph: Graph, axes: dict[str, Axis], *, sites: bool
) -> Node:
    """A node with fewer entries along an axis; its sites name those of the network's entries that it still has."""
    before = node.type.axes[at]
    wanted = (before, int(kept.sum()))
    shared = next((a for a, axis in axes.items() if (a.rsplit("_kept", 1)[0], axis.size) == _stem(*wanted)), None)
    name = shared or _fresh(graph, before, axes)
    axes[name] = Axis(name, int(kept.sum()))
    narrower = (*node.type.axes[:at], name, *node.type.axes[at + 1 :])
    placed = tuple(_at_kept(s, at, kept) for s in node.sites) if sites else ()
    return replace(node, type=replace(node.type, axes=narrower), sites=placed)


def _stem(axis: str, size: int) -> tuple[str, int]:
    return (_base(axis), size)


def _base(axis: str) -> str:
    return f"of_{axis[1:]}" if axis.startswith("=") else axis.split("_kept", 1)[0]


def _fresh(graph: Graph, like: str, taken: dict[str, Axis]) -> str:
    number, base = 1, _base(like)
    while (name := f"{base}_kept" if number == 1 else f"{base}_kept_{number}") in graph.axes or name in taken:
        number += 1
    return name


def _at_kept(site: Site, at: int, kept: Bool[np.ndarray, " size"]) -> Site:
    """A site narrowed to some of its entries along the axis that the node has at a place."""
    axis = site.axes[at] if at < len(site.axes) else site.axes[-1]
    before = [number for name, number in site.index if name == axis] or list(range(len(kept)))
    others = tuple(pair for pair in site.index if pair[0] != axis)
    return replace(site, index=(*others, *((axis, before[i]) for i in np.flatnonzero(kept).tolist())))
