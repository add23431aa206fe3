"""Looks at the latest position that holds one of certain categories."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView
from exegesis.passes.raising.selectors.where import standing_out

_CLOSE = 0.6
_ABOVE_CHANCE = 0.7


def latest(head: HeadView, draft: Draft) -> list[str]:
    """What: of the keys that hold certain categories, the last one so far.

    Why valid: attention goes to these categories, and the later the more: so is found what last set a state.
    Refuses when: no set of categories stands out, the head also sees what comes later, or attention spread evenly over
    the set is about as close.
    """
    if not head.causal:
        return []
    found = []
    for name in head.variables:
        preference, seen = head.preference_by_key(name)
        present = (seen > 0).nonzero()[:, 0]
        if len(present) < 2:
            continue
        for values, negated in standing_out(present, preference[present]):
            allowed = [torch.isin(k.long(), torch.tensor(values)) ^ negated for k in head.variables[name]]
            if _explains(head, allowed):
                found.append(_drafted(head, draft, name, values, negated))
    return found


def _explains(head: HeadView, allowed: Sequence[Tensor]) -> bool:
    """Whether attention is on the last of the allowed keys rather than on all of them, where there are several."""
    distances, chances = [], []
    for held, pattern, live in zip(allowed, head.patterns, head.live, strict=True):
        seen = held[:, None] & (head.visible(pattern) > 0)
        index = torch.arange(held.shape[1]).expand_as(seen).masked_fill(~seen, -1)
        last = (seen & (index == index.amax(-1, keepdim=True))).float()
        even = seen / seen.sum(-1, keepdim=True).clamp(min=1)
        rows = live & (seen.sum(-1) > 1)
        distances.append((0.5 * (last - pattern).abs().sum(-1))[rows])
        chances.append((0.5 * (even - pattern).abs().sum(-1))[rows])
    distance = torch.cat(distances)
    if not distance.numel():
        return False
    return bool(distance.mean() < min(_CLOSE, _ABOVE_CHANCE * float(torch.cat(chances).mean())))


def _drafted(head: HeadView, draft: Draft, key: str, values: list[int], negated: bool) -> str:
    everywhere = draft.add("symbolic.everywhere", [head.tokens], SELECTOR, {"causal": True}, hint="everywhere")
    attrs = {"values": values, "negated": negated}
    among = draft.add("symbolic.where", [everywhere, key], SELECTOR, attrs, hint=f"where_{key}")
    return draft.add("symbolic.nearest", [among], SELECTOR, {"which": "latest"}, hint=f"latest_{key}")
