"""How a graph becomes functions: which nodes each definition computes, takes and returns, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from exegesis.emit.operators import check_operators
from exegesis.emit.tables import AllowTable, allow_table
from exegesis.ir import Function, Graph, GraphError, Level, check


@dataclass(frozen=True)
class Scope:
    """One definition of the program. `function` is None for `run`.

    Attributes:
        body: ids of nodes, and child scopes, in an order in which they can be computed.
        takes, gives: ids of nodes it is handed and hands back.
        uses: for every node that the body reads, how often.
    """

    function: Function | None
    body: tuple[str | Scope, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    uses: Mapping[str, int]


@dataclass(frozen=True)
class Structure:
    """The scopes of a program, and the nodes that are written as tables of another."""

    root: Scope
    tables: Mapping[str, AllowTable]


def structure(graph: Graph) -> Structure:
    """Arranges the live nodes of a graph.

    Raises:
        GraphError: the graph breaks the specification, has a node that numpy cannot run, or a function that cannot
            be one definition because something outside it lies between its own steps.
    """
    check(graph)
    tables = {
        n.id: table for n in graph.nodes if n.op == "symbolic.allow" and (table := allow_table(graph, n)) is not None
    }
    reads = {n.id: (tables[n.id].source,) if n.id in tables else n.inputs for n in graph.nodes}
    live = _live(reads, graph.outputs[:1])
    check_operators(graph, live.__contains__)
    for node in graph.nodes:
        if node.id in live and (wrong := [i for i in reads[node.id] if graph[i].op == "symbolic.allow"]):
            raise GraphError(
                f"Node {node.id!r} reads {wrong[0]!r}, but a set of allowed outputs is only ever an answer."
            )
    owners = _owners(graph)
    order = [n.id for n in graph.nodes if n.id in live]
    root = _Arranger(graph, reads, owners, order).scope(None)
    return Structure(root, tables)


def _live(reads: Mapping[str, tuple[str, ...]], outputs: Iterable[str]) -> set[str]:
    live: set[str] = set()
    stack = list(outputs)
    while stack:
        current = stack.pop()
        if current not in live:
            live.add(current)
            stack.extend(reads[current])
    return live


def _owners(graph: Graph) -> dict[str, tuple[str, ...]]:
    """For every node the functions around it, outermost first."""
    parents = {f.name: f.parent for f in graph.functions}
    owners: dict[str, tuple[str, ...]] = {}
    for function in graph.functions:
        path = [function.name]
        while (parent := parents[path[0]]) is not None:
            path.insert(0, parent)
        owners.update(dict.fromkeys(function.nodes, tuple(path)))
    return owners


class _Arranger:
    """Arranges nodes into nested scopes."""

    def __init__(
        self,
        graph: Graph,
        reads: Mapping[str, tuple[str, ...]],
        owners: Mapping[str, tuple[str, ...]],
        order: Collection[str],
    ) -> None:
        self.graph = graph
        self.reads = reads
        self.owners = owners
        self.order = list(order)
        self.functions = {f.name: f for f in graph.functions}

    def scope(self, name: str | None, path: tuple[str, ...] = ()) -> Scope:
        """The scope of a function (None: of `run`) with everything inside it."""
        inside = [n for n in self.order if self._path(n)[: len(path)] == path]
        members = set(inside)
        units = {n: self._unit(n, len(path)) for n in inside}
        order = self._unit_order(inside, units)
        body = tuple(u if isinstance(u, str) else self.scope(u.name, (*path, u.name)) for u in order)
        uses: dict[str, int] = {}
        for item in body:
            for read in item.takes if isinstance(item, Scope) else self.reads[item]:
                uses[read] = uses.get(read, 0) + 1
        takes = tuple(n for n in self.order if n in uses and n not in members)
        gives = tuple(n for n in inside if self._leaves(n, members))
        return Scope(self.functions[name] if name is not None else None, body, takes, gives, uses)

    def _unit(self, node: str, depth: int) -> str | Function:
        """What a node is a part of in a scope at this depth: itself, or a function inside."""
        path = self._path(node)
        return self.functions[path[depth]] if len(path) > depth else node

    def _path(self, node: str) -> tuple[str, ...]:
        """Inputs belong to `run`, whoever lists them."""
        return () if self.graph[node].level is Level.INPUT else self.owners.get(node, ())

    def _leaves(self, node: str, members: Collection[str]) -> bool:
        if node == self.graph.outputs[0]:
            return True
        return any(node in self.reads[other] for other in self.order if other not in members)

    def _unit_order(self, inside: list[str], units: Mapping[str, str | Function]) -> list[str | Function]:
        """Units (nodes and child functions) in topological order, otherwise as the graph has them."""
        needs: dict[str | Function, set[str | Function]] = {}
        for node in inside:
            sources = {units[r] for r in self.reads[node] if r in units}
            needs.setdefault(units[node], set()).update(sources - {units[node]})
        done: dict[str | Function, None] = {}
        while len(done) < len(needs):
            ready = next((u for u in needs if u not in done and needs[u] <= done.keys()), None)
            if ready is None:
                stuck = min(u.name for u in needs if isinstance(u, Function) and u not in done)
                raise GraphError(
                    f"Function {stuck!r} cannot be one definition: something outside it lies between its own steps."
                )
            done[ready] = None
        return list(done)
