"""Periodic variables of the symbolic level: angles that categories of a cyclic set stand for, and motions of a polygon.

A *wave* holds the pair (cos, sin) of an angle for each of its frequencies, one pair after the other. A *motion* holds
a 2×2 matrix for each of its frequencies, row by row: element k < n of the dihedral group of order 2n turns the plane by
2π·f·k/n, element n + k flips it first (the second coordinate changes its sign). A category that is none gives zeros.
"""

from __future__ import annotations

from exegesis.ir.graph import Graph, Json, Node, Type
from exegesis.ir.spec import OpSpec, axis_size, number, positive, whole, wholes

_DEGREES = ("left", "between", "right")


def _frequencies(value: Json) -> bool:
    """Integers, at least one. One may stand there twice: as a frequency of its own and as the double of another."""
    return wholes(value) and len(value) > 0


def _weights(value: Json) -> bool:
    """Pairs [frequency, weight], at least one, no frequency twice."""
    if not isinstance(value, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
        return False
    return len(value) > 0 and all(whole(f) and number(w) for f, w in value) and len({f for f, _ in value}) == len(value)


def _degrees(value: Json) -> bool:
    """A number of degrees or null, for each of several matrices."""
    return isinstance(value, list | tuple) and all(v is None or number(v) for v in value)


def _width(type: Type, graph: Graph) -> int | None:
    return axis_size(type.axes[-1], graph) if type.axes else None


def _gives(node: Node, graph: Graph, size: int) -> str | None:
    found = _width(node.type, graph)
    return None if found == size else f"gives {size} numbers along its last axis, which has size {found}"


def _takes(node: Node, graph: Graph, size: int) -> str | None:
    for source in node.inputs:
        if (found := _width(graph[source].type, graph)) != size:
            return f"needs {size} numbers along the last axis of {source!r}, which has size {found}"
    return None


def _wave_fits(node: Node, graph: Graph) -> str | None:
    return _gives(node, graph, 2 * len(node.attrs["frequencies"]))


def _motion_fits(node: Node, graph: Graph) -> str | None:
    return _gives(node, graph, 4 * len(node.attrs["frequencies"]))


def _pairs_fit(node: Node, graph: Graph) -> str | None:
    size = _width(node.type, graph)
    if size is None or size % 2:
        return f"holds pairs of numbers, but its last axis has size {size}"
    return _takes(node, graph, size)


def _doubled_fits(node: Node, graph: Graph) -> str | None:
    size = _width(node.type, graph)
    if size is None or size % 2:
        return f"holds pairs of numbers, but its last axis has size {size}"
    return _takes(node, graph, 2 * size if "less" in node.attrs else size)


def _matrices_fit(node: Node, graph: Graph) -> str | None:
    size = _width(node.type, graph)
    if size is None or size % 4:
        return f"holds matrices of four numbers, but its last axis has size {size}"
    for name in _DEGREES:
        if name in node.attrs and 4 * len(node.attrs[name]) != size:
            return f"has {len(node.attrs[name])} directions {name!r} for {size // 4} matrices"
    return _takes(node, graph, size)


def _votes_fit(node: Node, graph: Graph) -> str | None:
    return _takes(node, graph, 2 * len(node.attrs["weights"])) or _gives(node, graph, node.attrs["period"])


def _motion_votes_fit(node: Node, graph: Graph) -> str | None:
    return _takes(node, graph, 4 * len(node.attrs["weights"])) or _gives(node, graph, 2 * node.attrs["period"])


def _total_fits(node: Node, graph: Graph) -> str | None:
    size = _width(graph[node.inputs[1]].type, graph)
    return None if size is None else _gives(node, graph, size)


PERIODIC = (
    OpSpec(
        "symbolic.wave",
        "The angle 2π·f·value/period for each frequency f, as cos and sin.",
        ("value",),
        kinds={"value": ("category", "bool", "int")},
        attrs={"frequencies": _frequencies, "period": positive},
        check=_wave_fits,
    ),
    OpSpec(
        "symbolic.total",
        "The sum of a variable over the positions looked at, by their weights.",
        ("selector", "value"),
        kinds={"selector": ("selector",), "value": ("real",)},
        check=_total_fits,
    ),
    OpSpec(
        "symbolic.add_angles",
        "The sum of two angles, each given as cos and sin: pairs multiply as complex numbers.",
        ("a", "b"),
        kinds={"a": ("real",), "b": ("real",)},
        check=_pairs_fit,
    ),
    OpSpec(
        "symbolic.double_angles",
        "Twice the angle of each pair, at its length: z²/|z| as complex numbers, and 0 where z is. With `less`, the "
        "second half of the pairs holds companions at twice the frequencies, of which so much is taken off.",
        ("a",),
        kinds={"a": ("real",)},
        attrs={"less?": number},
        check=_doubled_fits,
    ),
    OpSpec(
        "symbolic.votes",
        "For each class c of a cyclic set: the sum over frequencies f of weight · length · cos(angle − 2π·f·c/period).",
        ("angles",),
        kinds={"angles": ("real",)},
        attrs={"weights": _weights, "period": positive},
        check=_votes_fit,
    ),
    OpSpec(
        "symbolic.motion",
        "What an element of the dihedral group of order 2·period does to the plane, as one matrix per frequency.",
        ("element",),
        kinds={"element": ("category", "int")},
        attrs={"frequencies": _frequencies, "period": positive},
        check=_motion_fits,
    ),
    OpSpec(
        "symbolic.compose",
        "One motion after another, the product of their matrices a·b; where `left`, `between` or `right` give degrees, "
        "only what stands there in that direction is kept.",
        ("a", "b"),
        kinds={"a": ("real",), "b": ("real",)},
        attrs={f"{name}?": _degrees for name in _DEGREES},
        check=_matrices_fit,
    ),
    OpSpec(
        "symbolic.motion_votes",
        "For each element z of the dihedral group of order 2·period: the sum over frequencies of weight · the entries "
        "of the given matrix times those of z's.",
        ("motion",),
        kinds={"motion": ("real",)},
        attrs={"weights": _weights, "period": positive},
        check=_motion_votes_fit,
    ),
)
