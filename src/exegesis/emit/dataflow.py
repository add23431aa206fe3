"""The dataflow of a program: its functions, the operations between them, and the variables that flow along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from exegesis.emit.naming import default_name, function_names, identifier
from exegesis.emit.structure import Scope, structure
from exegesis.ir import Graph, Level, Node, price

Kind: TypeAlias = Literal["input", "function", "operation", "answer"]
_MOST_UNITS = 40


@dataclass(frozen=True)
class Unit:
    """A box: an input, a function, one operation of `run`, or the answer; `opaque` is the share of it in bits."""

    key: str
    kind: Kind
    name: str
    note: str = ""
    opaque: float = 0.0


@dataclass(frozen=True)
class Flow:
    """A variable on its way from one box to another."""

    source: str
    target: str
    variable: str


@dataclass(frozen=True)
class Dataflow:
    """Boxes in the order in which they can be computed, and what flows between them."""

    units: tuple[Unit, ...]
    flows: tuple[Flow, ...]


def dataflow(graph: Graph) -> Dataflow:
    """The dataflow of `run`. Operations are left out where there are too many to draw, and arrows pass through them.

    Raises:
        GraphError: as `emit_program`.
    """
    plan = structure(graph)
    names = function_names(graph)
    bits = price(graph).by_node
    units: list[Unit] = []
    gives: dict[str, str] = {}
    takes: dict[str, list[str]] = {}
    for item in plan.root.body:
        if isinstance(item, Scope):
            assert item.function is not None
            key = f"function {item.function.name}"
            opaque = _opaque([bits[i].opaque for i in _nodes(item)], [bits[i].symbolic for i in _nodes(item)])
            units.append(Unit(key, "function", names[item.function.name], item.function.doc, opaque))
            gives |= dict.fromkeys(item.gives, key)
            takes[key] = list(item.takes)
        else:
            node = graph[item]
            kind: Kind = "input" if node.level is Level.INPUT else "operation"
            opaque = _opaque([bits[item].opaque], [bits[item].symbolic])
            key = f"node {item}"
            units.append(Unit(key, kind, _title(node, graph), "" if kind == "input" else node.doc, opaque))
            gives[item] = key
            takes[key] = [plan.tables[item].source] if item in plan.tables else list(node.inputs)
    units.append(Unit("answer", "answer", "answer"))
    takes["answer"] = [graph.outputs[0]]
    flows = [
        Flow(gives[read], unit.key, _variable(graph[read], graph))
        for unit in units
        for read in dict.fromkeys(takes.get(unit.key, ()))
    ]
    whole = Dataflow(tuple(units), tuple(flows))
    return whole if len(units) <= _MOST_UNITS else _functions_only(whole)


def _functions_only(whole: Dataflow) -> Dataflow:
    """The same without single operations: what flows into one flows on to whoever reads it."""
    kept = {u.key for u in whole.units if u.kind != "operation"}
    sources: dict[str, Mapping[str, str]] = {}  # by box: boxes that are kept and reach it, with the variable they give
    flows: dict[tuple[str, str], Flow] = {}
    for unit in whole.units:
        reaching: dict[str, str] = {}
        for flow in (f for f in whole.flows if f.target == unit.key):
            reaching |= {flow.source: flow.variable} if flow.source in kept else sources[flow.source]
        sources[unit.key] = reaching
        if unit.key in kept:
            flows |= {(s, unit.key): Flow(s, unit.key, variable) for s, variable in reaching.items()}
    return Dataflow(tuple(u for u in whole.units if u.key in kept), tuple(flows.values()))


def _nodes(scope: Scope) -> list[str]:
    """The nodes of a scope and of those inside it."""
    return [n for item in scope.body for n in (_nodes(item) if isinstance(item, Scope) else [item])]


def _opaque(opaque: list[float], symbolic: list[float]) -> float:
    total = sum(opaque) + sum(symbolic)
    return sum(opaque) / total if total else 0.0


def _title(node: Node, graph: Graph) -> str:
    return _variable(node, graph) if node.level is Level.INPUT else node.op.partition(".")[2]


def _variable(node: Node, graph: Graph) -> str:
    return identifier(node.name or "") or default_name(node, graph)
