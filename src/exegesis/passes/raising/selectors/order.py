"""Looks at keys by the order of categories: all that are greater, or only the next greater one."""

from __future__ import annotations

import torch
from torch import Tensor

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_FEWEST = 4
_ONE_SIDED = 0.8
_IGNORED = 0.25
_EXCEPTIONS = 8


def order(head: HeadView, draft: Draft) -> list[str]:
    """What: key variable above (or below) the query variable, all such keys or only the nearest in value.

    Why valid: for most query categories, most attention goes to keys on one side. Categories that are hardly ever looked at do not
    count as values; a few query categories may see everything (they stand for "less than any"). Refuses when: fewer than four
    categories are looked at, or attention goes to both sides.
    """
    found = []
    for query in head.variables:
        for key in head.variables:
            if head.sizes[query] == head.sizes[key] >= _FEWEST:
                for above in (True, False):
                    found += _one_side(head, draft, query, key, above)
    return found


def _one_side(head: HeadView, draft: Draft, query: str, key: str, above: bool) -> list[str]:
    mass, seen = head.mass_by_category(query, key)
    mass, seen = mass[1:, 1:] * seen[1:, None], seen[1:]
    values = _looked_at(head, key, mass.sum(0))
    queries = (seen > 0).nonzero()[:, 0]
    if len(values) < _FEWEST or len(queries) < _FEWEST:
        return []
    categories = torch.arange(len(seen))
    side = (categories[None, :] > categories[:, None]) if above else (categories[None, :] < categories[:, None])
    inside = torch.zeros(len(seen), dtype=torch.bool)
    inside[values] = True
    total = (mass * inside).sum(1)
    share = (mass * side * inside).sum(1) / total.clamp(min=1e-9)
    engaged = [int(q) for q in queries if total[q] > 0.5 * seen[q]]
    odd = [q for q in engaged if share[q] < _ONE_SIDED]
    if len(engaged) - len(odd) < max(2, len(engaged) // 2) or len(odd) > _EXCEPTIONS:
        return []
    keys = _restricted(draft, key, sorted(set(range(len(seen))) - set(values.tolist())), [])
    asks = _restricted(draft, query, [], odd) if above else query
    relation = ">" if above else "<"
    attrs = {"is": relation, "causal": head.causal}
    name = "above" if above else "below"
    side_of = draft.add("symbolic.ordered", [asks, keys], SELECTOR, attrs, hint=f"{key}_{name}_{query}")
    which = "smallest" if above else "largest"
    nearest = draft.add("symbolic.extreme", [side_of, keys], SELECTOR, {"which": which}, hint=f"{key}_next_{name}_{query}")
    return [nearest, side_of]


def _looked_at(head: HeadView, key: str, received: Tensor) -> Tensor:
    """Categories that get their part of the attention when they can be looked at."""
    there = torch.zeros(len(received))
    for live, k in zip(head.live, head.variables[key], strict=True):
        can = live.float().flip(1).cumsum(1).flip(1) if head.causal else live.float().sum(1, keepdim=True).expand_as(live)
        there.index_add_(0, k.long().clamp(min=0).flatten(), can.flatten())
    rate = received / there.clamp(min=1)
    typical = rate[rate > 0].median() if (rate > 0).any() else torch.tensor(1.0)
    return ((rate > _IGNORED * typical) & (there > 0)).nonzero()[:, 0]


def _restricted(draft: Draft, variable: str, ignored: list[int], lowest: list[int]) -> str:
    """The variable with some categories turned into none: below any value as a query, never looked at as a key."""
    table = [[c, -1] for c in sorted({*ignored, *lowest})]
    present = table[: 4 * _EXCEPTIONS]
    if not table:
        return variable
    type = Type("category", draft[variable].type.axes, draft[variable].type.of)
    return draft.add("symbolic.relabel", [variable], type, {"table": present}, hint=f"{variable}_values")
