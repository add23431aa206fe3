"""Angles and motions as expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exegesis.emit.code import Code, call, dict_of, literal, tuple_of
from exegesis.emit.symbolic import Build, Scene
from exegesis.ir import Json, Node


def _plain(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call(node.op.removeprefix("symbolic."), *inputs)


def _of_category(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    frequencies = tuple_of(literal(f) for f in node.attrs["frequencies"])
    return call(node.op.removeprefix("symbolic."), inputs[0], frequencies, literal(node.attrs["period"]))


def _votes(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    weights = dict_of((literal(f), literal(w)) for f, w in node.attrs["weights"])
    return call(node.op.removeprefix("symbolic."), inputs[0], weights, literal(node.attrs["period"]))


def _compose(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    named = {name: _degrees(node.attrs[name]) for name in ("left", "between", "right") if name in node.attrs}
    return call("compose", *inputs, **named)


def _double_angles(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    less = {"less": literal(node.attrs["less"])} if "less" in node.attrs else {}
    return call("double_angles", inputs[0], **less)


def _degrees(values: Json) -> Code:
    return tuple_of(Code("None") if v is None else literal(v) for v in values)


PERIODIC: Mapping[str, Build] = {
    "symbolic.wave": _of_category,
    "symbolic.total": _plain,
    "symbolic.add_angles": _plain,
    "symbolic.double_angles": _double_angles,
    "symbolic.votes": _votes,
    "symbolic.motion": _of_category,
    "symbolic.compose": _compose,
    "symbolic.motion_votes": _votes,
}
