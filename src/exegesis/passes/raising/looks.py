"""Where a selector looks, in words: for heads that are described, whether or not they could be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exegesis.ir import Json, Node
from exegesis.passes.draft import Draft

_MOST = 6


def looks(draft: Draft, selector: str) -> str:
    """What a drafted selector looks at, as half a sentence: "looks at …"."""
    node = draft[selector]
    told = _TOLD.get(node.op)
    return told(draft, node) if told else node.op.removeprefix("symbolic.")


def _everywhere(draft: Draft, node: Node) -> str:
    return "everything so far" if node.attrs["causal"] else "everything"


def _back(draft: Draft, node: Node) -> str:
    by = node.attrs["by"]
    return {0: "itself", 1: "the position before"}.get(by, f"{by} positions back")


def _at(draft: Draft, node: Node) -> str:
    return "the first position" if node.attrs["index"] == 0 else f"position {node.attrs['index']}"


def _match(draft: Draft, node: Node) -> str:
    query, key = (_variable(draft, i) for i in node.inputs)
    return f"positions where {key} is {query} here"


def _ordered(draft: Draft, node: Node) -> str:
    if draft[node.inputs[0]].op == draft[node.inputs[1]].op == "component.arange" and node.attrs["is"] == "<":
        return "everything before"
    query, key = (_variable(draft, i) for i in node.inputs)
    return f"positions where {key} {node.attrs['is']} {query} here"


def _where(draft: Draft, node: Node) -> str:
    selector, variable = node.inputs
    listed = _categories(draft, variable, node.attrs["values"])
    relation = "is none of" if node.attrs["negated"] else "is"
    return f"{looks(draft, selector)} where {_variable(draft, variable)} {relation} {listed}"


def _otherwise(draft: Draft, node: Node) -> str:
    first, second = (looks(draft, i) for i in node.inputs)
    return f"{first}, for want of that at {second}"


def _when(draft: Draft, node: Node) -> str:
    selector, condition = node.inputs
    holds = draft[condition]
    if holds.op != "symbolic.is_in":
        return f"{looks(draft, selector)} at times"
    listed = _categories(draft, holds.inputs[0], holds.attrs["values"])
    return f"{looks(draft, selector)} from {_variable(draft, holds.inputs[0])} {listed}"


def _both(draft: Draft, node: Node) -> str:
    return " and ".join(looks(draft, i) for i in node.inputs)


def _extreme(draft: Draft, node: Node) -> str:
    return f"the {node.attrs['which']} {_variable(draft, node.inputs[1])} among {looks(draft, node.inputs[0])}"


def _nearest(draft: Draft, node: Node) -> str:
    return f"the {node.attrs['which']} of {looks(draft, node.inputs[0])}"


def _weigh(draft: Draft, node: Node) -> str:
    return f"{looks(draft, node.inputs[0])}, weighed by {_variable(draft, node.inputs[1])}"


def _weigh_pairs(draft: Draft, node: Node) -> str:
    query, key = (_variable(draft, i) for i in node.inputs[1:])
    return f"{looks(draft, node.inputs[0])}, weighed by {key} there and {query} here"


def _variable(draft: Draft, name: str) -> str:
    """What a variable is called in a sentence; what a head copied goes by the head."""
    node = draft[name]
    if node.op == "input.tokens":
        return "the token"
    if node.op == "symbolic.copy":
        return f"the {_variable(draft, node.inputs[1]).removeprefix('the ')} that {node.doc or 'a head'} copied"
    if node.op in ("symbolic.relabel", "symbolic.lookup", "symbolic.shift", "symbolic.mod"):
        return f"{_variable(draft, node.inputs[0])} ({_changed(draft, node)})"
    return name.replace("_", " ")


def _changed(draft: Draft, node: Node) -> str:
    match node.op:
        case "symbolic.relabel":
            pairs = node.attrs["table"][:_MOST]
            return ", ".join(f"{_category(draft, node, a)} as {_category(draft, node, b)}" for a, b in pairs)
        case "symbolic.mod":
            return f"mod {node.attrs['period']}"
        case "symbolic.shift":
            return f"{node.attrs['by']:+d}"
        case _:
            return "by a table"


def _categories(draft: Draft, variable: str, values: Sequence[Json]) -> str:
    told = ", ".join(_category(draft, draft[variable], v) for v in values[:_MOST])
    return f"{told} …" if len(values) > _MOST else told


def _category(draft: Draft, node: Node, value: Json) -> str:
    axis = draft.axes.get(node.type.of or "") or draft.graph.axes.get(node.type.of or "")
    labels = axis.labels if axis is not None else None
    assert isinstance(value, int)
    return labels[value] if labels and 0 <= value < len(labels) else str(value)


_TOLD: Mapping[str, Callable[[Draft, Node], str]] = {
    "symbolic.everywhere": _everywhere,
    "symbolic.back": _back,
    "symbolic.at": _at,
    "symbolic.match": _match,
    "symbolic.ordered": _ordered,
    "symbolic.where": _where,
    "symbolic.otherwise": _otherwise,
    "symbolic.when": _when,
    "symbolic.both": _both,
    "symbolic.extreme": _extreme,
    "symbolic.nearest": _nearest,
    "symbolic.weigh": _weigh,
    "symbolic.weigh_pairs": _weigh_pairs,
}
