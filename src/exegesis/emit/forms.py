"""Linear forms as expressions: sums of variables and their classes, tables of what categories are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from exegesis.emit.code import (
    Code,
    Number,
    Term,
    call,
    chain,
    compared,
    dict_of,
    index,
    linear,
    list_of,
    literal,
    number,
)
from exegesis.emit.truths import is_truth
from exegesis.ir import Node

if TYPE_CHECKING:
    from exegesis.emit.symbolic import Scene

_WIDE = 20  # classes that one line lists
_MANY = 4  # rows of a table that are worth a rule


def form(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """Terms of one category variable with several classes become one table of numbers (`worth`)."""
    if (dense := _dense(scene, node, inputs)) is not None:
        return dense
    terms: list[Term] = []
    tables: dict[int, dict[int, Number]] = {}
    for coefficient, k, cls in node.attrs["terms"]:
        is_table = cls is not None and scene.source(node, k).type.kind != "real"
        if coefficient and is_table and not is_truth(scene.graph, node.inputs[k]):
            table = tables.setdefault(k, {})
            table[cls] = table.get(cls, 0) + coefficient
        elif coefficient:
            terms.append(_term(scene, node, k, cls, coefficient, inputs[k]))
    for k, table in tables.items():
        if summed := {c: v for c, v in table.items() if v}:
            terms.append(_worth(scene, node.inputs[k], inputs[k], summed))
    if not terms:
        return call("np.full", call("len", inputs[0]), literal(node.attrs["plus"]))
    total = linear(terms, node.attrs["plus"])
    return total if node.type.kind == "real" or _is_whole(scene, node, terms) else call("whole", total)


def _dense(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code | None:
    """`seen @ [0, 1, 2, …]` where a form of whole numbers is about most classes of one count."""
    if len(inputs) != 1 or scene.source(node).op != "symbolic.count" or node.attrs["plus"] or node.type.kind != "real":
        return None
    row = [0] * scene.size(scene.source(node).type.axes[-1])
    for coefficient, _, cls in node.attrs["terms"]:
        if cls is None or not float(coefficient).is_integer():
            return None
        row[cls] += int(coefficient)
    if sum(c != 0 for c in row) <= max(_MANY, len(row) // 2) or len(row) > _WIDE:
        return None
    return chain("@", [inputs[0], list_of([literal(c) for c in row])])


def _is_whole(scene: Scene, node: Node, terms: Sequence[Term]) -> bool:
    """Whether a form is made of whole numbers only, which numpy then keeps as such."""
    numbers = [*(t.coefficient for t in terms), node.attrs["plus"]]
    real = any(scene.graph[i].type.kind == "real" for i in node.inputs)
    worth = [coefficient for coefficient, _, cls in node.attrs["terms"] if cls is not None]
    return not real and all(float(x).is_integer() for x in (*numbers, *worth))


def _term(scene: Scene, node: Node, k: int, cls: int | None, coefficient: Number, read: Code) -> Term:
    kind = scene.source(node, k).type
    if is_truth(scene.graph, node.inputs[k]):
        return Term(coefficient, read, kind.kind == "category")
    if cls is not None:
        picked = scene.words.category(kind.axes[-1], cls)
        return Term(coefficient, index(read, f":, {picked.text}", picked.uses))
    wide = len(node.type.axes) > len(kind.axes)
    return Term(coefficient, index(read, ":, None") if wide else read, kind.kind == "bool")


def _worth(scene: Scene, node_id: str, read: Code, table: Mapping[int, Number]) -> Term:
    axis = scene.axis_of(node_id)
    if len(table) == 1:
        ((cls, coefficient),) = table.items()
        return Term(coefficient, compared(read, "==", scene.words.category(axis, cls)), is_bool=True)
    rows = [(scene.words.category(axis, c), v) for c, v in sorted(table.items())]
    return Term(1, call("worth", read, _themselves(rows) or dict_of((key, literal(v)) for key, v in rows)))


def _themselves(rows: Sequence[tuple[Code, Number]]) -> Code | None:
    """`range(10)` where categories are written as numbers without a gap and stand for those."""
    if len(rows) < _MANY or any(key.text != number(v) for key, v in rows):
        return None
    first, last = int(rows[0][1]), int(rows[-1][1])
    if last - first + 1 != len(rows):
        return None
    span = f"{last + 1}" if first in (0, 1) else f"{first}, {last + 1}"  # what is not listed stands for 0
    return Code(f"range({span})")
