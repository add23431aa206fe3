"""The selectors of the symbolic level in torch, batched. Same meaning as the NumPy primitives of emitted programs.

Shapes: b batch, s query position, t key position. A selector is real-valued weights [b, s, t]; a position is *looked
at* where its weight is positive. A variable is [b, s]; booleans count as the categories 0 and 1, and a negative
category means "none", which matches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from exegesis.runtime.binding import Binding, Compute, Op, find, integers


def _distance(like: Tensor) -> Tensor:
    """Query index − key index, [s, s]."""
    index = torch.arange(like.shape[1], device=like.device)
    return index[:, None] - index


def _spread(weights: Tensor, like: Tensor, at: Binding) -> Tensor:
    """[s, t] → [b, s, t]."""
    return weights.to(at.real).expand(like.shape[0], *weights.shape)


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


_RELATIONS = {"<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge}


def ordered(at: Binding) -> Compute:
    """query [b, s], key [b, t] → [b, s, t]; a key that is none is not looked at."""
    relation, causal = _RELATIONS[at.attr("is")], at.attr("causal")

    def compute(query: Tensor, key: Tensor) -> Tensor:
        query, key = query.long(), key.long()
        looked = relation(key[:, None, :], query[:, :, None]) & (key >= 0)[:, None, :]
        return (looked & (_distance(query) >= 0) if causal else looked).to(at.real)

    return compute


def extreme(at: Binding) -> Compute:
    """selector [b, s, t], key [b, t] → [b, s, t]."""
    largest = at.attr("which") == "largest"

    def compute(selector: Tensor, key: Tensor) -> Tensor:
        value = key[:, None, :].long().expand(selector.shape)
        rank = value if largest else -value
        rank = rank.masked_fill((selector <= 0) | (value < 0), torch.iinfo(torch.long).min)
        best = rank == rank.max(-1, keepdim=True).values
        return selector * (best & (selector > 0) & (value >= 0))

    return compute


def where(at: Binding) -> Compute:
    """selector [b, s, t], key [b, t] → [b, s, t]."""
    values, negated = integers(at, "values"), at.attr("negated")
    return lambda selector, key: selector * (torch.isin(key.long(), values) ^ negated)[:, None, :]


def both(at: Binding) -> Compute:
    """Weights multiply."""
    return lambda a, b: a * b


def either(at: Binding) -> Compute:
    """The larger weight."""
    return torch.maximum


def otherwise(at: Binding) -> Compute:
    """Query by query: [b, s, t] → [b, s, t]."""
    return lambda a, b: torch.where((a > 0).any(-1, keepdim=True), a, b)


def related(at: Binding) -> Compute:
    """query [b, s], key [b, t] → [b, s, t]: pairs are numbered, and a number looked up."""
    pairs, causal = at.attr("pairs"), at.attr("causal")
    asked, given = sorted({q for q, _ in pairs}), sorted({k for _, k in pairs})
    size = max(len(given), 1)
    numbers = sorted(asked.index(q) * size + given.index(k) for q, k in pairs)
    queries, keys, listed = (torch.tensor(v, dtype=torch.long, device=at.device) for v in (asked, given, numbers))

    def compute(query: Tensor, key: Tensor) -> Tensor:
        known_query, row = find(query.long(), queries)
        known_key, column = find(key.long(), keys)
        number = row[:, :, None] * size + column[:, None, :]
        looked = find(number, listed)[0] & known_query[:, :, None] & known_key[:, None, :]
        return (looked & (_distance(query) >= 0) if causal else looked).to(at.real)

    return compute


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


def when(at: Binding) -> Compute:
    """selector [b, s, t], condition [b, s] → [b, s, t]."""
    return lambda selector, condition: selector * condition[:, :, None]


def weigh(at: Binding) -> Compute:
    """selector [b, s, t], key [b, t] → [b, s, t]."""
    pairs = {int(k): float(w) for k, w in at.attr("weights")}
    keys = torch.tensor(sorted(pairs), dtype=torch.long, device=at.device)
    weights = torch.tensor([pairs[k] for k in sorted(pairs)], dtype=at.real, device=at.device)
    other = float(at.attr("other"))

    def compute(selector: Tensor, key: Tensor) -> Tensor:
        found, index = find(key.long(), keys)
        weight = torch.full_like(found, other, dtype=at.real)
        if len(keys):
            weight = torch.where(found, weights[index], weight)
        return selector * weight[:, None, :]

    return compute


def weigh_pairs(at: Binding) -> Compute:
    """selector [b, s, t], query [b, s], key [b, t] → [b, s, t]."""
    listed = sorted((int(q), int(k), float(w)) for q, k, w in at.attr("weights"))
    queries, keys = sorted({q for q, _, _ in listed}), sorted({k for _, k, _ in listed})
    table = torch.full((len(queries) + 1, len(keys) + 1), float(at.attr("other")), dtype=at.real, device=at.device)
    for q, k, w in listed:
        table[queries.index(q), keys.index(k)] = w
    rows, columns = (torch.tensor(v, dtype=torch.long, device=at.device) for v in (queries, keys))

    def compute(selector: Tensor, query: Tensor, key: Tensor) -> Tensor:
        row, column = (_rank(value.long(), among) for value, among in ((query, rows), (key, columns)))
        return selector * table[row[:, :, None], column[:, None, :]]

    return compute


def _rank(value: Tensor, among: Tensor) -> Tensor:
    """The index of each value among sorted ones; one past the last where it is not there."""
    found, index = find(value, among)
    return torch.where(found, index, torch.full_like(index, len(among)))


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


SELECTORS: Mapping[str, Op] = {
    "symbolic.everywhere": everywhere,
    "symbolic.back": back,
    "symbolic.at": at_index,
    "symbolic.match": match,
    "symbolic.ordered": ordered,
    "symbolic.extreme": extreme,
    "symbolic.where": where,
    "symbolic.when": when,
    "symbolic.both": both,
    "symbolic.either": either,
    "symbolic.otherwise": otherwise,
    "symbolic.related": related,
    "symbolic.nearest": nearest,
    "symbolic.weigh": weigh,
    "symbolic.weigh_pairs": weigh_pairs,
    "symbolic.attend": attend,
}
