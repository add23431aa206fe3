"""Looks back from a few categories of query only: what a head does for these, beside what it does for all others."""

from __future__ import annotations

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView
from exegesis.passes.raising.selectors.gated import mass_by_category

_FURTHEST = 4
_MASS = 0.6
_FEW = 4


def asides(head: HeadView, draft: Draft) -> list[str]:
    """What: key = query - k, as one of several things that a head does. Why valid: for at most four categories of
    query, three fifths of the attention rest there, as they do not for the others.

    Refuses when: no category does so, or more than four; or all queries do (then it is what the head looks at).
    """
    mass, seen = mass_by_category(head, head.sizes[head.tokens])
    there = (mass > _MASS) & (seen > 0)[:, None]
    found = []
    for back in range(1, _FURTHEST + 1):  # what it looks at in itself it knows already
        asking = there[:, back + 1]
        if 0 < int(asking.sum()) <= min(_FEW, int((seen > 0).sum()) - 1):
            found.append(draft.add("symbolic.back", [head.tokens], SELECTOR, {"by": back}, hint=f"back_{back}"))
    return found
