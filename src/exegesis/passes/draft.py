"""Writing symbolic nodes: a `Draft` collects new nodes with fresh ids before they enter a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exegesis.ir import Array, Axis, Graph, Json, Node, Origin, Site, Type


class Draft:
    """New nodes over an existing graph. Structurally equal nodes are shared, so two heads that do one thing draft it
    once."""

    def __init__(self, graph: Graph, by: str) -> None:
        self.graph = graph
        self.by = by
        self.nodes: dict[str, Node] = {}
        self.tensors: dict[str, Array] = {}
        self.axes: dict[str, Axis] = {}

    def __getitem__(self, node_id: str) -> Node:
        return self.nodes[node_id] if node_id in self.nodes else self.graph[node_id]

    def add(
        self,
        op: str,
        inputs: Iterable[str],
        type: Type,
        attrs: Mapping[str, Json] | None = None,
        *,
        hint: str,
        tensors: Mapping[str, Array] | None = None,
        why: str = "",
        doc: str = "",
        sites: tuple[Site, ...] = (),
    ) -> str:
        """Adds a node and returns its id, or the id of an equal node that exists already.

        `hint` becomes the id (numbered when taken). `tensors` maps roles to arrays.
        """
        inputs, attrs = tuple(inputs), dict(attrs or {})
        if not tensors:
            for old in (*self.nodes.values(), *self.graph.nodes):
                if (old.op, old.inputs, dict(old.attrs), old.type) == (op, inputs, attrs, type) and not old.tensors:
                    if new_sites := tuple(s for s in sites if s not in old.sites):
                        self.nodes[old.id] = replace(old, sites=(*old.sites, *new_sites))
                    return old.id
        node_id, k = hint, 2
        while node_id in self.nodes or node_id in self.graph.by_id:
            node_id, k = f"{hint}_{k}", k + 1
        roles = {}
        for role, value in (tensors or {}).items():
            roles[role] = f"{node_id}.{role}"
            self.tensors[roles[role]] = value
        origin = Origin(by=self.by, out_of=inputs, why=why)
        self.nodes[node_id] = Node(
            node_id, op, inputs, type, attrs, roles, name=None, doc=doc, origin=origin, sites=sites
        )
        return node_id

    @property
    def merged(self) -> tuple[Node, ...]:
        """The graph's nodes and the drafted ones; a drafted node takes the place of one with its id (it knows more
        sites)."""
        return (*(n for n in self.graph.nodes if n.id not in self.nodes), *self.nodes.values())

    def whole(self, **changes: tuple[str, ...]) -> Graph:
        """The graph with everything drafted in it."""
        return self.graph.with_nodes(self.merged, tensors=self.tensors, axes=self.axes, **changes)

    def into(self, substitutes: Mapping[str, str]) -> Graph:
        """The graph with the draft in it, read wherever a key of `substitutes` was read."""
        new = [n for n in self.nodes.values() if n.id not in self.graph.by_id]
        updated = self.graph.with_nodes([self.nodes.get(n.id, n) for n in self.graph.nodes])
        return updated.replacing(substitutes, new, tensors=self.tensors, axes=self.axes)
