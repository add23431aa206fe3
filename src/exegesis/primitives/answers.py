"""Answers: what a program says at each position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from exegesis.primitives._types import Array


def choose(*cases: tuple[Array, int], other: int) -> Array:
    """The result of the first case `(condition, result)` whose condition holds, else `other`."""
    conditions, results = zip(*cases, strict=True)
    return np.select(list(conditions), list(results), default=other)


def allow(
    like: Array, conditions: Mapping[int, Array] = MappingProxyType({}), *, always: Iterable[int] = ()
) -> list[list[int]]:
    """The sorted outputs allowed at each position: those whose condition holds there, and those that `always` are."""
    held = [(output, np.broadcast_to(holds, (len(like),)).tolist()) for output, holds in conditions.items()]
    fixed = set(always)
    return [sorted(fixed | {output for output, holds in held if holds[s]}) for s in range(len(like))]


def allow_by(value: Array, outputs: Mapping[int, Iterable[int]], *, other: Iterable[int] = ()) -> list[list[int]]:
    """The sorted outputs allowed at each position, by the category of `value` there (`other`: not listed)."""
    table = {category: sorted(allowed) for category, allowed in outputs.items()}
    rest = sorted(other)
    return [table.get(category, rest) for category in value.astype(int).tolist()]


def positive(logits: Array) -> list[list[int]]:
    """The sorted outputs with a positive logit at each position, from `[position, output]`."""
    return [np.flatnonzero(row > 0).tolist() for row in logits]
