"""Short things to say about columns: comparisons, memberships, sums, remainders, tables; each with its price."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from exegesis.ir import Array, Axis, Type
from exegesis.ir.price import float_bits, integer_bits
from exegesis.passes.draft import Draft
from exegesis.passes.raising.clusters import Codes
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.head_view import SEQUENCE

TRUTH = "truth"  # the axis of copied truth values
REFER = 6.0  # bits to name an operation, or a variable
_EIGHTHS = 8  # numbers that shares hit exactly, in whatever precision
_AWKWARD = {"!=": 0.5, "<=": 0.1, ">=": 0.1}  # bits; of two ways to say one thing, people prefer the plainer
_COMPARE: dict[str, Callable[[Array, float], Mask]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}

Write = Callable[[Draft], str]


@dataclass(frozen=True, eq=False)
class Phrase:
    """Something that can be said about the variables of a program.

    Attributes:
        bits: what it costs to say.
        kind: of the node that it becomes.
        values: [n], what it is at each observation.
        write: drafts its nodes and returns the id of the last.
        of: the nodes that it is about.
    """

    bits: float
    kind: str
    values: Array
    write: Write
    of: tuple[str, ...]


def number_bits(value: float) -> float:
    """What a constant costs."""
    return integer_bits(int(value)) if float(value).is_integer() else float_bits(float(value))


def tidy(value: float) -> int | float:
    """The same number, without a fraction where it has none."""
    return int(value) if float(value).is_integer() else float(value)


def itself(column: Column) -> Phrase:
    """The variable that the column is, or one class of it."""
    if column.cls is None:
        return Phrase(REFER, column.kind, column.values, lambda d: column.node, (column.node,))
    return total([(1, column)], 0)


def total(terms: Sequence[tuple[float, Column]], plus: float) -> Phrase:
    """A linear form over number columns."""
    values = sum((w * c.values for w, c in terms), np.asarray(plus))
    whole = all(c.kind == "int" and c.cls is None for _, c in terms) and all(float(w).is_integer() for w, _ in terms)
    nodes = tuple(dict.fromkeys(c.node for _, c in terms))
    rows = [[tidy(w), nodes.index(c.node), c.cls] for w, c in terms]

    def write(draft: Draft) -> str:
        if rows == [[1, 0, None]] and not plus:
            return nodes[0]
        type = Type("int" if whole else "real", SEQUENCE)
        return draft.add("symbolic.form", nodes, type, {"terms": rows, "plus": tidy(plus)}, hint="total")

    bits = REFER + sum(REFER + number_bits(w) for w, _ in terms) + (number_bits(plus) if plus else 0)
    return Phrase(bits, "int" if whole else "real", values, write, nodes)


def compared(of: Phrase, relation: str, to: float) -> Phrase:
    """Whether a number stands in a relation to a constant."""

    def write(draft: Draft) -> str:
        number = of.write(draft)
        attrs = {"is": relation, "to": tidy(to)}
        return draft.add("symbolic.compare", [number], Type("bool", SEQUENCE), attrs, hint=f"{number}_compared")

    bits = of.bits + REFER / 2 + number_bits(to) + _AWKWARD.get(relation, 0)
    return Phrase(bits, "bool", _COMPARE[relation](of.values, to), write, of.of)


def threshold(of: Phrase, target: Mask) -> Phrase | None:
    """The comparison of a number with a constant that holds exactly where the target does, or None."""
    values = np.round(of.values.astype(np.float64), 6)
    inside, outside = values[target], values[~target]
    if not len(inside) or not len(outside):
        return None
    if inside.min() > outside.max():
        return _bounded(of, outside.max(), inside.min(), (">", ">="))
    if inside.max() < outside.min():
        return _bounded(of, inside.max(), outside.min(), ("<=", "<"))
    for part, relation in ((inside, "=="), (outside, "!=")):
        if part.min() == part.max() and (other := outside if part is inside else inside) is not None:
            exact = float(part.min())
            if (exact * _EIGHTHS).is_integer() and not np.isin(exact, other):
                return compared(of, relation, exact)
    return None


def _bounded(of: Phrase, low: float, high: float, relations: tuple[str, str]) -> Phrase:
    """A comparison whose constant lies from `low` (first relation) to `high` (second): the shortest to write."""
    options = [compared(of, relations[0], float(low)), compared(of, relations[1], float(high))]
    if of.kind == "real":
        between = simplest_between(float(low), float(high))
        options = [o for o, end in zip(options, (low, high), strict=True) if float(end).is_integer()]
        options.append(compared(of, relations[0], between))
    return min(options, key=lambda o: o.bits)


def simplest_between(low: float, high: float) -> float:
    """The number strictly between two others with the fewest digits."""
    if low < 0 < high:
        return 0.0
    for digits in range(-3, 12):
        step = 10.0**-digits
        middle = np.round((low + high) / 2 / step) * step
        for candidate in (middle, np.ceil(low / step) * step, np.floor(high / step) * step):
            if low < candidate < high:
                return float(f"{candidate:.12g}")
    return (low + high) / 2


def among(column: Column, target: Mask) -> Phrase | None:
    """Membership of the categories that go with the target, or of those that do not when they are fewer."""
    held, others = np.unique(column.values[target]), np.unique(column.values[~target])
    if len(np.intersect1d(held, others)) or not len(held) or not len(others):
        return None
    negated = len(others) < len(held) or (len(others) == len(held) and -1 in held)
    is_truth = column.axis == TRUTH and sorted((*held, *others)) == [0, 1]
    if is_truth:
        negated = 0 in held  # of truths one says that they hold, or that they do not
    values = [int(v) for v in (others if negated else held)]
    size = len(held) + len(others)

    def write(draft: Draft) -> str:
        type = Type("bool", SEQUENCE)
        if column.kind == "bool":
            inside = column.node
            flip = (values == [0]) != negated
        else:
            inside = draft.add("symbolic.is_in", [column.node], type, {"values": values}, hint=f"{column.node}_is")
            flip = negated
        return draft.add("symbolic.not", [inside], type, hint=f"not_{inside}") if flip else inside

    listed = 1.5 * REFER + len(values) * log2(size + 1) + (negated and not is_truth)
    bits = REFER + (values == [0]) if column.kind == "bool" else listed
    return Phrase(bits, "bool", target, write, (column.node,))


def remainder(of: Phrase, period: int, plus: int = 0) -> Phrase:
    """What is left of a whole number after division."""
    values = np.mod(of.values + plus, period)

    def write(draft: Draft) -> str:
        axis = f"mod_{period}"
        draft.axes[axis] = Axis(axis, period)
        attrs = {"period": period, **({"plus": plus} if plus else {})}
        number = of.write(draft)
        return draft.add(
            "symbolic.mod", [number], Type("category", SEQUENCE, axis), attrs, hint=f"{number}_mod_{period}"
        )

    bits = of.bits + REFER + integer_bits(period) + (integer_bits(plus) if plus else 0)
    return Phrase(bits, "category", values, write, of.of)


def equal(first: Column, second: Column) -> Phrase:
    """Whether two columns hold the same."""

    def write(draft: Draft) -> str:
        return draft.add(
            "symbolic.equal", [first.node, second.node], Type("bool", SEQUENCE), hint=f"same_{second.node}"
        )

    alien = 0.0 if (first.kind, first.axis) == (second.kind, second.axis) else REFER
    bits = 3 * REFER + alien
    return Phrase(bits, "bool", first.values == second.values, write, (first.node, second.node))


def bounded(which: str, columns: Sequence[Column], to: int | None = None) -> Phrase:
    """The smaller (or larger) of whole numbers, or of one and a constant."""
    pick = np.minimum if which == "smaller" else np.maximum
    values = columns[0].values
    for other in columns[1:]:
        values = pick(values, other.values)
    if to is not None:
        values = pick(values, to)
    attrs = {"which": which, **({} if to is None else {"to": to})}
    nodes = tuple(c.node for c in columns)

    def write(draft: Draft) -> str:
        return draft.add("symbolic.bound", nodes, Type("int", SEQUENCE), attrs, hint=f"{nodes[0]}_bounded")

    return Phrase(REFER * (1 + len(nodes)) + (integer_bits(to) if to is not None else 0), "int", values, write, nodes)


def joined(first: Phrase, second: Phrase, *, both: bool) -> Phrase:
    """`and`, or `or`, of two truth values."""
    op = "symbolic.and" if both else "symbolic.or"
    values = (first.values & second.values) if both else (first.values | second.values)

    def write(draft: Draft) -> str:
        parts = [first.write(draft), second.write(draft)]
        return draft.add(op, parts, Type("bool", SEQUENCE), hint=op.split(".")[1])

    return Phrase(REFER + first.bits + second.bits, "bool", values, write, (*first.of, *second.of))


def denied(of: Phrase) -> Phrase:
    """Logical not."""

    def write(draft: Draft) -> str:
        inner = of.write(draft)
        return draft.add("symbolic.not", [inner], Type("bool", SEQUENCE), hint=f"not_{inner}")

    return Phrase(of.bits + 1, "bool", ~of.values.astype(bool), write, of.of)


def table(keys: Sequence[Column], results: Codes, *, truth: bool = False, axis: str | None = None) -> Phrase:
    """A finite function: one row per combination of categories, but for those with the commonest result.

    Args:
        keys: columns of categories, truth values or whole numbers.
        results: [n], which they decide.
        truth: the results are truth values.
        axis: the axis that the results are categories of; one of its own when None.
    """
    rows = np.unique(np.stack([*(k.values.astype(np.int64) for k in keys), results], 1), axis=0)
    found, often = np.unique(rows[:, -1], return_counts=True)
    other = int(found[often.argmax()])
    listed = [[int(v) for v in r] for r in rows if r[-1] != other]
    size = int(results.max()) + 1

    def write(draft: Draft) -> str:
        name = axis or f"cases_{size}"
        if axis is None and not truth:
            draft.axes[name] = Axis(name, size)
        type = Type("bool", SEQUENCE) if truth else Type("category", SEQUENCE, name)
        attrs = {"rows": listed, "other": other}
        return draft.add("symbolic.lookup", [k.node for k in keys], type, attrs, hint=f"{keys[0].node}_case")

    per_row = sum(log2(len(np.unique(k.values)) + 1) for k in keys) + log2(len(found) + 1)
    values = results.astype(bool) if truth else results
    bits = REFER * (1 + len(keys)) + len(listed) * per_row
    return Phrase(bits, "bool" if truth else "category", values, write, tuple(k.node for k in keys))
