"""The one immutable graph type that every level of the language shares.

A `Graph` is a topologically ordered tuple of `Node`s over named tensors. Tensor, component and symbolic nodes may be
mixed in one graph: raising replaces some nodes by others and leaves the rest as they are. Numbers live in two places,
and the difference is the point of the project: `Node.attrs` hold what a reader sees in the program text,
`Graph.tensors` hold what nobody could explain yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from exegesis.ir.errors import GraphError

Json: TypeAlias = Any  # what the json module writes and reads back unchanged
Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["real", "int", "bool", "category", "selector", "tuple", "symint"]


class Level(Enum):
    """The three levels of the language, from the export to what a person would write."""

    TENSOR = "tensor"
    COMPONENT = "component"
    SYMBOLIC = "symbolic"
    INPUT = "input"


@dataclass(frozen=True)
class Axis:
    """A named axis: `token`, `head`, `d_model` … `size` is None where it varies from input to input."""

    name: str
    size: int | None = None
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Type:
    """What a node's value is: its kind, and its axes in order, each a name from `Graph.axes` or a literal size `=64`.

    `category` holds integers that index the axis named by `of`. A `selector` has axes (…, `query`, `key`).
    """

    kind: Kind
    axes: tuple[str, ...] = ()
    of: str | None = None

    def __str__(self) -> str:
        of = f" of {self.of}" if self.of else ""
        return f"{self.kind}{of}[{', '.join(self.axes)}]"


@dataclass(frozen=True)
class Site:
    """Where a value lives inside the network (an alignment).

    `value` names the node of torch's export of the network that carries it. `module` and `port` say the same with a
    module boundary, where there is one: the output of `module`, or its first input. `index` picks an entry along a
    named axis (a head), or several of one axis (neurons); `basis` names a tensor `[k, width]` whose rows span the
    subspace of the last axis, where the value is only a part of it. `echo` names a tensor `[k, width]`: how all entries
    along the axis of `index` follow the k that it picks, in ascending order, where the network says one thing in more
    entries than the program (dropped neurons that repeat kept ones); the k columns of the picked entries are the
    identity. `label` is what the field calls the place: `L0H1`.
    """

    value: str
    axes: tuple[str, ...]
    module: str | None = None
    port: Literal["output", "input", "inner"] = "inner"
    index: tuple[tuple[str, int], ...] = ()
    basis: str | None = None
    label: str = ""
    echo: str | None = None


@dataclass(frozen=True)
class Origin:
    """Which pass made a node, out of which nodes of the graph before it, and why."""

    by: str
    out_of: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Node:
    """One operation.

    `sites` says where its value lives in the network: all of them hold it, several when heads do one thing together.
    `tensors` maps the roles its op names (`weight`, `bias`, `table` …) to names in `Graph.tensors`.
    """

    id: str
    op: str
    inputs: tuple[str, ...]
    type: Type
    attrs: Mapping[str, Json] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    doc: str = ""
    origin: Origin = Origin(by="hand")
    sites: tuple[Site, ...] = ()

    @property
    def level(self) -> Level:
        """The level of the language this op belongs to, read off its prefix."""
        prefix = self.op.split(".", 1)[0]
        try:
            return Level(prefix)
        except ValueError:
            raise GraphError(
                f"Node {self.id!r} has op {self.op!r}, whose prefix is no level of the language."
            ) from None


@dataclass(frozen=True)
class Function:
    """A named module of the program: the nodes it computes, what it hands out, and the function that contains it."""

    name: str
    nodes: tuple[str, ...]
    doc: str = ""
    parent: str | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """A program at any mix of levels. Change it with `with_nodes`, `replacing` and `pruned`; it never changes itself.

    `==` asks whether two graphs are one object; `diff` compares what they hold.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Array] = field(default_factory=dict)
    axes: Mapping[str, Axis] = field(default_factory=dict)
    functions: tuple[Function, ...] = ()
    meta: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", MappingProxyType({n.id: n for n in self.nodes}))

    @property
    def by_id(self) -> Mapping[str, Node]:
        """Nodes by their id."""
        return self._by_id  # type: ignore[attr-defined, no-any-return]

    def __getitem__(self, node_id: str) -> Node:
        try:
            return self.by_id[node_id]
        except KeyError:
            raise GraphError(f"The graph has no node {node_id!r}.") from None

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes a caller must supply."""
        return tuple(n for n in self.nodes if n.level is Level.INPUT)

    def users(self, node_id: str) -> tuple[Node, ...]:
        """Nodes that read a node, in order."""
        return tuple(n for n in self.nodes if node_id in n.inputs)

    def upstream(self, targets: Iterable[str]) -> frozenset[str]:
        """Ids of everything the targets depend on, themselves included."""
        seen: set[str] = set()
        stack = list(targets)
        while stack:
            current = stack.pop()
            if current not in seen:
                seen.add(current)
                stack.extend(self[current].inputs)
        return frozenset(seen)

    def downstream(self, sources: Iterable[str]) -> frozenset[str]:
        """Ids of everything that depends on the sources, themselves included."""
        seen = set(sources)
        for node in self.nodes:
            if any(i in seen for i in node.inputs):
                seen.add(node.id)
        return frozenset(seen)

    def with_nodes(
        self,
        nodes: Iterable[Node],
        *,
        outputs: tuple[str, ...] | None = None,
        tensors: Mapping[str, Array] | None = None,
        axes: Mapping[str, Axis] | None = None,
    ) -> Graph:
        """The graph with these nodes instead, sorted topologically; `tensors` and `axes` are added to what is there."""
        return replace(
            self,
            nodes=sort_nodes(nodes),
            outputs=self.outputs if outputs is None else outputs,
            tensors={**self.tensors, **(tensors or {})},
            axes={**self.axes, **(axes or {})},
        )

    def replacing(
        self,
        substitutes: Mapping[str, str],
        new: Iterable[Node] = (),
        *,
        tensors: Mapping[str, Array] | None = None,
        axes: Mapping[str, Axis] | None = None,
    ) -> Graph:
        """Adds `new`, makes every reader of a key of `substitutes` read its value instead, and drops what is unused.

        The new nodes themselves keep the inputs they name, so a substitute may read what it replaces.

        Raises:
            GraphError: a node to be replaced does not exist, or what `sort_nodes` refuses.
        """
        for name in substitutes:
            if name not in self.by_id:
                raise GraphError(f"The graph has no node {name!r} that could be replaced.")
        added = tuple(new)
        rewired = [replace(n, inputs=tuple(substitutes.get(i, i) for i in n.inputs)) for n in self.nodes]
        outputs = tuple(substitutes.get(o, o) for o in self.outputs)
        return self.with_nodes([*rewired, *added], outputs=outputs, tensors=tensors, axes=axes).pruned()

    def pruned(self) -> Graph:
        """Without nodes that no output needs (inputs stay), and without tensors that no node names."""
        alive = self.upstream(self.outputs)
        nodes = tuple(n for n in self.nodes if n.id in alive or n.level is Level.INPUT)
        named = {t for n in nodes for t in n.tensors.values()}
        named |= {t for n in nodes for s in n.sites for t in (s.basis, s.echo) if t}
        tensors = {k: v for k, v in self.tensors.items() if k in named}
        return replace(self, nodes=nodes, tensors=tensors, functions=self._functions_of(alive))

    def _functions_of(self, alive: frozenset[str]) -> tuple[Function, ...]:
        """Functions with those of their nodes that are alive. One that holds none, not even deeper inside, is gone."""
        parents = {f.name: f.parent for f in self.functions}
        kept: set[str | None] = set()
        for function in self.functions:
            name: str | None = function.name if any(i in alive for i in function.nodes) else None
            while name is not None and name not in kept:
                kept.add(name)
                name = parents.get(name)
        return tuple(
            replace(f, nodes=tuple(i for i in f.nodes if i in alive)) for f in self.functions if f.name in kept
        )


def sort_nodes(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Topological order that keeps the given order where dependencies allow it.

    Raises:
        GraphError: two nodes share an id, an input is missing, or there is a cycle.
    """
    pending = list(nodes)
    by_id = {n.id: n for n in pending}
    if len(by_id) != len(pending):
        ids = [n.id for n in pending]
        raise GraphError(f"Two nodes share the id {next(i for i in ids if ids.count(i) > 1)!r}.")
    state: dict[str, int] = {}
    done: list[Node] = []
    for root in pending:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, at = stack.pop()
            if at == 0:
                if state.get(node.id) == 2:
                    continue
                state[node.id] = 1
            if at < len(node.inputs):
                stack.append((node, at + 1))
                source = by_id.get(node.inputs[at])
                if source is None:
                    raise GraphError(f"Node {node.id!r} ({node.op}) reads {node.inputs[at]!r}, which does not exist.")
                if state.get(source.id) == 1:
                    raise GraphError(f"Nodes {node.id!r} and {source.id!r} depend on each other.")
                if state.get(source.id) != 2:
                    stack.append((source, 0))
            else:
                state[node.id] = 2
                done.append(node)
    return tuple(done)
