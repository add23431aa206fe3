"""Looks a fixed number of positions back: itself, the previous token …"""

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_FURTHEST = 4
_MASS = 0.3


def back(head: HeadView, draft: Draft) -> list[str]:
    """What: key = query − k. Why valid: the mean attention at that offset is large. Refuses when: no offset up to 4
    holds 30 % of the attention."""
    mass = head.mass_by_offset(_FURTHEST)
    offsets = [int(k) for k in mass.argsort(descending=True, stable=True) if mass[k] > _MASS]
    return [
        draft.add("symbolic.back", [head.tokens], SELECTOR, {"by": k}, hint="here" if k == 0 else f"back_{k}")
        for k in offsets[:2]
    ]
