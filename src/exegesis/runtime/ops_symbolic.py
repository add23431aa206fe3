"""The variables and answers of the symbolic level in torch, batched. Same meaning as emitted programs' primitives.

Shapes: b batch, s query position, t key position, V classes. A variable is [b, s], or [b, s, V] where it has a class
axis; selectors [b, s, t] are in `ops_selectors.py`. Booleans count as the categories 0 and 1.

Every negative category means "none": no class holds it, and shifting or taking a remainder leaves it none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from exegesis.ir import GraphError
from exegesis.runtime.binding import Binding, Compute, Op, find, integers
from exegesis.runtime.ops_periodic import PERIODIC
from exegesis.runtime.ops_permutations import PERMUTATIONS
from exegesis.runtime.ops_recurrent import AUTOMATA
from exegesis.runtime.ops_selectors import SELECTORS

_RELATIONS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def _classes(value: Tensor, size: int | None) -> Tensor:
    """One-hot [b, t, V] booleans; rows of categories that are none, or beyond V, are zero."""
    value = value.long()
    if size is None:
        size = max(int(value.max()) + 1, 1) if value.numel() else 1
    return value[..., None] == torch.arange(size, device=value.device)


def _first_largest(values: Tensor) -> Tensor:
    """Index of the largest entry along the last axis, the first of equals on every device."""
    index: Tensor = (values == values.amax(-1, keepdim=True)).to(torch.int8).argmax(-1)
    return index


def _class_count(at: Binding) -> int | None:
    """The size of the last axis of a node's type: its classes."""
    if not at.node.type.axes:
        raise GraphError(f"Node {at.node.id!r} ({at.node.op}) needs a class axis in its type; it has {at.node.type}.")
    return at.size(at.node.type.axes[-1])


def count(at: Binding) -> Compute:
    """selector [b, s, t], value [b, t] → [b, s, V]: the weight on each category."""
    size = _class_count(at)
    return lambda selector, value: torch.bmm(selector, _classes(value, size).to(selector.dtype))


def share(at: Binding) -> Compute:
    """selector [b, s, t], value [b, t] → [b, s, V]; zeros where nothing is looked at."""
    counted = count(at)

    def compute(selector: Tensor, value: Tensor) -> Tensor:
        total = selector.sum(-1, keepdim=True)
        shares: Tensor = counted(selector, value) / torch.where(total > 0, total, 1)
        return shares

    return compute


def width(at: Binding) -> Compute:
    """selector [b, s, t] → [b, s]."""
    kind = torch.long if at.node.type.kind == "int" else at.real
    return lambda selector: (selector > 0).sum(-1).to(kind)


def copy(at: Binding) -> Compute:
    """selector [b, s, t], value [b, t] → [b, s]: the smallest of equals; -1 where no category has positive weight."""

    def compute(selector: Tensor, value: Tensor) -> Tensor:
        mass = torch.bmm(selector, _classes(value, None).to(selector.dtype))
        return _first_largest(mass).masked_fill(mass.amax(-1) <= 0, -1)

    return compute


def relabel(at: Binding) -> Compute:
    """[b, s] → [b, s]."""
    table = torch.tensor([list(p) for p in at.attr("table")], dtype=torch.long, device=at.device).reshape(-1, 2)
    keys, names = table.unbind(1)

    def compute(value: Tensor) -> Tensor:
        value = value.long()
        found, index = find(value, keys)
        return torch.where(found, names[index], value) if len(keys) else value

    return compute


def lookup(at: Binding) -> Compute:
    """Each [b, s] → [b, s].

    A row is found one column after the other: the number of the distinct row beginning so far, together with the next
    entry, gives the number of the longer beginning.
    """
    arity = len(at.sources)
    rows = torch.tensor([list(r) for r in at.attr("rows")], dtype=torch.long, device=at.device).reshape(-1, arity + 1)
    other, kind = at.attr("other"), at.node.type.kind
    steps: list[tuple[Tensor, Tensor]] = []  # entries of a column, and codes of the row beginnings that end there
    begun = torch.zeros(len(rows), dtype=torch.long, device=at.device)
    for i in range(arity):
        column = torch.unique(rows[:, i])
        code = begun * len(column) + find(rows[:, i], column)[1]
        codes = torch.unique(code)
        steps.append((column, codes))
        begun = find(code, codes)[1]
    results = torch.full((max(len(rows), 1),), other, dtype=torch.long, device=at.device)
    results[begun] = rows[:, -1]

    def compute(*keys: Tensor) -> Tensor:
        begun, known = torch.zeros_like(keys[0], dtype=torch.long), torch.ones_like(keys[0], dtype=torch.bool)
        for key, (column, codes) in zip(keys, steps, strict=True):
            listed, entry = find(key.long(), column)
            found, begun = find(begun * len(column) + entry, codes)
            known = known & listed & found
        result = torch.where(known, results[begun], other)
        return result != 0 if kind == "bool" else result

    return compute


def mod(at: Binding) -> Compute:
    """[b, s] → [b, s]: (value + plus) mod period; the remainder of a real value is rounded."""
    period, plus = at.attr("period"), at.attr("plus", 0)

    def compute(value: Tensor) -> Tensor:
        if value.is_floating_point():
            return torch.remainder(value + plus, period).round().long()
        value = value.long()
        return torch.remainder(value + plus, period).masked_fill(value < 0, -1)

    return compute


def shift(at: Binding) -> Compute:
    """[b, s] → [b, s]: none stays none, and what would become negative is none."""
    by = at.attr("by")

    def compute(value: Tensor) -> Tensor:
        value = value.long()
        return torch.clamp(value + by, min=-1).masked_fill(value < 0, -1)

    return compute


def form(at: Binding) -> Compute:
    """Terms [b, s] or [b, s, V] → [b, s] (or [b, s, V] where a term without a class has a class axis)."""
    terms, plus = at.attr("terms"), float(at.attr("plus"))
    rank, is_whole = len(at.node.type.axes), at.node.type.kind == "int"

    def read(value: Tensor, source: int, cls: int | None) -> Tensor:
        if cls is None:
            return value.to(at.real)
        if at.sources[source].kind == "real":
            return value[..., cls]
        return (value.long() == cls).to(at.real)

    def compute(*inputs: Tensor) -> Tensor:
        parts = [coefficient * read(inputs[source], source, cls) for coefficient, source, cls in terms]
        if not parts:
            parts = [torch.zeros(inputs[0].shape[:rank], dtype=at.real, device=inputs[0].device)]
        widest = max(p.ndim for p in parts)
        total: Tensor = sum(p.reshape(*p.shape, *[1] * (widest - p.ndim)) for p in parts) + plus
        return total.round().long() if is_whole else total

    return compute


def compare(at: Binding) -> Compute:
    """[b, s] → [b, s] booleans."""
    relation, to = _RELATIONS[at.attr("is")], at.attr("to")
    return lambda value: relation(value, to)


def equal(at: Binding) -> Compute:
    """Both [b, s] → [b, s] booleans."""
    return lambda a, b: a.long() == b.long()


def bound(at: Binding) -> Compute:
    """Each [b, s] → [b, s]."""
    pick, to = (torch.minimum if at.attr("which") == "smaller" else torch.maximum), at.attr("to")
    kind = torch.long if at.node.type.kind == "int" else at.real

    def compute(first: Tensor, *others: Tensor) -> Tensor:
        found = first.to(kind)
        for other in others:
            found = pick(found, other.to(kind))
        return found if to is None else pick(found, torch.full_like(found, to))

    return compute


def is_in(at: Binding) -> Compute:
    """[b, s] → [b, s] booleans."""
    values = integers(at, "values")
    return lambda value: torch.isin(value.long(), values)


def negate(at: Binding) -> Compute:
    """[b, s] → [b, s]."""
    return lambda a: ~a.bool()


def _fold(combine: Callable[[Tensor, Tensor], Tensor]) -> Op:
    def bind(at: Binding) -> Compute:
        def compute(first: Tensor, *others: Tensor) -> Tensor:
            result = first.bool()
            for other in others:
                result = combine(result, other.bool())
            return result

        return compute

    return bind


def largest(at: Binding) -> Compute:
    """[b, s, V] → [b, s]: the first of equals, in the order of `among` where that is given."""
    classes = None if at.attr("among") is None else integers(at, "among")

    def compute(values: Tensor) -> Tensor:
        chosen = values if classes is None else values[..., classes]
        index = _first_largest(chosen)
        return index if classes is None else classes[index]

    return compute


def always(at: Binding) -> Compute:
    """like [b, s, …] → [b, s]."""
    value, rank = at.attr("value"), len(at.node.type.axes)
    return lambda like: torch.full(like.shape[:rank], value, dtype=torch.long, device=like.device)


# Answers


def choose(at: Binding) -> Compute:
    """Conditions [b, s] → [b, s]."""
    gives, other = at.attr("gives"), at.attr("other")

    def compute(*conditions: Tensor) -> Tensor:
        answer = torch.full(conditions[0].shape, other, dtype=torch.long, device=conditions[0].device)
        for condition, result in zip(reversed(conditions), reversed(gives), strict=True):
            answer = answer.masked_fill(condition.bool(), result)
        return answer

    return compute


def prefer(at: Binding) -> Compute:
    """All [b, s]."""
    return lambda condition, first, second: torch.where(condition.bool(), first, second)


def allow(at: Binding) -> Compute:
    """like [b, s, …], conditions [b, s] → [b, s, outputs] booleans."""
    gives, always_allowed = at.attr("gives"), at.attr("always")
    size, rank = _class_count(at), len(at.node.type.axes) - 1
    if size is None:
        size = max([*gives, *always_allowed], default=0) + 1

    def compute(like: Tensor, *conditions: Tensor) -> Tensor:
        allowed = torch.zeros((*like.shape[:rank], size), dtype=torch.bool, device=like.device)
        for output in always_allowed:
            allowed[..., output] = True
        for condition, output in zip(conditions, gives, strict=True):
            allowed[..., output] |= condition.bool()
        return allowed

    return compute


SYMBOLIC: Mapping[str, Op] = {
    **SELECTORS,
    **PERIODIC,
    **PERMUTATIONS,
    **AUTOMATA,
    "symbolic.share": share,
    "symbolic.count": count,
    "symbolic.width": width,
    "symbolic.copy": copy,
    "symbolic.relabel": relabel,
    "symbolic.lookup": lookup,
    "symbolic.mod": mod,
    "symbolic.shift": shift,
    "symbolic.form": form,
    "symbolic.compare": compare,
    "symbolic.equal": equal,
    "symbolic.bound": bound,
    "symbolic.is_in": is_in,
    "symbolic.not": negate,
    "symbolic.and": _fold(torch.logical_and),
    "symbolic.or": _fold(torch.logical_or),
    "symbolic.largest": largest,
    "symbolic.always": always,
    "symbolic.choose": choose,
    "symbolic.prefer": prefer,
    "symbolic.allow": allow,
}
