"""Symbolic operations as expressions: one function per operation that needs more than a plain call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from exegesis.emit.code import (
    Bracketed,
    Code,
    Term,
    call,
    chain,
    compared,
    compared_form,
    denied,
    dict_of,
    linear,
    literal,
    method,
    tuple_of,
)
from exegesis.emit.forms import form
from exegesis.emit.tables import AllowTable
from exegesis.emit.truths import asks_truth, is_truth
from exegesis.emit.words import Words
from exegesis.ir import Graph, Node

_SHORT = 60  # characters of a condition that an answer is made of

Build: TypeAlias = Callable[["Scene", Node, Sequence[Code]], Code]


class Scene:
    """What an expression may need to know besides its inputs."""

    def __init__(self, graph: Graph, words: Words) -> None:
        self.graph = graph
        self.words = words

    def axis_of(self, node_id: str) -> str | None:
        """The axis whose categories a node holds: of a category variable, or the classes of a real one."""
        kind = self.graph[node_id].type
        return kind.of if kind.kind != "real" else (kind.axes[-1] if kind.axes else None)

    def size(self, axis: str) -> int:
        """How many classes an axis has; a literal axis is written `=64`."""
        declared = int(axis[1:]) if axis.startswith("=") else self.graph.axes[axis].size
        return 0 if declared is None else declared

    def source(self, node: Node, k: int = 0) -> Node:
        """The node that input k is."""
        return self.graph[node.inputs[k]]


def _literal_bool(value: bool) -> Code:
    return Code(str(value))


def _causal(node: Node) -> dict[str, Code]:
    return {"causal": _literal_bool(True)} if node.attrs["causal"] else {}


def _everywhere(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("everywhere", inputs[0], **_causal(node))


def _back(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("back", inputs[0], literal(node.attrs["by"]))


def _at(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("at", inputs[0], literal(node.attrs["index"]), **_causal(node))


def _match(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("match", *inputs, **_causal(node))


def _ordered(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("ordered", inputs[1], Code(f'"{node.attrs["is"]}"'), inputs[0], **_causal(node))


def _which(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call(node.op.removeprefix("symbolic."), *inputs, Code(f'"{node.attrs["which"]}"'))


def _where(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """A truth, and a comparison with one category, are conditions; several categories are listed."""
    values, negated, axis = node.attrs["values"], node.attrs["negated"], scene.axis_of(node.inputs[1])
    if scene.source(node, 1).type.kind == "bool" and {(b in values) != negated for b in (0, 1)} == {False, True}:
        condition = inputs[1] if (1 in values) != negated else denied(inputs[1])
    elif is_truth(scene.graph, node.inputs[1]):
        condition = denied(inputs[1]) if negated else inputs[1]
    elif len(values) == 1:
        condition = compared(inputs[1], "!=" if negated else "==", scene.words.category(axis, values[0]))
    else:
        keyword = {"negated": _literal_bool(True)} if negated else {}
        return call("where", *inputs, scene.words.many(axis, values), **keyword)
    selector = inputs[0]
    if isinstance(selector, Bracketed) and selector.head == "where(" and len(selector.items) == 2:
        (_, selector), (_, first) = selector.items  # two conditions in one place are one
        condition = chain("&", [first, condition])
    return call("where", selector, condition)


def _weigh(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    if not node.attrs["weights"] and node.attrs["other"]:
        return linear([Term(node.attrs["other"], inputs[0])])
    axis = scene.axis_of(node.inputs[1])
    weights = dict_of((scene.words.category(axis, c), literal(w)) for c, w in node.attrs["weights"])
    other = {"other": literal(node.attrs["other"])} if node.attrs["other"] else {}
    return call("weigh", *inputs, weights, **other)


def _weigh_pairs(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    query, key = (scene.axis_of(i) for i in node.inputs[1:])
    weights = dict_of(
        (tuple_of([scene.words.category(query, q), scene.words.category(key, k)]), literal(w))
        for q, k, w in node.attrs["weights"]
    )
    other = {"other": literal(node.attrs["other"])} if node.attrs["other"] else {}
    return call("weigh_pairs", *inputs, weights, **other)


def _related(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    query, key = (scene.axis_of(i) for i in node.inputs)
    sought: dict[int, list[int]] = {}
    for q, k in node.attrs["pairs"]:
        sought.setdefault(q, []).append(k)
    pairs = dict_of((scene.words.category(query, q), scene.words.many(key, ks)) for q, ks in sought.items())
    return call("related", *inputs, pairs, **_causal(node))


def _attend(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("attend", *inputs, tensor(node, "table"), **_causal(node))


def _plain(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call(node.op.removeprefix("symbolic."), *inputs)


def _copy(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("holds_at" if is_truth(scene.graph, node.id) else "copy", *inputs)


def _width(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("exists" if is_truth(scene.graph, node.id) else "width", *inputs)


def _by_class(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    if is_truth(scene.graph, node.id):
        return call("fraction", *inputs)
    size = literal(scene.size(node.type.axes[-1]))
    return call(node.op.removeprefix("symbolic."), *inputs, of=size)


def _relabel(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    before, after = scene.axis_of(node.inputs[0]), node.type.of
    words = scene.words
    table = dict_of((words.category(before, a), words.category(after, b)) for a, b in node.attrs["table"])
    return call("relabel", inputs[0], table)


def _lookup(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """One key: rows by result (a bool: membership). Several keys: rows one by one."""
    other, is_bool = node.attrs["other"], node.type.kind == "bool"
    rows = [(tuple(r[:-1]), r[-1]) for r in node.attrs["rows"] if bool(r[-1]) != bool(other) or not is_bool]
    axes = [scene.axis_of(i) for i in node.inputs]
    if len(inputs) == 1 and is_bool:
        found = membership(scene, inputs[0], axes[0], [k for (k,), _ in rows])
        return denied(found) if other else found
    result: Callable[[int], Code] = (
        (lambda r: _literal_bool(bool(r))) if is_bool else (lambda r: scene.words.category(node.type.of, r))
    )
    if len(inputs) == 1:
        groups: dict[int, list[int]] = {}
        for (k,), r in rows:
            groups.setdefault(r, []).append(k)
        if len(groups) < len(rows):
            table = dict_of((result(r), scene.words.many(axes[0], ks)) for r, ks in groups.items())
            return call("classify", inputs[0], table, other=result(other))
        table = dict_of((scene.words.category(axes[0], k), result(r)) for (k,), r in rows)
        return call("lookup", inputs[0], table=table, other=result(other))
    keys = [tuple_of(scene.words.category(a, k) for a, k in zip(axes, ks, strict=True)) for ks, _ in rows]
    table = dict_of(zip(keys, (result(r) for _, r in rows), strict=True))
    return call("lookup", *inputs, table=table, other=result(other))


def _mod(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """A number may be negative; a category that is negative is none, which `mod` leaves as it is."""
    plus, period = node.attrs.get("plus", 0), literal(node.attrs["period"])
    if scene.source(node).type.kind == "real":
        moved = linear([Term(1, inputs[0])], plus) if plus else inputs[0]
        return call("whole", call("np.mod", moved, period))
    return call("mod", inputs[0], period, **({"plus": literal(plus)} if plus else {}))


def _shift(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("shift", inputs[0], literal(node.attrs["by"]))


def _compare(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    to, source = node.attrs["to"], scene.source(node)
    if is_truth(scene.graph, source.id):
        return inputs[0] if asks_truth(scene.graph, node, source.id) else denied(inputs[0])
    if source.type.kind == "category" and isinstance(to, int):
        return compared(inputs[0], node.attrs["is"], scene.words.category(source.type.of, to))
    return compared_form(inputs[0], node.attrs["is"], to)


def _equal(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return compared(inputs[0], "==", inputs[1])


def _bound(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """`np.minimum(a, b)`; of more numbers, the calls are nested."""
    parts = [*inputs, *([literal(node.attrs["to"])] if "to" in node.attrs else [])]
    found, *others = parts
    for other in others:
        found = call("np.minimum" if node.attrs["which"] == "smaller" else "np.maximum", found, other)
    return found


def _is_in(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    if is_truth(scene.graph, node.inputs[0]):
        return inputs[0]
    return membership(scene, inputs[0], scene.axis_of(node.inputs[0]), node.attrs["values"])


def membership(scene: Scene, value: Code, axis: str | None, members: Sequence[int]) -> Code:
    """Whether a category is one of some: a plain comparison where there is one only."""
    if len(members) == 1:
        return compared(value, "==", scene.words.category(axis, members[0]))
    return call("is_in", value, scene.words.many(axis, members))


def _not(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return denied(inputs[0])


def _and(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return chain("&", inputs)


def _or(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return chain("|", inputs)


def _largest(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    among = node.attrs.get("among")
    axis = scene.axis_of(node.inputs[0])
    chosen = {} if among is None else {"among": scene.words.many(axis, among, ordered=True)}
    return call("largest", inputs[0], **chosen)


def _always(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("always", inputs[0], scene.words.category(node.type.of, node.attrs["value"]))


def _choose(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    results = [scene.words.category(node.type.of, g) for g in node.attrs["gives"]]
    other = scene.words.category(node.type.of, node.attrs["other"])
    if len(inputs) == 1:
        numbered = (node.attrs["gives"][0], node.attrs["other"])
        if sorted(numbered) == [0, 1] and scene.words.is_truth(node.type.of) and len(inputs[0].text) <= _SHORT:
            return method(inputs[0] if numbered == (1, 0) else denied(inputs[0]), "astype", "int")
        return call("np.where", inputs[0], results[0], other)
    cases = [tuple_of(case) for case in zip(inputs, results, strict=True)]
    return call("choose", *cases, other=other)


def _prefer(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("np.where", *inputs)


def _allow(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    axis = node.type.axes[-1]
    pairs = sorted(zip(node.attrs["gives"], inputs[1:], strict=True), key=lambda p: p[0])
    merged: dict[int, Code] = {}
    for output, condition in pairs:
        merged[output] = chain("|", [merged[output], condition]) if output in merged else condition
    conditions = dict_of((scene.words.category(axis, o), c) for o, c in merged.items())
    always = {"always": scene.words.many(axis, node.attrs["always"])} if node.attrs["always"] else {}
    return call("allow", inputs[0], *([conditions] if merged else []), **always)


def allowed_by(scene: Scene, node: Node, table: AllowTable, source: Code) -> Code:
    """An `allow` node as a table over the one category that it depends on."""
    keys, axis = scene.axis_of(table.source), node.type.axes[-1]
    rows = dict_of((scene.words.category(keys, k), scene.words.many(axis, allowed)) for k, allowed in table.rows)
    other = {"other": scene.words.many(axis, table.other)} if table.other else {}
    return call("allow_by", source, rows, **other)


def tensor(node: Node, role: str) -> Code:
    """A tensor of the file beside the program."""
    return Code(f'TENSORS["{node.tensors[role]}"]', uses=frozenset({"TENSORS"}))


SYMBOLIC: Mapping[str, Build] = {
    "symbolic.everywhere": _everywhere,
    "symbolic.back": _back,
    "symbolic.at": _at,
    "symbolic.match": _match,
    "symbolic.ordered": _ordered,
    "symbolic.extreme": _which,
    "symbolic.where": _where,
    "symbolic.when": _plain,
    "symbolic.both": _plain,
    "symbolic.either": _plain,
    "symbolic.otherwise": _plain,
    "symbolic.related": _related,
    "symbolic.nearest": _which,
    "symbolic.weigh": _weigh,
    "symbolic.weigh_pairs": _weigh_pairs,
    "symbolic.attend": _attend,
    "symbolic.share": _by_class,
    "symbolic.count": _by_class,
    "symbolic.width": _width,
    "symbolic.copy": _copy,
    "symbolic.relabel": _relabel,
    "symbolic.lookup": _lookup,
    "symbolic.mod": _mod,
    "symbolic.shift": _shift,
    "symbolic.form": form,
    "symbolic.compare": _compare,
    "symbolic.equal": _equal,
    "symbolic.bound": _bound,
    "symbolic.is_in": _is_in,
    "symbolic.not": _not,
    "symbolic.and": _and,
    "symbolic.or": _or,
    "symbolic.largest": _largest,
    "symbolic.always": _always,
    "symbolic.choose": _choose,
    "symbolic.prefer": _prefer,
    "symbolic.allow": _allow,
}
