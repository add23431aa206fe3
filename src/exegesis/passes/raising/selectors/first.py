"""Looks at the first position."""

import torch

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_MASS = 0.5


def first(head: HeadView, draft: Draft) -> list[str]:
    """What: key = 0. Why valid: most attention rests there. Refuses when: less than half of the mean attention does."""
    mass = torch.cat([p[:, :, 0][alive] for p, alive in zip(head.patterns, head.live, strict=True)])
    if mass.numel() == 0 or mass.mean() < _MASS:
        return []
    return [draft.add("symbolic.at", [head.tokens], SELECTOR, {"index": 0, "causal": head.causal}, hint="first")]
