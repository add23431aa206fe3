"""Finite functions read off a graph: what every category of one variable leads to."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exegesis import primitives as p
from exegesis.ir import Graph, Node

_MOST_ROWS = 24
_MOST_CATEGORIES = 4096
_RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class AllowTable:
    """The outputs that an `allow` node allows, by the category of `source`; `other` where a category is not listed."""

    source: str
    rows: tuple[tuple[int, tuple[int, ...]], ...]
    other: tuple[int, ...]


def allow_table(graph: Graph, node: Node) -> AllowTable | None:
    """The table of an `allow` node whose conditions all depend on one category variable, where that reads better."""
    conditions = node.inputs[1:]
    source = _only_source(graph, conditions) if conditions else None
    if source is None:
        return None
    categories = _categories(graph, graph[source])
    held = _values(graph, conditions, source, categories)
    always = set(node.attrs["always"])
    allowed = [
        tuple(sorted(always | {g for g, h in zip(node.attrs["gives"], held, strict=True) if h[k]}))
        for k in range(len(categories))
    ]
    other = _commonest(allowed)
    rows = tuple((int(c), a) for c, a in zip(categories, allowed, strict=True) if a != other)
    if len(rows) > _MOST_ROWS or sum(len(a) + 1 for _, a in rows) > 2 * _size(graph, conditions, source) + 4:
        return None
    return AllowTable(source, rows, other)


def _commonest(allowed: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The set that most categories share, if at least two do, else the empty one."""
    (common, times), *_ = Counter(allowed).most_common(1)
    return common if times > 1 else ()


def _only_source(graph: Graph, targets: Sequence[str]) -> str | None:
    """The single category variable that the targets are functions of, position by position.

    A condition that was found in the network is a variable of its own, and is not looked through.
    """
    leaves, stack, seen = set[str](), list(targets), set[str]()
    while stack:
        node = graph[stack.pop()]
        if node.id in seen:
            continue
        seen.add(node.id)
        if node.op in _POINTWISE and node.inputs and not node.sites:
            stack.extend(node.inputs)
        else:
            leaves.add(node.id)
    if len(leaves) != 1:
        return None
    (leaf,) = leaves
    small = graph[leaf].type.kind == "category" and 0 < len(_categories(graph, graph[leaf])) <= _MOST_CATEGORIES
    return leaf if small else None


def _categories(graph: Graph, node: Node) -> NDArray[np.int_]:
    """All categories of a variable; those of the input cannot be none."""
    axis = graph.axes.get(node.type.of or "")
    if axis is None or axis.size is None:
        return np.arange(0)
    return np.arange(0 if node.op.startswith("input.") else -1, axis.size)


def _size(graph: Graph, targets: Sequence[str], source: str) -> int:
    """About how many things a reader reads in the conditions as they stand: one per operation and per constant."""
    between = graph.upstream(targets) - graph.upstream([source])
    lists = ("values", "rows", "table", "terms", "gives")
    return sum(2 + sum(len(graph[n].attrs.get(a, ())) for a in lists) for n in between)


def _values(graph: Graph, targets: Sequence[str], source: str, categories: NDArray[np.int_]) -> list[NDArray[Any]]:
    """The values of pointwise nodes for every category of their source."""
    needed = graph.upstream(targets) - graph.upstream([source])
    values: dict[str, NDArray[Any]] = {source: categories}
    for node in graph.nodes:
        if node.id in needed:
            values[node.id] = _POINTWISE[node.op](node, [values[i] for i in node.inputs])
    return [values[t] for t in targets]


def _lookup(node: Node, inputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    table = {(r[0] if len(r) == 2 else tuple(r[:-1])): r[-1] for r in node.attrs["rows"]}
    found = p.lookup(*inputs, table=table, other=node.attrs["other"])
    return found.astype(bool) if node.type.kind == "bool" else found


def _choose(node: Node, inputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return p.choose(*zip(inputs, node.attrs["gives"], strict=True), other=node.attrs["other"])


def _reduced(function: Callable[[Any, Any], Any]) -> Callable[[Node, Sequence[NDArray[Any]]], NDArray[Any]]:
    return lambda node, inputs: reduce(function, [i.astype(bool) for i in inputs])


_POINTWISE: Mapping[str, Callable[[Node, Sequence[NDArray[Any]]], NDArray[Any]]] = {
    "symbolic.is_in": lambda n, x: p.is_in(x[0], n.attrs["values"]),
    "symbolic.compare": lambda n, x: np.asarray(_RELATIONS[n.attrs["is"]](x[0], n.attrs["to"])),
    "symbolic.relabel": lambda n, x: p.relabel(x[0], dict(n.attrs["table"])),
    "symbolic.mod": lambda n, x: p.mod(x[0], n.attrs["period"], plus=n.attrs.get("plus", 0)),
    "symbolic.shift": lambda n, x: p.shift(x[0], n.attrs["by"]),
    "symbolic.not": lambda n, x: ~x[0].astype(bool),
    "symbolic.and": _reduced(np.logical_and),
    "symbolic.or": _reduced(np.logical_or),
    "symbolic.prefer": lambda n, x: np.where(x[0].astype(bool), x[1], x[2]),
    "symbolic.lookup": _lookup,
    "symbolic.choose": _choose,
}
