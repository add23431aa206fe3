"""Looks a number of positions back, or rests on the first: which of them depends on the query's own category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE, HeadView

_FURTHEST = 4
_MASS = 0.6
_MOST_VALUES = 12


def gated(head: HeadView, draft: Draft) -> list[str]:
    """What: key = query - k for some categories of query; for others the first position, or everything.

    Why valid: for queries of a category, three fifths of the attention rest at one place. Refuses when: all categories
    do the same, none looks back, or a case would list more than twelve.
    """
    mass, seen = mass_by_category(head, head.sizes[head.tokens])
    present = (seen > 0).nonzero()[:, 0].tolist()
    places = {c: int(p) if mass[c, p] > _MASS else None for c, p in enumerate(mass.argmax(1).tolist()) if c in present}
    different = set(places.values())
    if len(different) < 2 or not different - {None, 0}:
        return []
    rest = (
        None
        if None in different
        else 0
        if 0 in different
        else max(different, key=lambda p: (_often(p, places, seen), p))
    )
    found = _place(head, draft, rest)
    for place in sorted(p for p in different if p is not None and p != rest):
        asking = [c - 1 for c in present if places[c] == place]
        if len(asking) > _MOST_VALUES:
            return []
        found = draft.add("symbolic.otherwise", [_when(head, draft, place, asking), found], SELECTOR, hint="otherwise")
    return [found]


def _often(place: int | None, places: Mapping[int, int | None], seen: torch.Tensor) -> float:
    return sum(float(seen[c]) for c, p in places.items() if p == place)


def _when(head: HeadView, draft: Draft, place: int, asking: Sequence[int]) -> str:
    attrs = {"values": list(asking)}
    holds = draft.add("symbolic.is_in", [head.tokens], Type("bool", SEQUENCE), attrs, hint="asks")
    return draft.add("symbolic.when", [_place(head, draft, place), holds], SELECTOR, hint="when")


def _place(head: HeadView, draft: Draft, place: int | None) -> str:
    """The selector of a place: 0 is the first position, k + 1 is k back; none is everywhere."""
    if place is None:
        return draft.add("symbolic.everywhere", [head.tokens], SELECTOR, {"causal": head.causal}, hint="everywhere")
    if place == 0:
        return draft.add("symbolic.at", [head.tokens], SELECTOR, {"index": 0, "causal": head.causal}, hint="first")
    back = place - 1
    return draft.add(
        "symbolic.back", [head.tokens], SELECTOR, {"by": back}, hint="here" if back == 0 else f"back_{back}"
    )


def mass_by_category(head: HeadView, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean attention by category of query to the first position and to those 0, 1 … back, [size + 1, places], over
    queries for which that is not the first; and how many queries there are of each category."""
    total, seen = torch.zeros(size + 1, _FURTHEST + 2), torch.zeros(size + 1, _FURTHEST + 2)
    for pattern, live, values in zip(head.patterns, head.live, head.variables[head.tokens], strict=True):
        held = values.long() + 1
        for place in range(min(_FURTHEST + 2, pattern.shape[1])):
            asks = live[:, max(place, 1) :]
            mass = pattern[:, 1:, 0] if place == 0 else pattern.diagonal(1 - place, 1, 2)[:, 1:]
            kinds = held[:, max(place, 1) :][asks]
            total[:, place].index_add_(0, kinds, mass[asks])
            seen[:, place] += torch.bincount(kinds, minlength=size + 1)
    return total / seen.clamp(min=1), seen[:, 0]
