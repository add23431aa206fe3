"""What may be said of a scored position: its place, its tokens, how often they occur and how far back.

Each quantity is one number, category or truth per scored position, named by a noun phrase that fits into a sentence.
None of them is made from what the network says: a condition on these is one that a person can check by looking at the
input (and, where they speak of it, at the task's own answer).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from exegesis.measure.limits.asked import NOTHING, Asked

Kind: TypeAlias = Literal["number", "category", "truth"]
_FEW_LETTERS = 8  # tallies of each letter are told apart where there are at most so many
_CHUNK = 4_000_000  # entries of a mask over keys that are held at once


@dataclass(frozen=True, eq=False)
class Quantity:
    """One value per scored position.

    Attributes:
        name: a noun phrase, or for truths a whole clause.
        kind: numbers are compared, categories are listed, truths hold or not.
        values: [n] numbers, NaN where there is none; for categories whole numbers, NaN for none; for truths 0 or 1.
        labels: what categories are called, by their number.
        denied: for truths, the clause that says that it is not so.
    """

    name: str
    kind: Kind
    values: Float[np.ndarray, " n"]
    labels: tuple[str, ...] = ()
    denied: str = ""

    @property
    def varies(self) -> bool:
        """Whether it is not the same everywhere."""
        return not bool(((self.values == self.values[:1]) | (np.isnan(self.values) & np.isnan(self.values[:1]))).all())


def quantities(asked: Asked, more: tuple[Quantity, ...] = ()) -> list[Quantity]:
    """Every quantity that varies, each distinct column once, the plainest first.

    Args:
        asked: the scored positions.
        more: further ones, such as the variables of a program.
    """
    found: dict[bytes, Quantity] = {}
    for quantity in (*_places(asked), *_tokens(asked), *_history(asked), *_tallies(asked), *more):
        if quantity.varies:
            found.setdefault(quantity.values.tobytes(), quantity)
    return list(found.values())


def _number(name: str, values: Int[np.ndarray, " n"] | Float[np.ndarray, " n"]) -> Quantity:
    return Quantity(name, "number", values.astype(np.float64))


def _places(asked: Asked) -> Iterator[Quantity]:
    """The length, and where the position stands in it."""
    length = asked.lengths[asked.row]
    yield _number("the length of the input", length)
    yield _number("the position (counted from 0)", asked.at)
    yield _number("the number of tokens that follow", length - 1 - asked.at)
    for token in sorted(asked.vocabulary.special):
        there = asked.ids == token
        if (there.sum(1) != 1).any():
            continue
        place, label = there.argmax(1)[asked.row], asked.vocabulary.label(token)
        yield _number(f"the number of tokens before {label}", place)
        yield _number(f"the distance to {label}", np.abs(asked.at - place))
    if asked.positions is not None:
        yield _number("the position id", asked.positions[asked.row, asked.at])


def _tokens(asked: Asked) -> Iterator[Quantity]:
    """Which tokens stand here, before, and in the task's answer; as numbers where tokens are numbers."""
    here, before = _here(asked), _before(asked)
    labels = asked.vocabulary.labels
    yield Quantity("the token", "category", here.astype(np.float64), labels)
    yield Quantity("the token before", "category", np.where(before < 0, np.nan, before), labels)
    answer = _answer(asked)
    if answer is None:
        yield _sets(asked)
    else:
        yield Quantity("the task's answer", "category", answer.astype(np.float64), labels)
    value = _values_of(labels)
    if np.isfinite(value).sum() >= 2:
        yield from _numerals(asked, value, answer)


def _numerals(asked: Asked, value: Float[np.ndarray, " v"], answer: Int[np.ndarray, " n"] | None) -> Iterator[Quantity]:
    """The numbers that tokens spell, and how far they are apart."""
    before = _before(asked)
    named = {
        "the number here": value[_here(asked)],
        "the number before": np.where(before < 0, np.nan, value[before]),
    }
    if answer is not None:
        named["the number expected"] = np.where(answer < len(value), value[np.minimum(answer, len(value) - 1)], np.nan)
    for place in range(min(4, asked.ids.shape[1])):  # what a prompt may begin with
        ids = asked.ids[asked.row, place]
        told = np.where((ids < 0) | (place > asked.at), np.nan, value[ids])
        if np.isfinite(told).any():
            named[f"the number at position {place}"] = told
    yield from (_number(name, values) for name, values in named.items())
    for (one, first), (other, second) in combinations(named.items(), 2):
        yield _number(f"{other} less {one}", second - first)


def _history(asked: Asked) -> Iterator[Quantity]:
    """How often, and how far back, the token and the task's answer occurred before."""
    here = _here(asked)
    answer = _answer(asked)
    times, last, after, successors = _occurrences(asked, here, answer)
    yield _number("the number of earlier occurrences of the token", times)
    yield _number("the distance back to the token's last occurrence", last)
    yield _number("the number of different tokens that followed the token before", successors)
    if answer is not None:
        count, back, _, _ = _occurrences(asked, answer, None, including=True)
        yield _number("the number of occurrences of the task's answer so far", count)
        yield _number("the distance back to the last occurrence of the task's answer", back)
        yield Quantity(
            "the task's answer followed the token's last occurrence",
            "truth",
            after.astype(np.float64),
            denied="the task's answer did not follow the token's last occurrence",
        )
    run, runs = _runs(asked)
    yield _number("the number of equal tokens in a row that end here", run)
    yield _number("the number of times that the token changed so far", runs)


def _occurrences(
    asked: Asked, tokens: Int[np.ndarray, " n"], answer: Int[np.ndarray, " n"] | None, *, including: bool = False
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Bool[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """How often a token stands before each position, how far back last, whether the answer stands right behind that,
    and how many different tokens stand behind its occurrences."""
    width = asked.ids.shape[1]
    n = len(asked)
    times, last, kinds = np.zeros(n), np.full(n, np.nan), np.zeros(n)
    followed = np.zeros(n, np.bool_)
    keys = np.arange(width)
    step = max(1, _CHUNK // width)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        ids, at = asked.ids[asked.row[part]], asked.at[part, None]
        there = (ids == tokens[part, None]) & ((keys <= at) if including else (keys < at))
        times[part] = there.sum(1)
        latest = np.where(there, keys, -1).max(1)
        last[part] = np.where(latest < 0, np.nan, asked.at[part] - latest)
        if answer is not None:
            behind = np.pad(ids[:, 1:], ((0, 0), (0, 1)), constant_values=NOTHING)
            next_to = np.take_along_axis(behind, np.maximum(latest, 0)[:, None], 1)[:, 0]
            followed[part] = (latest >= 0) & (next_to == answer[part])
            seen = np.sort(np.where(there, behind, NOTHING), axis=1)
            kinds[part] = ((seen[:, 1:] != seen[:, :-1]) & (seen[:, 1:] != NOTHING)).sum(1)
    return times, last, followed, kinds


def _runs(asked: Asked) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """How many equal tokens end at each position, and how many changes there were before it."""
    changes = np.pad(asked.ids[:, 1:] != asked.ids[:, :-1], ((0, 0), (1, 0)), constant_values=False)
    places = np.arange(asked.ids.shape[1])
    begins = np.maximum.accumulate(np.where(changes, places, 0), axis=1)
    return (places - begins + 1)[asked.row, asked.at], changes.cumsum(1)[asked.row, asked.at]


def _tallies(asked: Asked) -> Iterator[Quantity]:
    """How many tokens of each kind there are so far, where there are few kinds; and how many kinds."""
    letters = [t for t in range(len(asked.vocabulary)) if t not in asked.vocabulary.special]
    letters = [t for t in letters if (asked.ids == t).any()]
    new = _first_of_its_kind(asked.ids)
    yield _number("the number of different tokens so far", new.cumsum(1)[asked.row, asked.at])
    if not 2 <= len(letters) <= _FEW_LETTERS:
        return
    for when, whole in (("so far", False), ("in all", True)):
        counts = {}
        for token in letters:
            there = (asked.ids == token).cumsum(1)
            counts[asked.vocabulary.label(token)] = there[asked.row, -1] if whole else there[asked.row, asked.at]
        yield from (_number(f"the number of {name!r} {when}", values) for name, values in counts.items())
        for (one, first), (other, second) in combinations(counts.items(), 2):
            yield _number(f"the number of {one!r} less that of {other!r} {when}", first - second)
            far = np.abs(first - second)
            yield _number(f"how far the numbers of {one!r} and {other!r} {when} are apart", far)


def _first_of_its_kind(ids: Int[np.ndarray, "r s"]) -> Bool[np.ndarray, "r s"]:
    """Which tokens did not occur before in their row."""
    order = np.argsort(ids, axis=1, kind="stable")
    ranked = np.take_along_axis(ids, order, 1)
    first = np.pad(ranked[:, 1:] != ranked[:, :-1], ((0, 0), (1, 0)), constant_values=True) & (ranked != NOTHING)
    found = np.zeros(ids.shape, np.bool_)
    np.put_along_axis(found, order, first, 1)
    return found


def _here(asked: Asked) -> Int[np.ndarray, " n"]:
    tokens: Int[np.ndarray, " n"] = asked.ids[asked.row, asked.at]
    return tokens


def _before(asked: Asked) -> Int[np.ndarray, " n"]:
    """The token before each position; −1 at the first."""
    tokens: Int[np.ndarray, " n"] = np.where(asked.at > 0, asked.ids[asked.row, np.maximum(asked.at - 1, 0)], NOTHING)
    return tokens


def _answer(asked: Asked) -> Int[np.ndarray, " n"] | None:
    """The task's answer as an output index; None where answers are no such thing."""
    return asked.expected if asked.expected.ndim == 1 and asked.expected.dtype.kind in "iu" else None


def _sets(asked: Asked) -> Quantity:
    """The task's answer as one of the sets, or values, that occur."""
    found, code = np.unique(asked.expected, axis=0, return_inverse=True)
    if asked.expected.ndim == 1:
        return _number("the task's answer", asked.expected)
    labels = asked.vocabulary.labels
    names = tuple(
        "{" + ", ".join(labels[i] if i < len(labels) else str(i) for i in np.flatnonzero(row)) + "}" for row in found
    )
    return Quantity("the task's answer", "category", code.reshape(-1).astype(np.float64), names)


def _values_of(labels: tuple[str, ...]) -> Float[np.ndarray, " v"]:
    """The numbers that labels spell; NaN where they do not."""
    return np.array([float(x) if x.lstrip("-").isdigit() else np.nan for x in labels])
