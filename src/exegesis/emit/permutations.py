"""Permutations as matrices, as expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exegesis.emit.code import Code, call, dict_of, literal, tuple_of
from exegesis.emit.symbolic import Build, Scene
from exegesis.ir import Json, Node


def _numbers(values: Json) -> Code:
    return Code("None") if values is None else tuple_of(literal(v) for v in values)


def _even(node: Node) -> dict[str, Code]:
    return {"even": Code("True")} if node.attrs.get("even") else {}


def _representation(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    partitions = tuple_of(_numbers(p) for p in node.attrs["partitions"])
    return call("representation", inputs[0], partitions, **_even(node))


def _matrix_product(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    partitions = tuple_of(_numbers(p) for p in node.attrs["partitions"])
    between = {"between": tuple_of(_numbers(d) for d in node.attrs["between"])} if "between" in node.attrs else {}
    return call("matrix_product", *inputs, partitions, **between)


def _votes(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    weights = dict_of((_numbers(p), literal(w)) for p, w in node.attrs["weights"])
    return call("representation_votes", inputs[0], weights, **_even(node))


PERMUTATIONS: Mapping[str, Build] = {
    "symbolic.representation": _representation,
    "symbolic.matrix_product": _matrix_product,
    "symbolic.representation_votes": _votes,
}
