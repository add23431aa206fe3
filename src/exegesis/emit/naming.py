"""Names of functions and variables in a program."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection
from itertools import chain, count

from exegesis import primitives
from exegesis.emit.truths import is_truth
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
    "symbolic.automaton": "states",
    "component.recurrent": "states",
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
    "component.join": "together",
    "component.pick": "picked",
}
_BY_CONSUMER = {("component.scores", 0): "q", ("component.scores", 1): "k", ("component.mix", 1): "v"}
_BY_ROLE = {"mlp_in": "hidden", "mlp_gate": "gates", "mlp_out": "mlp", "unembed": "logits"}


def identifier(text: str) -> str:
    """A lower-case Python identifier for a name; empty where nothing of it can be kept."""
    word = re.sub(r"[^0-9a-zA-Z]+", "_", text).strip("_").lower()
    return f"n_{word}" if word[:1].isdigit() else word


_TRUTHS = {"symbolic.copy": "holds", "symbolic.share": "fraction_there", "symbolic.width": "any_there"}
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
        return _selector_name(node, graph)
    if node.op == "symbolic.form" and (allows := _allowed(node, graph)):
        return f"{allows}_score"
    if node.op in _TRUTHS and is_truth(graph, node.id):
        return _TRUTHS[node.op]
    return _DEFAULTS.get(node.op, "answer" if node.type.kind == "category" else "value")


def _selector_name(node: Node, graph: Graph) -> str:
    """What a selector looks at, where a word or two can say it."""
    match node.op:
        case "symbolic.everywhere":
            return "so_far" if node.attrs["causal"] else "anywhere"
        case "symbolic.ordered" if all(graph[i].op in _PLACES for i in node.inputs) and node.attrs["is"] == "<":
            return "earlier"
        case "symbolic.where" if label := _only_label(node, graph):
            return f"{'not' if node.attrs['negated'] else 'at'}_{label}"
        case "symbolic.where" if graph[node.inputs[1]].op in _PLACES and not node.attrs["negated"]:
            inner = graph[node.inputs[0]]
            return "earlier_places" if _selector_name(inner, graph) == "earlier" else "places"
        case "symbolic.extreme" if (side := graph[node.inputs[0]]).op == "symbolic.ordered":
            kind = (side.attrs["is"][0], node.attrs["which"])
            return {(">", "smallest"): "just_above", ("<", "largest"): "just_below"}.get(kind, f"{kind[1]}_there")
        case "symbolic.extreme" | "symbolic.nearest":
            return f"{node.attrs['which']}_there"
        case "symbolic.otherwise":
            return "preferred"
        case _:
            return "looked_at"


_PLACES = frozenset({"component.arange", "input.positions"})


def _only_label(node: Node, graph: Graph) -> str:
    """The label of the one category that a `where` is about, as a word; empty where there is none."""
    key = graph[node.inputs[1]]
    axis, values = graph.axes.get(key.type.of or ""), node.attrs["values"]
    if len(values) != 1 or axis is None or not axis.labels or not 0 <= values[0] < len(axis.labels):
        return ""
    return identifier(constant_word(axis.labels[values[0]]))


def _allowed(node: Node, graph: Graph) -> str:
    """The first output that depends on how large a form is, as a word; empty where none does."""
    for held in graph.users(node.id):
        for answer in graph.users(held.id) if held.op == "symbolic.compare" and held.attrs["is"][0] == ">" else ():
            axis = graph.axes.get(answer.type.axes[-1]) if answer.op == "symbolic.allow" else None
            if axis is not None and axis.labels:
                output = answer.attrs["gives"][answer.inputs[1:].index(held.id)]
                return identifier(constant_word(axis.labels[output]))
    return ""


def constant_word(label: str) -> str:
    """A label in words: `<bos>` → bos, `(` → left parenthesis, `-5` → minus 5."""
    if len(label) == 1 and not label.isalnum():
        label = unicodedata.name(label, "")
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"\W+", " ", re.sub(r"^-(?=\d)", "minus ", plain)).strip()


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
