"""Looks at the greatest (or least) category that can be seen."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_FEWEST = 5
_EXCEPTIONS = 8
_DISPLACED = 0.5

_Which = Literal["largest", "smallest"]


def greatest(head: HeadView, draft: Draft) -> list[str]:
    """What: of all keys in sight, those whose category is the greatest (or the least).

    Why valid: log attention rises (falls) with the key's category, steeply enough for one key to win. Categories far
    from their place in that order do not count as values.
    Refuses when: fewer than five categories occur, more than eight are out of place, or looking at all values alike
    explains the attention about as well.
    """
    found = []
    for name in head.variables:
        strength, seen = head.preference_by_key(name)
        present = (seen[1:] > 0).nonzero()[:, 0]
        if len(present) < _FEWEST:
            continue
        for which in ("largest", "smallest"):
            ignored = present[_out_of_place(strength[1:][present], which)]
            if len(ignored) > min(_EXCEPTIONS, len(present) - _FEWEST):
                continue
            keys = [k.long() for k in head.variables[name]]
            values = [(k >= 0) & ~torch.isin(k, ignored) for k in keys]
            if head.goes_to_the_best(values, keys if which == "largest" else [-k for k in keys]):
                found.append(_drafted(head, draft, name, ignored.tolist(), which))
    return found


def _out_of_place(strength: Tensor, which: _Which) -> Tensor:
    """Which categories' rank by strength is far from their rank by value, [k] bool."""
    rank = strength.argsort(descending=which == "smallest").argsort()
    return (rank - torch.arange(len(strength))).abs() > _DISPLACED * len(strength)


def _drafted(head: HeadView, draft: Draft, key: str, ignored: list[int], which: _Which) -> str:
    values = key
    if ignored:
        type = Type("category", draft[key].type.axes, draft[key].type.of)
        table = [[category, -1] for category in ignored]
        values = draft.add("symbolic.relabel", [key], type, {"table": table}, hint=f"{key}_values")
    everywhere = draft.add("symbolic.everywhere", [head.tokens], SELECTOR, {"causal": head.causal}, hint="everywhere")
    return draft.add("symbolic.extreme", [everywhere, values], SELECTOR, {"which": which}, hint=f"{which}_{key}")
