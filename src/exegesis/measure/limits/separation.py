"""A condition found on one half of the rows, tested on the other, beside failures that were moved about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int
from numpy.random import Generator

from exegesis.evidence.intervals import clopper_pearson
from exegesis.measure.limits.asked import Asked, stacked
from exegesis.measure.limits.conditions import Condition, Search, scale_of
from exegesis.measure.limits.quantities import Quantity, quantities

FEWEST = 4  # failures in all; with fewer nothing is sought
FEWEST_OF_HALF = 8  # with fewer on either half, one half cannot teach what the other tests
NULLS = 19
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Share:
    """How many of some answers, as an average over rows, with exact bounds at 95 %.

    Answers of one row are not independent, rows are. So the share is that of an answer drawn from a row drawn, and the
    bounds (Clopper–Pearson) are of one answer drawn from each row.

    Attributes:
        hits, of: answers, whatever row they are of.
        value: the average over rows of each row's share; 0 without any.
        low, high: the bounds.
    """

    hits: int
    of: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.3g} % ({100 * self.low:.3g}–{100 * self.high:.3g} %)"

    @classmethod
    def among(cls, hit: Bool[np.ndarray, " n"], row: Int[np.ndarray, " n"], rng: Generator) -> Share:
        """Of answers, given which are hit and the row of each."""
        if not len(hit):
            return cls(0, 0, 0.0, 0.0, 1.0)
        order = rng.permutation(len(hit))
        _, first, group = np.unique(row[order], return_index=True, return_inverse=True)
        one_each = hit[order[first]]
        low, high = clopper_pearson(int(one_each.sum()), len(one_each))
        value = float((np.bincount(group, hit[order]) / np.bincount(group)).mean())
        return cls(int(hit.sum()), len(hit), value, float(low), float(high))


@dataclass(frozen=True, eq=False)
class Separation:
    """What tells failures from right answers.

    Attributes:
        condition: found on one half of the rows; empty where none was.
        covered: of the held-out half's failures, those where it holds.
        alarms: of its right answers, those where it holds.
        bits: what the condition costs to say.
        saved: bits by which it shortens the list of the held-out half's failures, at the rates of the other half.
        null: the same for failures that were rotated along all rows, each time with a search of its own.
        null_within_length: the same when they are rotated among rows of equal length; none where that was not asked.
        held_out: whether the figures are of rows that the condition was not found on. Where failures are too few to
            hold half of them back they are not, and only the rotated failures speak for it.
        why_none: why there is no condition; empty where there is one.
    """

    condition: Condition
    covered: Share
    alarms: Share
    bits: float
    saved: float
    null: tuple[float, ...]
    null_within_length: tuple[float, ...]
    held_out: bool
    why_none: str

    @property
    def p(self) -> float:
        """How often rotated failures are told as well."""
        return _p(self.saved, self.null)

    @property
    def p_within_length(self) -> float | None:
        """How often failures rotated among rows of equal length are told as well: small where length is not all; None
        where that was not asked."""
        return _p(self.saved, self.null_within_length) if self.null_within_length else None

    @property
    def found(self) -> bool:
        """Whether a condition stands on held-out rows."""
        return not self.why_none


def _p(value: float, null: Sequence[float]) -> float:
    return (1 + sum(x >= value for x in null)) / (1 + len(null))


def separate(
    asked: Asked,
    halves: tuple[Asked, Asked],
    more: tuple[tuple[Quantity, ...], tuple[Quantity, ...]],
    seed: int,
    *,
    within_length: bool = True,
) -> Separation:
    """Finds the shortest condition on one half and tests it on the other.

    Args:
        asked: all of it.
        halves: of `asked`.
        more: further quantities of either half, in one order.
        seed: of the rotations and of the position that is taken of each row.
        within_length: whether failures are rotated among rows of equal length, too.
    """
    rng = np.random.default_rng([seed, 23])
    if int(asked.wrong.sum()) < FEWEST:
        return _none(asked, rng, f"there are too few failures to learn from ({int(asked.wrong.sum())} in all)")
    held_out = min(int(h.wrong.sum()) for h in halves) >= FEWEST_OF_HALF
    fit, held = halves
    known, there = quantities(fit, more[0]), quantities(held, more[1])
    if not held_out:
        whole = stacked(halves)
        joined = tuple(_stacked(a, b) for a, b in zip(*more, strict=True))
        fit = held = whole
        known = there = quantities(whole, joined)
    search = Search(known, fit.row)
    condition = search.shortest(fit.wrong)
    if not condition:
        return _none(held, rng, "no condition on the quantities looked at tells them from right answers")
    inside = condition.holds(there, len(held))
    found = Separation(
        condition=condition,
        covered=Share.among(inside[held.wrong], held.row[held.wrong], rng),
        alarms=Share.among(inside[~held.wrong], held.row[~held.wrong], rng),
        bits=condition.bits,
        saved=_saved(condition, known, there, fit, held, fit.wrong, held.wrong),
        null=_nulls(search, known, there, fit, held, rng, within_length=False),
        null_within_length=_nulls(search, known, there, fit, held, rng, within_length=True) if within_length else (),
        held_out=held_out,
        why_none="",
    )
    if found.p > SIGNIFICANT or found.saved <= 0:
        where = "does not on the other" if held_out else "tells failures that were moved about as well"
        return _none(held, rng, f"the condition that tells them on one half of the rows {where}")
    return found


def _none(held: Asked, rng: Generator, why: str) -> Separation:
    nothing = np.zeros(len(held), np.bool_)
    covered = Share.among(nothing[held.wrong], held.row[held.wrong], rng)
    alarms = Share.among(nothing[~held.wrong], held.row[~held.wrong], rng)
    return Separation(Condition(()), covered, alarms, 0.0, 0.0, (), (), held_out=False, why_none=why)


def _stacked(first: Quantity, second: Quantity) -> Quantity:
    return replace(first, values=np.concatenate([first.values, second.values]))


def _nulls(
    search: Search,
    known: Sequence[Quantity],
    there: Sequence[Quantity],
    fit: Asked,
    held: Asked,
    rng: Generator,
    *,
    within_length: bool,
) -> tuple[float, ...]:
    """What conditions save that were found for rotated failures."""
    found = []
    for _ in range(NULLS):
        first = rotated(fit, rng, within_length=within_length)
        second = first if held is fit else rotated(held, rng, within_length=within_length)
        condition = search.shortest(first)
        found.append(_saved(condition, known, there, fit, held, first, second) if condition else 0.0)
    return tuple(found)


def rotated(asked: Asked, rng: Generator, *, within_length: bool) -> Bool[np.ndarray, " n"]:
    """The failures moved along the rows by a random number of answers, so that what stands together stays together.

    With `within_length` rows of each length are a circle of their own, and each length keeps its number of failures.
    """
    length = asked.lengths[asked.row] if within_length else np.zeros(len(asked), np.int64)
    found = np.zeros(len(asked), np.bool_)
    for value in np.unique(length):
        at = np.flatnonzero(length == value)
        found[at] = np.roll(asked.wrong[at], int(rng.integers(len(at))))
    return found


def _saved(
    condition: Condition,
    known: Sequence[Quantity],
    there: Sequence[Quantity],
    fit: Asked,
    held: Asked,
    first: Bool[np.ndarray, " n"],
    second: Bool[np.ndarray, " m"],
) -> float:
    """Bits by which the rates inside and outside of a condition, learnt on one half, shorten the other's failures."""
    inside = condition.holds(known, len(fit))
    parts = (inside, ~inside, np.ones(len(fit), np.bool_))
    rates = [(first[part].sum() + 0.5) / (part.sum() + 1.0) for part in parts]
    here = condition.holds(there, len(held))
    told = np.where(here, rates[0], rates[1])
    plain = np.full(len(held), rates[2])
    bits = [-np.log2(np.where(second, p, 1 - p)).sum() for p in (plain, told)]
    return float(bits[0] - bits[1]) * scale_of(second, held.row)
