"""Names of functions and variables in a program."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection
from itertools import chain, count

from exegesis import primitives
from exegesis.ir import Function, Graph, Level, Node

RESERVED = frozenset(
    {*keyword.kwlist, *dir(builtins), *primitives.__all__, "np", "run", "TENSORS", "input_ids", "position_ids"}
)

_DEFAULTS = {
    "input.tokens": "tokens",
    "input.positions": "positions",
    "input.array": "x",
    "symbolic.match": "same",
    "symbolic.attend": "attention",
    "symbolic.share": "shares",
    "symbolic.count": "seen",
    "symbolic.width": "how_many",
    "symbolic.copy": "copied",
    "symbolic.relabel": "renamed",
    "symbolic.lookup": "found",
    "symbolic.mod": "remainder",
    "symbolic.shift": "shifted",
    "symbolic.form": "balance",
    "symbolic.wave": "waves",
    "symbolic.total": "gathered",
    "symbolic.add_angles": "angles",
    "symbolic.double_angles": "angles",
    "symbolic.votes": "fits",
    "symbolic.motion": "motions",
    "symbolic.compose": "product",
    "symbolic.motion_votes": "fits",
    "symbolic.representation": "matrices",
    "symbolic.matrix_product": "product",
    "symbolic.representation_votes": "fits",
    "symbolic.compare": "holds",
    "symbolic.is_in": "member",
    "symbolic.not": "absent",
    "symbolic.and": "all_hold",
    "symbolic.or": "some_hold",
    "symbolic.allow": "allowed",
    "component.arange": "positions",
    "component.embed": "embedded",
    "component.constant": "offset",
    "component.add": "stream",
    "component.norm": "normed",
    "component.heads": "projected",
    "component.scores": "products",
    "component.mask": "masked",
    "component.softmax": "pattern",
    "component.mix": "mixed",
    "component.write": "written",
    "component.activation": "active",
    "component.gate": "gated",
    "component.scale": "scaled",
    "component.flatten": "flat",
    "component.conv2d": "channels",
    "component.pool2d": "pooled",
    "component.pick": "picked",
}
    "component.join": "together",
_BY_CONSUMER = {("component.scores", 0): "q", ("component.scores", 1): "k", ("component.mix", 1): "v"}
_BY_ROLE = {"mlp_in": "hidden", "mlp_gate": "gates", "mlp_out": "mlp", "unembed": "logits"}


def identifier(text: str) -> str:
    """A lower-case Python identifier for a name; empty where nothing of it can be kept."""
    word = re.sub(r"[^0-9a-zA-Z]+", "_", text).strip("_").lower()
    return f"n_{word}" if word[:1].isdigit() else word


_SILENT = frozenset({"token", "tokens", "position", "positions", "place", "there"})  # a variable is understood without


def default_name(node: Node, graph: Graph) -> str:
    """What a variable is called that nobody named: after what it holds, or after who reads it."""
    for user in graph.users(node.id):
        if name := _BY_CONSUMER.get((user.op, user.inputs.index(node.id))):
            return name
    if node.op == "component.linear":
        return _BY_ROLE.get(node.attrs.get("role", ""), "features")
    if node.level is Level.TENSOR:
        return identifier(node.op.split(".")[2] if node.op.count(".") > 1 else "") or "value"
    if node.type.kind == "selector" and node.op not in _DEFAULTS:
        return "looked_at"
    return _DEFAULTS.get(node.op, "answer" if node.type.kind == "category" else "value")


def function_names(graph: Graph) -> dict[str, str]:
    """For every function of the graph the name of its definition in the program."""
    names: dict[str, str] = {}
    for function in graph.functions:
        names[function.name] = free_name(_function_name(function, graph), names.values())
    return names


def _function_name(function: Function, graph: Graph) -> str:
    """What finds a variable is not called what the variable is, unless the variable can do with less."""
    wanted = identifier(function.name) or "part"
    found = [n for n in map(graph.__getitem__, function.nodes) if identifier(n.name or "") == wanted]
    if not found or found[-1].level is not Level.SYMBOLIC or shorter_name(wanted):
        return wanted
    return f"{'whether' if found[-1].type.kind == 'bool' else 'find'}_{wanted}"


def shorter_name(name: str) -> str:
    """A name that says as much without its last word: the function `previous_token` gives `previous`; else nothing."""
    rest, _, last = name.rpartition("_")
    return rest if last in _SILENT else ""


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The wanted name (its plural, where the language or the vocabulary has that word), numbered when it is taken."""
    plain = wanted if wanted not in RESERVED else f"{wanted}s" if f"{wanted}s" not in RESERVED else f"{wanted}_value"
    return next(n for n in chain((plain,), (f"{plain}_{k}" for k in count(2))) if n not in taken)
