"""Rests on a token once there has been one, and looks a number of positions back before that."""

from __future__ import annotations

import torch
from torch import Tensor

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE, HeadView

_FURTHEST = 4
_MASS = 0.6
_BEFORE = 0.4
_SOME = 0.02  # share of queries that must see such a token, and that must not
_MOST_VALUES = 4


def resting(head: HeadView, draft: Draft) -> list[str]:
    """What: keys that hold certain tokens, where there is any so far; where there is none, key = query - k.

    Why valid: three fifths of the attention of queries that see such a token rest on it, two fifths of that of others
    at the offset. Refuses when: every query, or hardly any, sees one; more than four tokens are of this kind; or no
    offset up to 4 stands out before.
    """
    tokens = head.tokens
    on, seeing, queries = _mass_on_tokens(head)
    there = (seeing > _SOME * queries) & (seeing < (1 - _SOME) * queries) & (on > _MASS * seeing)
    held = [int(c) - 1 for c in there.nonzero()[:, 0] if c > 0]
    if not 0 < len(held) <= _MOST_VALUES:
        return []
    mass, others = _mass_back(head, torch.tensor(held))
    back = int(mass.argmax())
    if others < _SOME * queries or mass[back] < _BEFORE:
        return []
    if _on_itself(head, torch.tensor(held)) > 0.5:
        far = draft.add("symbolic.everywhere", [tokens], SELECTOR, {"causal": head.causal}, hint="everywhere")
    else:  # such a token does not look at itself yet
        place = draft.add("component.arange", [tokens], Type("int", SEQUENCE), hint="place")
        far = draft.add("symbolic.ordered", [place, place], SELECTOR, {"is": "<", "causal": True}, hint="earlier")
    attrs = {"values": held, "negated": False}
    there_is = draft.add("symbolic.where", [far, tokens], SELECTOR, attrs, hint=f"where_{tokens}")
    hint = "here" if back == 0 else f"back_{back}"
    before = draft.add("symbolic.back", [tokens], SELECTOR, {"by": back}, hint=hint)
    return [draft.add("symbolic.otherwise", [there_is, before], SELECTOR, hint="otherwise")]


def _mass_on_tokens(head: HeadView) -> tuple[Tensor, Tensor, float]:
    """By category of key [k]: the attention it gets from live queries that see it, how many see it; and all of them."""
    size = head.sizes[head.tokens] + 1
    on, seeing, queries = torch.zeros(size), torch.zeros(size), 0.0
    for pattern, live, values in zip(head.patterns, head.live, head.variables[head.tokens], strict=True):
        kinds = torch.nn.functional.one_hot(values.long() + 1, size).to(pattern.dtype)
        visible = head.visible(pattern).expand_as(pattern)
        on += torch.bmm(pattern, kinds)[live].sum(0)
        seeing += (torch.bmm(visible, kinds) > 0)[live].sum(0)
        queries += float(live.sum())
    return on, seeing, queries


def _mass_back(head: HeadView, held: Tensor) -> tuple[Tensor, float]:
    """Of live queries that see none of some tokens: mean attention 0, 1, … back; and how many there are."""
    mass, seen = torch.zeros(_FURTHEST + 1), torch.zeros(_FURTHEST + 1)
    others = 0.0
    for pattern, live, values in zip(head.patterns, head.live, head.variables[head.tokens], strict=True):
        visible = head.visible(pattern).expand_as(pattern)
        found = torch.isin(values.long(), held).to(pattern.dtype)
        free = live & (torch.bmm(visible, found[:, :, None])[..., 0] == 0)
        others += float(free.sum())
        for back in range(min(_FURTHEST + 1, pattern.shape[1])):
            asks = free[:, back:]
            mass[back] += pattern.diagonal(-back, 1, 2)[asks].sum()
            seen[back] += asks.sum()
    return mass / seen.clamp(min=1), others


def _on_itself(head: HeadView, held: Tensor) -> float:
    """Mean attention that the first of some tokens in its row gives to itself; 1 where none is live."""
    total = seen = 0.0
    for pattern, live, values in zip(head.patterns, head.live, head.variables[head.tokens], strict=True):
        found = torch.isin(values.long(), held)
        first = live & found & (found.long().cumsum(1) == 1)
        total += float(pattern.diagonal(0, 1, 2)[first].sum())
        seen += float(first.sum())
    return total / seen if seen else 1.0
