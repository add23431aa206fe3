"""The symbolic level in torch, batched. Same meaning as the NumPy primitives that emitted programs call.

Shapes: b batch, s query position, t key position, V classes. A selector is real-valued weights [b, s, t]; a position is *looked at* where
its weight is positive. A variable is [b, s], or [b, s, V] where it has a class axis. Booleans count as the categories 0 and 1.

Every negative category means "none": no class holds it, nothing matches it, and shifting or taking a remainder leaves it none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from exegesis.ir import GraphError
from exegesis.runtime.binding import Binding, Compute, Op

_RELATIONS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def _distance(like: Tensor) -> Tensor:
    """Query index − key index, [s, s]."""
    index = torch.arange(like.shape[1], device=like.device)
    return index[:, None] - index


def _spread(weights: Tensor, like: Tensor, at: Binding) -> Tensor:
    """[s, t] → [b, s, t]."""
    return weights.to(at.real).expand(like.shape[0], *weights.shape)


def _classes(value: Tensor, size: int | None) -> Tensor:
    """One-hot [b, t, V] booleans; rows of categories that are none, or beyond V, are zero."""
    value = value.long()
    if size is None:
        size = max(int(value.max()) + 1, 1) if value.numel() else 1
    return value[..., None] == torch.arange(size, device=value.device)


def _listed(value: Tensor, values: Tensor) -> Tensor:
    return torch.isin(value.long(), values)


def _integers(at: Binding, name: str) -> Tensor:
    return torch.tensor(list(at.attr(name)), dtype=torch.long, device=at.device)


# Selectors


def everywhere(at: Binding) -> Compute:
    """like [b, s, …] → [b, s, s]."""
    causal = at.attr("causal")

    def compute(like: Tensor) -> Tensor:
        distance = _distance(like)
        return _spread(distance >= 0 if causal else torch.ones_like(distance), like, at)

    return compute


def back(at: Binding) -> Compute:
    """like [b, s, …] → [b, s, s]."""
    by = at.attr("by")
    return lambda like: _spread(_distance(like) == by, like, at)


def at_index(at: Binding) -> Compute:
    """like [b, s, …] → [b, s, s]."""
    index, causal = at.attr("index"), at.attr("causal")

    def compute(like: Tensor) -> Tensor:
        distance = _distance(like)
        looked = (torch.arange(like.shape[1], device=like.device) == index).expand_as(distance)
        return _spread(looked & (distance >= 0) if causal else looked, like, at)

    return compute


def match(at: Binding) -> Compute:
    """query [b, s], key [b, t] → [b, s, t]."""
    causal = at.attr("causal")

    def compute(query: Tensor, key: Tensor) -> Tensor:
        query, key = query.long(), key.long()
        same = (query[:, :, None] == key[:, None, :]) & (key >= 0)[:, None, :]
        return (same & (_distance(query) >= 0) if causal else same).to(at.real)

    return compute


def where(at: Binding) -> Compute:
    """selector [b, s, t], key [b, t] → [b, s, t]."""
    values, negated = _integers(at, "values"), at.attr("negated")
    return lambda selector, key: selector * (_listed(key, values) ^ negated)[:, None, :]


def both(at: Binding) -> Compute:
    """Weights multiply."""
    return lambda a, b: a * b


def nearest(at: Binding) -> Compute:
    """[b, s, t] → [b, s, t]; what is kept keeps its weight."""
    latest = at.attr("which") == "latest"

    def compute(selector: Tensor) -> Tensor:
        looked = (selector > 0).to(torch.int8)
        ordered = looked.flip(-1) if latest else looked
        first = ordered.argmax(-1, keepdim=True)  # the first of equals
        index = selector.shape[-1] - 1 - first if latest else first
        kept = (selector * looked).gather(-1, index)
        return torch.zeros_like(selector).scatter(-1, index, kept)

    return compute


def weigh(at: Binding) -> Compute:
    """selector [b, s, t], key [b, t] → [b, s, t]."""
    pairs = dict((int(k), float(w)) for k, w in at.attr("weights"))
    keys = torch.tensor(sorted(pairs), dtype=torch.long, device=at.device)
    weights = torch.tensor([pairs[k] for k in sorted(pairs)], dtype=at.real, device=at.device)
    other = float(at.attr("other"))

    def compute(selector: Tensor, key: Tensor) -> Tensor:
        found, index = _find(key.long(), keys)
        weight = torch.full_like(found, other, dtype=at.real)
        if len(keys):
            weight = torch.where(found, weights[index], weight)
        return selector * weight[:, None, :]

    return compute


def attend(at: Binding) -> Compute:
    """query [b, s], key [b, t] → [b, s, t]; none scores 0 with everything."""
    table, causal = at.tensors["table"], at.attr("causal")

    def compute(query: Tensor, key: Tensor) -> Tensor:
        query, key = query.long()[:, :, None], key.long()[:, None, :]
        scores = table[query.clamp(min=0), key.clamp(min=0)].to(at.real)
        scores = scores.masked_fill((query < 0) | (key < 0), 0)
        if causal:
            scores = scores.masked_fill(_distance(query) < 0, -torch.inf)
        return scores.softmax(-1)

    return compute


# Variables


def _class_count(at: Binding) -> int | None:
    """The size of the last axis of a node's type: its classes."""
    if len(at.node.type.axes) < 3:
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
        return counted(selector, value) / torch.where(total > 0, total, 1)

    return compute


def copy(at: Binding) -> Compute:
    """selector [b, s, t], value [b, t] → [b, s]: the smallest of equals; -1 where no category has positive weight."""
    size = at.size(at.node.type.of) if at.node.type.of else None

    def compute(selector: Tensor, value: Tensor) -> Tensor:
        mass = torch.bmm(selector, _classes(value, size).to(selector.dtype))
        most, category = mass.max(-1)
        category = (mass == most[..., None]).to(torch.int8).argmax(-1)  # max gives any of equals, argmax of 0/1 the first
        return category.masked_fill(most <= 0, -1)

    return compute


def _find(value: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each value is among the ascending `keys`, and at which index (0 where it is not)."""
    if not len(keys):
        return torch.zeros_like(value, dtype=torch.bool), torch.zeros_like(value)
    index = torch.searchsorted(keys, value.contiguous()).clamp(max=len(keys) - 1)
    found = keys[index] == value
    return found, index * found


def relabel(at: Binding) -> Compute:
    """[b, s] → [b, s]."""
    table = torch.tensor([list(p) for p in at.attr("table")], dtype=torch.long, device=at.device).reshape(-1, 2)
    keys, names = table.unbind(1)
    keys = keys.contiguous()

    def compute(value: Tensor) -> Tensor:
        value = value.long()
        found, index = _find(value, keys)
        return torch.where(found, names[index], value) if len(keys) else value

    return compute


def lookup(at: Binding) -> Compute:
    """Each [b, s] → [b, s]. Rows are found by a mixed-radix code of the places of their entries among those of each column."""
    arity = len(at.sources)
    rows = torch.tensor([list(r) for r in at.attr("rows")], dtype=torch.long, device=at.device).reshape(-1, arity + 1)
    columns = [rows[:, i].unique() for i in range(arity)]
    codes = torch.zeros(len(rows), dtype=torch.long, device=at.device)
    for i, column in enumerate(columns):
        codes = codes * (len(column) + 1) + _find(rows[:, i].contiguous(), column)[1]
    order = codes.argsort()
    codes, results = codes[order], rows[order, -1]
    other, kind = at.attr("other"), at.node.type.kind

    def compute(*keys: Tensor) -> Tensor:
        code, known = torch.zeros_like(keys[0], dtype=torch.long), torch.ones_like(keys[0], dtype=torch.bool)
        for key, column in zip(keys, columns, strict=True):
            found, index = _find(key.long(), column)
            code, known = code * (len(column) + 1) + index, known & found
        found, index = _find(code, codes)
        result = torch.full_like(code, other)
        if len(rows):
            result = torch.where(known & found, results[index], result)
        return result != 0 if kind == "bool" else result

    return compute


def mod(at: Binding) -> Compute:
    """[b, s] → [b, s]: (value + plus) mod period; the remainder of a real value is rounded."""
    period, plus = at.attr("period"), at.attr("plus", 0)

    def compute(value: Tensor) -> Tensor:
        if value.is_floating_point():
            return (value + plus).remainder(period).round().long()
        value = value.long()
        return (value + plus).remainder(period).masked_fill(value < 0, -1)

    return compute


def shift(at: Binding) -> Compute:
    """[b, s] → [b, s]: none stays none, and what would become negative is none."""
    by = at.attr("by")

    def compute(value: Tensor) -> Tensor:
        value = value.long()
        return (value + by).clamp(min=-1).masked_fill(value < 0, -1)

    return compute


def form(at: Binding) -> Compute:
    """Terms [b, s] or [b, s, V] → [b, s] (or [b, s, V] where a term without a class has a class axis)."""
    terms, plus = at.attr("terms"), float(at.attr("plus"))

    def read(value: Tensor, source: int, cls: int | None) -> Tensor:
        if cls is None:
            return value.to(at.real)
        if at.sources[source].kind == "real":
            return value[..., cls]
        return (value.long() == cls).to(at.real)

    def compute(*inputs: Tensor) -> Tensor:
        total = torch.full(inputs[0].shape[:2], plus, dtype=at.real, device=inputs[0].device)
        parts = [coefficient * read(inputs[source], source, cls) for coefficient, source, cls in terms]
        if any(p.ndim > total.ndim for p in parts):
            total = total[..., None]
            parts = [p if p.ndim == total.ndim else p[..., None] for p in parts]
        for part in parts:
            total = total + part
        return total

    return compute


def compare(at: Binding) -> Compute:
    """[b, s] → [b, s] booleans."""
    relation, to = _RELATIONS[at.attr("is")], at.attr("to")
    return lambda value: relation(value, to)


def is_in(at: Binding) -> Compute:
    """[b, s] → [b, s] booleans."""
    values = _integers(at, "values")
    return lambda value: _listed(value, values)


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
    among = at.attr("among")
    classes = None if among is None else torch.tensor(list(among), dtype=torch.long, device=at.device)

    def compute(values: Tensor) -> Tensor:
        chosen = values if classes is None else values[..., classes]
        index = (chosen == chosen.amax(-1, keepdim=True)).to(torch.int8).argmax(-1)
        return index if classes is None else classes[index]

    return compute


def always(at: Binding) -> Compute:
    """like [b, s, …] → [b, s]."""
    value = at.attr("value")
    return lambda like: torch.full(like.shape[:2], value, dtype=torch.long, device=like.device)


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
    size = _class_count(at)
    if size is None:
        size = max([*gives, *always_allowed], default=0) + 1

    def compute(like: Tensor, *conditions: Tensor) -> Tensor:
        allowed = torch.zeros((*like.shape[:2], size), dtype=torch.bool, device=like.device)
        for output in always_allowed:
            allowed[..., output] = True
        for condition, output in zip(conditions, gives, strict=True):
            allowed[..., output] |= condition.bool()
        return allowed

    return compute


SYMBOLIC: Mapping[str, Op] = {
    "symbolic.everywhere": everywhere,
    "symbolic.back": back,
    "symbolic.at": at_index,
    "symbolic.match": match,
    "symbolic.where": where,
    "symbolic.both": both,
    "symbolic.nearest": nearest,
    "symbolic.weigh": weigh,
    "symbolic.attend": attend,
    "symbolic.share": share,
    "symbolic.count": count,
    "symbolic.copy": copy,
    "symbolic.relabel": relabel,
    "symbolic.lookup": lookup,
    "symbolic.mod": mod,
    "symbolic.shift": shift,
    "symbolic.form": form,
    "symbolic.compare": compare,
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
