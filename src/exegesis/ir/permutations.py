"""Permutations of the symbolic level: elements of symmetric and alternating groups as matrices.

A variable holds one matrix for each of some irreducible representations, row by row, one after the other. See
`exegesis.primitives.permutations` for the numbering of elements and the matrices.
"""

from __future__ import annotations

from exegesis.ir.graph import Graph, Json, Node
from exegesis.ir.spec import OpSpec, axis_size, flag, number, whole
from exegesis.primitives.permutations import dimension

MOST_POINTS = 6  # permutations of more points are too many to list


def _partition(value: Json) -> bool:
    """Positive integers that never grow, of a sum that can be handled."""
    if not isinstance(value, list | tuple) or not value or not all(whole(v) and v > 0 for v in value):
        return False
    return sum(value) <= MOST_POINTS and list(value) == sorted(value, reverse=True)


def _partitions(value: Json) -> bool:
    """Partitions of one number, none of them twice."""
    if not isinstance(value, list | tuple) or not value or not all(_partition(v) for v in value):
        return False
    return len({sum(v) for v in value}) == 1 and len({tuple(v) for v in value}) == len(value)


def _weights(value: Json) -> bool:
    """Pairs [partition, weight]."""
    if not isinstance(value, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
        return False
    return _partitions([p for p, _ in value]) and all(number(w) for _, w in value)


def _directions(value: Json) -> bool:
    """A vector or null, for each of several matrices."""
    if not isinstance(value, list | tuple):
        return False
    return all(v is None or (isinstance(v, list | tuple) and v and all(map(number, v)) and any(v)) for v in value)


def _entries(partitions: Json) -> int:
    return sum(dimension(p) ** 2 for p in partitions)


def _fits(node: Node, graph: Graph, partitions: Json, *, gives: bool) -> str | None:
    size = _entries(partitions)
    types = [graph[i].type for i in node.inputs if graph[i].type.kind == "real"] + ([node.type] if gives else [])
    for type in types:
        found = axis_size(type.axes[-1], graph) if type.axes else None
        if found != size:
            return f"holds {size} entries of matrices, but has a last axis of size {found}"
    return None


def _representation_fits(node: Node, graph: Graph) -> str | None:
    return _fits(node, graph, node.attrs["partitions"], gives=True)


def _product_fits(node: Node, graph: Graph) -> str | None:
    partitions, between = node.attrs["partitions"], node.attrs.get("between")
    if between is not None:
        sizes = [dimension(p) for p in partitions]
        if len(between) != len(sizes) or any(
            d is not None and len(d) != s for d, s in zip(between, sizes, strict=False)
        ):
            return f"has directions that do not fit matrices of sizes {sizes}"
    return _fits(node, graph, partitions, gives=True)


def _votes_fit(node: Node, graph: Graph) -> str | None:
    return _fits(node, graph, [p for p, _ in node.attrs["weights"]], gives=False)


PERMUTATIONS = (
    OpSpec(
        "symbolic.representation",
        "What a permutation is in some irreducible representations, as one matrix for each.",
        ("element",),
        kinds={"element": ("category", "int")},
        attrs={"partitions": _partitions, "even?": flag},
        check=_representation_fits,
    ),
    OpSpec(
        "symbolic.matrix_product",
        "One permutation after another, the product of their matrices a·b; where `between` gives a direction, only "
        "what stands there in it is kept.",
        ("a", "b"),
        kinds={"a": ("real",), "b": ("real",)},
        attrs={"partitions": _partitions, "between?": _directions},
        check=_product_fits,
    ),
    OpSpec(
        "symbolic.representation_votes",
        "For each permutation: the sum over representations of weight · the entries of the given matrix times its own.",
        ("matrices",),
        kinds={"matrices": ("real",)},
        attrs={"weights": _weights, "even?": flag},
        check=_votes_fit,
    ),
)
