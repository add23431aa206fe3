"""Looks a fixed number of positions back: itself, the previous token …"""

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_FURTHEST = 4
_MASS = 0.3
_ABOVE_CHANCE = 1.5


def back(head: HeadView, draft: Draft) -> list[str]:
    """What: key = query − k. Why valid: the mean attention at that offset is large, and half as large again as it is
    for a head that looks everywhere. Refuses when: no offset up to 4 holds 30 % of the attention."""
    mass = head.mass_by_offset(_FURTHEST)
    floor = (_ABOVE_CHANCE * head.looking_everywhere().mass_by_offset(_FURTHEST)).clamp(_MASS, 0.95)
    offsets = [int(k) for k in mass.argsort(descending=True, stable=True) if mass[k] > floor[k]]
    return [
        draft.add("symbolic.back", [head.tokens], SELECTOR, {"by": k}, hint="here" if k == 0 else f"back_{k}")
        for k in offsets[:2]
    ]
