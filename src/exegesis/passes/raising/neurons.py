"""MLPs as a component graph holds them, and the groups of neurons that write one thing each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from exegesis.ir import Array, Axis, Graph, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SEQUENCE

Real = NDArray[np.floating]

_SILENT = 1e-5
_APART = 1e-4


@dataclass(frozen=True)
class Mlp:
    """One MLP: the node of its activations [b, s, m], and of what it writes [b, s, d]."""

    active: str
    out: str

    @property
    def layer(self) -> str:
        """The layer, as node ids begin with it: `L0`."""
        return self.out.split(".", 1)[0]


def mlps(graph: Graph) -> Iterator[Mlp]:
    """Every MLP with one elementwise nonlinearity between two linear maps, in order of computation."""
    for out in graph.nodes:
        if out.op != "component.linear" or out.attrs.get("role") != "mlp_out":
            continue
        active = graph[out.inputs[0]]
        if active.op == "component.activation" and graph[active.inputs[0]].op == "component.linear":
            yield Mlp(active.id, out.id)


def out_weight(graph: Graph, mlp: Mlp) -> Real:
    """What each neuron writes, [m, d]."""
    weight: Real = graph.tensors[graph[mlp.out].tensors["weight"]]
    return weight


def groups(active: Real, weight: Real) -> list[NDArray[np.int64]]:
    """Neurons that ever do something, grouped so that different groups write at right angles to each other.

    Args:
        active: [n, m] activations.
        weight: [m, d] what each neuron writes.

    Returns:
        Ascending indices per group; groups in the order of their first neuron. A network whose neurons all overlap has
        one group.
    """
    reach = np.ptp(active, axis=0) * np.linalg.norm(weight, axis=1)
    alive = np.flatnonzero(reach > _SILENT * max(float(reach.max(initial=0.0)), 1e-12))
    if not len(alive) or reach.max() <= 1e-9:
        return []
    directions = weight[alive] / np.linalg.norm(weight[alive], axis=1, keepdims=True)
    count, label = connected_components(np.abs(directions @ directions.T) > _APART, directed=False)
    found = [alive[label == k] for k in range(count)]
    return sorted(found, key=lambda g: int(g[0]))


@dataclass(frozen=True, eq=False)
class Table:
    """What a group of neurons writes, as a function of a variable.

    Attributes:
        node: the variable.
        neurons: the group.
        values: the values that the variable takes; empty where it is a real number.
        rows: [len(values), d], what is written for each; for a real number [2, d], a slope and a constant.
        written: [n, d], what that gives at every position of the bench.
        rest: a variable and rows by its category, for positions at which the table does not count.
    """

    node: str
    neurons: NDArray[np.int64]
    values: tuple[int, ...]
    rows: Real
    written: Real
    rest: tuple[str, Mapping[int, Real]] | None = None


def with_tables(graph: Graph, mlp: Mlp, tables: Sequence[Table], *, by: str) -> Graph:
    """The graph in which tables write what the neurons wrote that they stand for.

    Tables over real numbers are left alone: their neurons stay.
    """
    tables = [t for t in tables if t.values]
    if not tables:
        return graph
    cut = np.concatenate([t.neurons for t in tables])
    graph, rest = _without_neurons(graph, mlp, cut, by)
    draft = Draft(graph, by)
    written = [rest, *(_drafted(draft, t, graph[mlp.out].type) for t in tables)]
    total = draft.add("component.add", written, graph[mlp.out].type, hint=f"{mlp.out}.by_table")
    return draft.into({mlp.out: total})


def _drafted(draft: Draft, table: Table, type: Type) -> str:
    """A table as nodes: the variable's values numbered, and a row for each."""
    rows = [*table.rows, *(table.rest[1].values() if table.rest else ())]
    axis = f"cases_{len(rows)}"
    draft.axes[axis] = Axis(axis, len(rows))
    kind = Type("category", SEQUENCE, axis)
    attrs = {"rows": [[v, k] for k, v in enumerate(table.values)], "other": -1}
    case = draft.add("symbolic.lookup", [table.node], kind, attrs, hint=f"{table.node}.case")
    if table.rest is not None:
        variable, kinds = table.rest[0], list(table.rest[1])
        aside = draft.add("symbolic.is_in", [variable], Type("bool", SEQUENCE), {"values": kinds}, hint="aside")
        attrs = {"rows": [[v, len(table.values) + k] for k, v in enumerate(kinds)], "other": -1}
        own = draft.add("symbolic.lookup", [variable], kind, attrs, hint=f"{table.node}.aside")
        case = draft.add("symbolic.prefer", [aside, own, case], kind, hint=f"{table.node}.or_aside")
    weight = np.array(rows, np.float32)
    return draft.add("component.embed", [case], type, hint=f"{table.node}.written", tensors={"weight": weight})


def _without_neurons(graph: Graph, mlp: Mlp, cut: NDArray[np.int64], by: str) -> tuple[Graph, str]:
    """The graph whose MLP lacks some neurons, and the node that writes what is left."""
    out, hidden = graph[mlp.out], graph[graph[mlp.active].inputs[0]]
    keep = np.setdiff1d(np.arange(out_weight(graph, mlp).shape[0]), cut)
    reach = np.linalg.norm(out_weight(graph, mlp)[keep], axis=1)
    tensors: dict[str, Array] = {}
    nodes = {}
    for node, axis in ((hidden, 1), (out, 0)):
        roles = dict(node.tensors)
        for role, name in node.tensors.items():
            if role == "bias" and node is out:
                continue
            roles[role] = f"{name}-cut"
            tensors[roles[role]] = np.ascontiguousarray(
                np.take(graph.tensors[name], keep, axis=axis if role == "weight" else 0)
            )
        nodes[node.id] = replace(node, tensors=roles)
    if not len(keep) or not reach.any():
        draft = Draft(graph, by)
        bias = out.tensors.get("bias")
        value = graph.tensors[bias] if bias else np.zeros(out_weight(graph, mlp).shape[1], np.float32)
        rest = draft.add(
            "component.constant", [graph.inputs[0].id], out.type, hint=f"{mlp.out}.bias", tensors={"value": value}
        )
        return draft.whole(), rest
    return graph.with_nodes([nodes.get(n.id, n) for n in graph.nodes], tensors=tensors), mlp.out
