"""The shortest description of a finite variable: which phrase about known ones groups the observations as it does?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from exegesis.passes.raising.clusters import Codes, codes_of, decides, joint, same_partition
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.phrases import (
    Phrase,
    among,
    bounded,
    compared,
    denied,
    equal,
    itself,
    joined,
    remainder,
    table,
    threshold,
    total,
)

_PERIODS = range(2, 13)
_WEIGHTS = tuple((a, b) for a in (1, 2, 3) for b in (1, -1, 2, -2, 3, -3) if a != abs(b) or a == 1)
_WEIGHTS_OF_THREE = tuple((1, b, c) for b in (1, -1, 2, -2) for c in (1, -1, 2, -2))
_MOST_ROWS = 64
_MOST_VALUES = 40_000_000
_LONG = 60.0  # bits; a shorter phrase about one variable makes it idle to look at two


def deciding(target: Codes, columns: Sequence[Column], *, most: int = 3) -> Iterator[list[tuple[Column, ...]]]:
    """Sets of columns (of up to `most`) whose values decide a target ([n] codes): single columns, then pairs …

    A set counts only when it has far fewer combinations of values than there are observations: else all is decided. Of
    sets of three, only those count without a smaller one that decides.
    """
    informative = [c for c in columns if c.codes.max(initial=0) > 0]
    fewest = max(4, len(target) // 4)
    codes: dict[tuple[int, ...], Codes] = {(i,): c.codes for i, c in enumerate(informative)}
    decided = False
    for size in range(1, most + 1):
        found = [k for k, code in codes.items() if code.max(initial=0) < fewest and decides(code, target)]
        decided |= bool(found)
        yield [tuple(informative[i] for i in k) for k in found]
        wider = {}
        if size == most or (decided and size > 1) or len(codes) * len(informative) * len(target) > _MOST_VALUES:
            return
        for key, code in codes.items():
            for j in range(key[-1] + 1, len(informative)):
                wider[*key, j] = joint(code, informative[j].codes)
        codes = wider


def describe(target: Codes, columns: Sequence[Column]) -> Phrase | None:
    """The shortest phrase that groups the observations exactly as the target does, or None.

    Args:
        target: [n] codes.
        columns: what may be spoken of, at the same observations.
    """
    return min(descriptions(target, columns), key=lambda p: p.bits, default=None)


def descriptions(target: Codes, columns: Sequence[Column]) -> list[Phrase]:
    """Phrases that group the observations exactly as the target does: variables that do so already, else new ones."""
    same = [itself(c) for c in columns if same_partition(c.codes, target)]
    if same:
        return same
    for keys in deciding(target, columns):
        found = [p for k in keys for p in phrases(target, k) if same_partition(codes_of(p.values), target)]
        if found:
            return found
    return []


def phrases(target: Codes, keys: Sequence[Column]) -> Iterator[Phrase]:
    """Candidates over a set of columns that decides the target; not all of them group the observations as it does."""
    is_binary = bool(target.max(initial=0) == 1)
    if len(keys) == 1:
        yield from _about_one(target, keys[0], is_binary)
    if len(keys) == 2:
        yield from _about_two(target, keys[0], keys[1], is_binary)
    if len(keys) == 3 and all(k.is_number for k in keys):
        yield from _sums(target, keys, is_binary)
    if all(k.kind != "real" and k.cls is None for k in keys):
        rows = int(np.unique(np.stack([k.codes for k in keys], 1), axis=0).shape[0])
        if rows <= _MOST_ROWS:
            yield table(keys, target, truth=is_binary)


def _about_one(target: Codes, key: Column, is_binary: bool) -> Iterator[Phrase]:
    if is_binary:
        for holds in (target == 1, target == 0):
            yield from truths(holds, key)
    if key.kind == "int" and key.cls is None:
        low, high = int(key.values.min()), int(key.values.max())
        yield from (bounded(which, [key], to) for which in ("smaller", "larger") for to in range(low + 1, high))
    if key.kind == "int":
        yield from (remainder(itself(key), p) for p in _PERIODS if key.values.min(initial=0) >= 0)


def truths(target: Mask, key: Column) -> Iterator[Phrase]:
    """Ways to say of one column when a truth value holds."""
    if key.is_number:
        if (found := threshold(itself(key), target)) is not None:
            yield found
        if key.kind == "int" and key.values.min(initial=0) >= 0:
            for period in _PERIODS:
                rest = remainder(itself(key), period)
                held = np.unique(rest.values[target])
                if len(held) == 1 and not np.isin(held[0], rest.values[~target]):
                    yield compared(rest, "==", float(held[0]))
    if key.kind != "real" and key.cls is None and (found := among(key, target)) is not None:
        yield found


def _about_two(target: Codes, first: Column, second: Column, is_binary: bool) -> Iterator[Phrase]:
    if is_binary and all(c.kind != "real" and c.cls is None for c in (first, second)):
        yield equal(first, second)
    if not is_binary and first.kind == second.kind == "int" and first.cls is None and second.cls is None:
        yield from (bounded(which, [first, second]) for which in ("smaller", "larger"))
    if first.is_number and second.is_number:
        yield from _sums(target, (first, second), is_binary)
    if is_binary:
        for holds in (target == 1, target == 0):
            yield from _junctions(holds, first, second)


def _sums(target: Codes, keys: Sequence[Column], is_binary: bool) -> Iterator[Phrase]:
    """Linear forms with small whole coefficients, and comparisons of them with a constant."""
    for w in _WEIGHTS if len(keys) == 2 else _WEIGHTS_OF_THREE:
        form = total(list(zip(w, keys, strict=True)), 0)
        if form.kind == "int":
            form = min((_lifted(v, keys) for v in (w, tuple(-x for x in w))), key=lambda f: f.bits)
        if is_binary:
            plain = total(list(zip(w, keys, strict=True)), 0)
            yield from (found for holds in (target == 1, target == 0) if (found := threshold(plain, holds)) is not None)
        else:
            yield form


def _lifted(weights: Sequence[int], keys: Sequence[Column]) -> Phrase:
    """A form of whole numbers that is never negative, so that it can be sought: the category none is negative."""
    low = int(total(list(zip(weights, keys, strict=True)), 0).values.min())
    return total(list(zip(weights, keys, strict=True)), max(0, -low))


def _junctions(target: Mask, first: Column, second: Column) -> Iterator[Phrase]:
    """`f(first) and g(second)`, where that is the target; and the negation of one, written as an `or`."""
    f, g = _projection(target, first), _projection(target, second)
    if not np.array_equal(f & g, target):
        return
    left, right = _shortest(f, first), _shortest(g, second)
    if left is not None and right is not None:
        yield joined(left, right, both=True)
    left, right = _shortest(~f, first), _shortest(~g, second)
    if left is not None and right is not None:
        yield joined(left, right, both=False)


def _projection(target: Mask, key: Column) -> Mask:
    """Where the column has a value that the target ever holds with."""
    ever = np.zeros(int(key.codes.max(initial=0)) + 1, bool)
    ever[key.codes[target]] = True
    return ever[key.codes]


def _shortest(target: Mask, key: Column) -> Phrase | None:
    if target.all() or not target.any():
        return None
    options = list(truths(target, key)) + [denied(p) for p in truths(~target, key)]
    return min(options, key=lambda p: p.bits, default=None)
