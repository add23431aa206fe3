"""Looks at the positions that hold certain categories, and averages over them; or weighs categories differently."""

import torch

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_RATIO = 4.0
_MOST_VALUES = 12
_STEP = 0.25


def where(head: HeadView, draft: Draft) -> list[str]:
    """What: keys by category, all alike or with weights. Why valid: log attention depends on the key's category.

    Refuses when: categories differ by less than a factor of four (no set stands out), or a set would list more than
    twelve categories both ways.
    """
    found = []
    everywhere = draft.add("symbolic.everywhere", [head.tokens], SELECTOR, {"causal": head.causal}, hint="everywhere")
    for name in head.variables:
        preference, seen = head.preference_by_key(name)
        present = (seen > 0).nonzero()[:, 0]
        if len(present) < 2:
            continue
        strength = preference[present]
        for values, negated in standing_out(present, strength):
            attrs = {"values": values, "negated": negated}
            found.append(draft.add("symbolic.where", [everywhere, name], SELECTOR, attrs, hint=f"where_{name}"))
        found += _weighed(draft, everywhere, name, present, strength)
    return found


def standing_out(present: torch.Tensor, strength: torch.Tensor) -> list[tuple[list[int], bool]]:
    """The set of categories that a head prefers by far, or that of all others with True, whichever is shorter; nothing
    where no set stands out or it would be long.

    Args:
        present: at least two categories that occur, counted from 1 (0 is “none”), [k].
        strength: log weights of theirs, [k].
    """
    order = strength.argsort(descending=True)
    gaps = strength[order][:-1] - strength[order][1:]
    cut = int(gaps.argmax())
    if gaps[cut] <= torch.tensor(_RATIO).log():
        return []
    inside = sorted((present[order[: cut + 1]] - 1).tolist())
    outside = sorted((present[order[cut + 1 :]] - 1).tolist())
    values, negated = (inside, False) if len(inside) <= len(outside) else (outside, True)
    return [(values, negated)] if len(values) <= _MOST_VALUES else []


def _weighed(draft: Draft, everywhere: str, name: str, present: torch.Tensor, strength: torch.Tensor) -> list[str]:
    """A weight per category, relative to the commonest one, when few categories differ."""
    rounded = ((strength - strength.median()) / _STEP).round() * _STEP
    special = (rounded != 0).nonzero()[:, 0]
    if not 0 < len(special) <= _MOST_VALUES:
        return []
    weights = [[int(present[i]) - 1, float(f"{float(rounded[i].exp()):.2g}")] for i in special]
    return [
        draft.add(
            "symbolic.weigh", [everywhere, name], SELECTOR, {"weights": weights, "other": 1}, hint=f"weighed_{name}"
        )
    ]
