"""Looks at keys by the order of categories: all that are greater (or smaller), or only the next one in value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_FEWEST = 5
_STRONG = 0.5
_USUAL = 0.25
_EXCEPTIONS = 8
_CLOSE = 0.6
_ABOVE_CHANCE = 0.9


def order(head: HeadView, draft: Draft) -> list[str]:
    """What: key variable above (or below) the query variable, all such keys or only the nearest in value.

    Why valid: that selector is clearly closer to the head's attention than looking everywhere. Categories that are
    hardly ever looked at do not count as values; query categories that fit better as "less than any" are renamed so.
    Refuses when: fewer than five categories are looked at, or more than eight query categories are exceptions.
    """
    found = []
    for query in head.variables:
        for key in head.variables:
            if head.sizes[query] == head.sizes[key] >= _FEWEST:
                found += _between(head, draft, query, key)
    return found


def _between(head: HeadView, draft: Draft, query: str, key: str) -> list[str]:
    found = []
    for nearest in (True, False):
        values = _values(head, key, nearest)
        if int(values.sum()) < _FEWEST:
            continue
        for above in (True, False):
            odd = _odd_queries(head, query, key, values, above, nearest)
            if odd is not None:
                found.append(_draft(head, draft, (query, key), values, odd, above, nearest))
    return found


def _odd_queries(
    head: HeadView, query: str, key: str, values: Tensor, above: bool, nearest: bool
) -> dict[int, int] | None:
    """Query categories that look at all values, and the category each asks by; None where order explains nothing."""
    keys = [_masked(k, values) for k in head.variables[key]]
    asked = [_masked(q, values) for q in head.variables[query]]
    weights = _weights(head, asked, keys, above, nearest)
    plain = _distance_by_category(head, query, weights)
    odd: dict[int, int] = {}
    extreme = -1 if above else int(values.nonzero()[-1]) + 1
    if extreme < len(values):  # else there is no category beyond the greatest value
        all_of_them = _weights(head, [torch.full_like(q, extreme) for q in asked], keys, above, nearest)
        without = _distance_by_category(head, query, all_of_them)
        better = without[1:] < (plain[1:].nan_to_num(1.0) - 0.1).clamp(max=_CLOSE)
        odd = dict.fromkeys(better.nonzero()[:, 0].tolist(), extreme)
        plain[[c + 1 for c in odd]] = torch.nan
    even = head.looking_everywhere().patterns
    known = [torch.where(w.isnan(), w, e) for e, w in zip(even, weights, strict=True)]
    chance = _distance_by_category(head, query, known)
    there = ~plain.isnan()
    if len(odd) > min(_EXCEPTIONS, int(there.sum())) or not there.any():
        return None
    return odd if plain[there].median() < min(_CLOSE, _ABOVE_CHANCE * float(chance[there].median())) else None


def _draft(
    head: HeadView, draft: Draft, ends: tuple[str, str], values: Tensor, odd: dict[int, int], above: bool, nearest: bool
) -> str:
    query, key = ends
    outside = (~values).nonzero()[:, 0].tolist()
    ignored = {c: -1 for c in outside if _occurs(head.variables[key], c)}
    asked = {c: -1 for c in outside if _occurs(head.variables[query], c)} | odd
    keys = _relabelled(draft, key, ignored, f"{key}_values")
    asks = _relabelled(draft, query, asked, f"sought_{query}")
    attrs = {"is": ">" if above else "<", "causal": head.causal}
    name = "above" if above else "below"
    side = draft.add("symbolic.ordered", [asks, keys], SELECTOR, attrs, hint=f"{key}_{name}_{query}")
    if not nearest:
        return side
    which = {"which": "smallest" if above else "largest"}
    return draft.add("symbolic.extreme", [side, keys], SELECTOR, which, hint=f"{key}_next_{name}_{query}")


def _relabelled(draft: Draft, variable: str, table: dict[int, int], hint: str) -> str:
    if not table:
        return variable
    type = Type("category", draft[variable].type.axes, draft[variable].type.of)
    return draft.add(
        "symbolic.relabel", [variable], type, {"table": [[a, b] for a, b in sorted(table.items())]}, hint=hint
    )


def _masked(categories: Tensor, values: Tensor) -> Tensor:
    """Categories, with −1 for those that are no values."""
    known = values[categories.long().clamp(min=0)] & (categories >= 0)
    return torch.where(known, categories.long(), torch.full_like(categories.long(), -1))


def _occurs(batches: Sequence[Tensor], category: int) -> bool:
    return any(bool((b == category).any()) for b in batches)


def _weights(
    head: HeadView, asked: Sequence[Tensor], keys: Sequence[Tensor], above: bool, nearest: bool
) -> list[Tensor]:
    """Normalised selector weights per batch; rows that look at nothing are NaN."""
    found = []
    for q, k in zip(asked, keys, strict=True):
        looked = (k[:, None] > q[:, :, None]) if above else (k[:, None] < q[:, :, None])
        looked = looked & (k >= 0)[:, None]
        if head.causal:
            looked = looked & torch.ones_like(looked[0]).tril()
        if nearest:
            rank = torch.where(looked, -k[:, None] if above else k[:, None], torch.iinfo(torch.long).min)
            looked = looked & (rank == rank.max(-1, keepdim=True).values)
        total = looked.sum(-1, keepdim=True)
        found.append(torch.where(total > 0, looked / total.clamp(min=1), torch.nan))
    return found


def _distance_by_category(head: HeadView, query: str, weights: Sequence[Tensor]) -> Tensor:
    """Mean total-variation distance to the head's attention by query category [size + 1], over rows that look at
    something; NaN where none does."""
    size = head.sizes[query] + 1
    total, seen = torch.zeros(size), torch.zeros(size)
    for w, pattern, live, q in zip(weights, head.patterns, head.live, head.variables[query], strict=True):
        distance = 0.5 * (w - pattern).abs().sum(-1)
        counts = live & ~distance.isnan()
        total.index_add_(0, q.long()[counts] + 1, distance[counts])
        seen += torch.bincount(q.long()[counts] + 1, minlength=size)
    return torch.where(seen > 0, total / seen, torch.nan)


def _values(head: HeadView, key: str, nearest: bool) -> Tensor:
    """Which categories are values, [size]: the run from the least to the greatest that queries look at above all else.

    A category counts when that happens about as often as for others, given how often it can be looked at. One key gets
    most of a query's attention where the `nearest` is sought; else many share it.
    """
    chosen, there = torch.zeros(head.sizes[key]), torch.zeros(head.sizes[key])
    for pattern, live, k in zip(head.patterns, head.live, head.variables[key], strict=True):
        visible = torch.ones_like(pattern[0]).tril() if head.causal else torch.ones_like(pattern[0])
        index, known = k.long().clamp(min=0).flatten(), (k >= 0).float().flatten()
        most = 1.0 if nearest else pattern.max(-1, keepdim=True).values
        chosen.index_add_(0, index, ((pattern > _STRONG * most) * live[:, :, None]).sum(1).flatten() * known)
        there.index_add_(0, index, (visible * live[:, :, None]).sum(1).flatten() * known)
    rate = chosen / there.clamp(min=1)
    values = torch.zeros(head.sizes[key], dtype=torch.bool)
    if (rate > 0).any():
        looked = (rate > _USUAL * rate[rate > 0].median()).nonzero()[:, 0]
        values[int(looked[0]) : int(looked[-1]) + 1] = True
    return values
