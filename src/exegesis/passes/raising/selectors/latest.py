"""Looks at the latest position that holds one of certain categories."""

from __future__ import annotations

import torch

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView
from exegesis.passes.raising.selectors.where import standing_out


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
            if head.goes_to_the_best(allowed, [torch.arange(k.shape[1]).expand_as(k) for k in allowed]):
                found.append(_drafted(head, draft, name, values, negated))
    return found


def _drafted(head: HeadView, draft: Draft, key: str, values: list[int], negated: bool) -> str:
    everywhere = draft.add("symbolic.everywhere", [head.tokens], SELECTOR, {"causal": True}, hint="everywhere")
    attrs = {"values": values, "negated": negated}
    among = draft.add("symbolic.where", [everywhere, key], SELECTOR, attrs, hint=f"where_{key}")
    return draft.add("symbolic.nearest", [among], SELECTOR, {"which": "latest"}, hint=f"latest_{key}")
