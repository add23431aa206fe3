"""Looks at every second, third or fourth position, in step with itself or shifted."""

from __future__ import annotations

import torch

from exegesis.ir import Axis, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE, HeadView

_PERIODS = (2, 3, 4)
_UNEVEN = 1.2


def phases(head: HeadView, draft: Draft) -> list[str]:
    """What: key position ≡ query position + c (mod p), one selector for every c: together they look everywhere. And in
    step without itself, since a token's embedding can take back what the head adds for it.

    Why valid: attention to one phase exceeds that to another by a fifth, so what the head gathers tells them apart.
    Refuses when: all phases of every period up to four get alike.
    """
    for period in _PERIODS:
        mass = _mass_by_phase(head, period)
        if mass.max() > _UNEVEN * mass.min():
            steps = [_draft(head, draft, period, shift) for shift in range(period)]
            return [*steps, _before(head, draft, steps[0])] if head.causal else steps
    return []


def _mass_by_phase(head: HeadView, period: int) -> torch.Tensor:
    """Attention of live queries to keys whose position minus theirs is 0, 1 … modulo the period, relative to looking
    everywhere."""
    mass, even = torch.zeros(period), torch.zeros(period)
    for pattern, live in zip(head.patterns, head.live, strict=True):
        index = torch.arange(pattern.shape[1])
        step = (index[None, :] - index[:, None]) % period
        by_step = torch.stack([(pattern * (step == k)).sum(-1) for k in range(period)], -1)
        mass += by_step[live].sum(0)
        visible = torch.ones_like(pattern[0]).tril() if head.causal else torch.ones_like(pattern[0])
        visible = visible / visible.sum(-1, keepdim=True)
        expected = torch.stack([(visible * (step == k)).sum(-1) for k in range(period)], -1)
        even += expected.expand(len(pattern), -1, -1)[live].sum(0)
    return mass / even.clamp(min=1e-9)


def _draft(head: HeadView, draft: Draft, period: int, shift: int) -> str:
    axis = f"mod_{period}"
    draft.axes[axis] = Axis(axis, period)
    type = Type("category", SEQUENCE, axis)
    place = draft.add("component.arange", [head.tokens], Type("int", SEQUENCE), hint="place")
    here = draft.add("symbolic.mod", [place], type, {"period": period}, hint=f"place_mod_{period}")
    sought = here
    if shift:
        sought = draft.add("symbolic.mod", [place], type, {"period": period, "plus": shift}, hint=f"phase_mod_{period}")
    return draft.add("symbolic.match", [sought, here], SELECTOR, {"causal": head.causal}, hint=f"same_phase_{period}")


def _before(head: HeadView, draft: Draft, step: str) -> str:
    """What a selector looks at, before the query."""
    place = draft.add("component.arange", [head.tokens], Type("int", SEQUENCE), hint="place")
    attrs = {"is": "<", "causal": True}
    earlier = draft.add("symbolic.ordered", [place, place], SELECTOR, attrs, hint="earlier")
    return draft.add("symbolic.both", [step, earlier], SELECTOR, hint=f"{step}_before")
