"""Variables: what a position reads off the positions it looks at, and what it computes from what it knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from exegesis.primitives._types import Array, Number


def share(selector: Array, value: Array, *, of: int) -> Array:
    """Of the positions looked at, the share that holds each of `of` categories, `[position, category]`.

    All zeros where nothing is looked at; positions that hold none (-1) count towards the total only.
    """
    total = selector.sum(axis=1, keepdims=True)
    return count(selector, value, of=of) / np.where(total > 0, total, 1)


def count(selector: Array, value: Array, *, of: int) -> Array:
    """How many of the positions looked at hold each of `of` categories, `[position, category]`."""
    holds = value.astype(int)[:, None] == np.arange(of)
    held: Array = selector.astype(float) @ holds.astype(float)
    return held


def fraction(selector: Array, condition: Array) -> Array:
    """Of the positions looked at, the fraction where a condition holds; 0 where nothing is looked at."""
    held: Array = share(selector, condition, of=2)[:, 1]
    return held


def width(selector: Array) -> Array:
    """How many positions are looked at."""
    looked: Array = (selector > 0).sum(axis=1)
    return looked


def exists(selector: Array) -> Array:
    """Whether any position is looked at."""
    return np.asarray((selector > 0).any(axis=1))


def copy(selector: Array, value: Array) -> Array:
    """The category that most of the positions looked at hold (ties: the smallest); -1 where there is none."""
    held = count(selector, value, of=int(value.max(initial=0)) + 1)
    return np.where(held.max(axis=1) > 0, held.argmax(axis=1), -1)


def holds_at(selector: Array, condition: Array) -> Array:
    """Whether a condition holds where a selector looks: at more than half of these positions, where they are several.

    False where nothing is looked at.
    """
    return np.asarray(copy(selector, condition) == 1)


def relabel(value: Array, table: Mapping[int, int]) -> Array:
    """Renames categories; those not listed stay as they are."""
    renamed = [table.get(v, v) for v in value.astype(int).ravel().tolist()]
    return np.array(renamed, dtype=int).reshape(value.shape)


def lookup(*keys: Array, table: Mapping[Any, int], other: int) -> Array:
    """A finite function: `table` maps a category (a tuple of them, with several keys) to its result, or `other`."""
    flat = [k.astype(int).ravel().tolist() for k in np.broadcast_arrays(*keys)]
    rows = flat[0] if len(flat) == 1 else list(zip(*flat, strict=True))
    found = [table.get(row, other) for row in rows]
    return np.array(found, dtype=type(other)).reshape(keys[0].shape)


def classify(value: Array, groups: Mapping[int, Iterable[int]], *, other: int) -> Array:
    """The group that a category belongs to: `groups` maps each result to the categories that give it."""
    return lookup(value, table={v: group for group, members in groups.items() for v in members}, other=other)


def worth(value: Array, numbers: Mapping[int, Number] | range, *, other: Number = 0) -> Array:
    """The number that each category stands for (in a `range`: itself); `other` for categories not listed."""
    table = numbers if isinstance(numbers, Mapping) else {n: n for n in numbers}
    found = [table.get(v, other) for v in value.astype(int).ravel().tolist()]
    whole_numbers = all(isinstance(n, int) for n in (*table.values(), other))
    return np.array(found, dtype=int if whole_numbers else float).reshape(value.shape)


def mod(value: Array, period: int, *, plus: int = 0) -> Array:
    """The remainder of `value + plus` by `period`. The category none (-1) stays none."""
    remainder = np.rint(np.mod(value + plus, period)).astype(int)
    return np.where(_none(value), -1, remainder)


def shift(value: Array, by: int) -> Array:
    """The category plus a constant; -1 where that leaves the categories or there was none."""
    return np.where(_none(value), -1, np.maximum(value + by, -1))


def whole(value: Array) -> Array:
    """The nearest whole numbers, so that they can be matched and looked up like categories."""
    return np.rint(value).astype(int)


def is_in(value: Array, values: Iterable[int]) -> Array:
    """Whether a category is one of `values`."""
    return np.isin(value, list(values))


def largest(values: Array, *, among: Iterable[int] | None = None) -> Array:
    """The class with the largest entry along the last axis (ties: the first), of all classes or those in `among`."""
    if among is None:
        return np.asarray(values.argmax(axis=-1))
    classes = np.array(list(among))
    return np.asarray(classes[values[..., classes].argmax(axis=-1)])


def always(like: Array, value: int) -> Array:
    """One category, at every position."""
    return np.full(len(like), value)


def _none(value: Array) -> Array:
    """Where a category variable holds none. Numbers are never none."""
    return (value < 0) if np.issubdtype(value.dtype, np.integer) else np.zeros(value.shape, dtype=bool)
