"""Readout idioms: how answers follow from variables. Each proposes; the shortest total description wins.

An idiom is a function `(Observations, tolerance) -> Readout | None`; add it to `ARGMAX` or `SIGN` to have it tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.branches import expressions, grow, most
from exegesis.passes.raising.conditions import learn
from exegesis.passes.raising.formulas import Formula, Not, integer_bits
from exegesis.passes.raising.observations import Observations, error_bits

_REFER = 6.0
_MAX_ROWS = 24
_MAX_CLASSES = 8
CASES = "branched"


@dataclass(frozen=True)
class Readout:
    """A proposed way from variables to answers.

    Attributes:
        idiom: which one it is.
        bits: what it costs to state.
        said: its answers at the observations.
        write: drafts its nodes and returns the id of the answer.
    """

    idiom: str
    bits: float
    said: NDArray[np.generic]
    write: Callable[[Draft], str]

    def errors(self, seen: Observations) -> int:
        """At how many observations it differs from the network."""
        wrong = self.said != seen.answers
        return int((wrong.any(1) if wrong.ndim == 2 else wrong).sum())

    def total(self, seen: Observations) -> float:
        """Description length of the readout and of its exceptions."""
        outcomes = seen.answers.shape[1] if seen.answers.ndim == 2 else int(seen.answers.max()) + 1
        return self.bits + error_bits(self.errors(seen), len(seen), outcomes)


Idiom = Callable[[Observations, float, Type], list[Readout]]


def always(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """One answer, whatever the input."""
    value = int(np.bincount(seen.answers.astype(np.int64)).argmax())
    like = next(iter(seen.categories))
    return [
        Readout(
            "always",
            _REFER + integer_bits(value),
            np.full(len(seen), value),
            lambda d: d.add("symbolic.always", [like], answer, {"value": value}, hint="answer"),
        )
    ]


def copied(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """The answer is a variable's own category, but for a few that are renamed."""
    found = []
    for name, values in seen.categories.items():
        table = _majority(values, seen.answers.astype(np.int64))
        moved = [[k, v] for k, v in sorted(table.items()) if k != v]
        if len(moved) > _MAX_ROWS or len(moved) * 2 > max(len(table), 2):
            continue
        bits = _REFER + 1 + len(moved) * 2 * log2(seen.sizes[name] + 1) + seen.price_of([name])
        said = _apply({m[0]: m[1] for m in moved}, values)

        def write(d: Draft, name: str = name, moved: list[list[int]] = moved) -> str:
            if not moved:
                return name
            return d.add("symbolic.relabel", [name], answer, {"table": moved}, hint="answer")

        found.append(Readout("copied", bits, said, write))
    return found


def looked_up(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """A short table over one category."""
    found = []
    for name, values in seen.categories.items():
        table = _majority(values, seen.answers.astype(np.int64))
        other = max(set(table.values()), key=lambda v: (list(table.values()).count(v), -v))
        rows = [[k, v] for k, v in sorted(table.items()) if v != other]
        if len(rows) > _MAX_ROWS:
            continue
        outcomes = int(seen.answers.max()) + 1
        bits = (
            _REFER
            + integer_bits(other)
            + len(rows) * (log2(seen.sizes[name] + 1) + log2(outcomes + 1))
            + seen.price_of([name])
        )
        said = np.array([table.get(int(v), other) for v in values])

        def write(d: Draft, name: str = name, rows: list[list[int]] = rows, other: int = other) -> str:
            return d.add("symbolic.lookup", [name], answer, {"rows": rows, "other": other}, hint="answer")

        found.append(Readout("looked_up", bits, said, write))
    return found


def largest(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """The category of which most was seen, among those that are ever an answer."""
    found = []
    outputs = np.unique(seen.answers.astype(np.int64))
    for name, values in seen.counts.items():
        among = outputs[outputs < values.shape[1]]
        if len(among) < 2:
            continue
        among = _as_range(among)
        said = most(values, among)
        bits = 2 * _REFER + 2 * integer_bits(len(among)) + seen.price_of([name])

        def write(d: Draft, name: str = name, among: NDArray[np.int64] = among) -> str:
            return d.add("symbolic.largest", [name], answer, {"among": among.tolist()}, hint="answer")

        found.append(Readout("largest", bits, said, write))
    return found


def chosen(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """A decision list: the answer of the first condition that holds; the class that is cheapest to tell from the rest
    comes first."""
    classes = np.unique(seen.answers.astype(np.int64)).tolist()
    if not 2 <= len(classes) <= _MAX_CLASSES:
        return []
    rest = np.ones(len(seen), bool)
    said = np.zeros(len(seen), np.int64)
    conditions: list[Formula] = []
    gives: list[int] = []
    bits = _REFER
    while len(classes) > 1:
        left = seen.at(rest)
        learned = {v: learn(left.answers == v, left, tolerance=tolerance, known=conditions) for v in classes}
        found = {v: c for v, c in learned.items() if c is not None}
        if not found:
            return []
        value = min(found, key=lambda v: found[v].total(len(left)))
        hit = rest & found[value].formula.holds(seen.values)
        said[hit], rest = value, rest & ~hit
        conditions.append(found[value].formula)
        gives.append(value)
        bits += found[value].bits + integer_bits(value)
        classes.remove(value)
    said[rest] = classes[0]

    def write(d: Draft) -> str:
        nodes = [c.draft(d) for c in conditions]
        return d.add("symbolic.choose", nodes, answer, {"gives": gives, "other": classes[0]}, hint="answer")

    return [Readout("chosen", bits, said, write)]


def allowed(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """For each output its own condition; outputs that share one, or negate another's, reuse it."""
    n, outputs = seen.answers.shape
    per_output, always, bits = {}, [], _REFER
    said = np.zeros((n, outputs), bool)
    known: list[Formula] = []
    balance = np.abs(seen.answers.mean(0) - 0.5)
    for output in np.argsort(balance, kind="stable"):
        target = seen.answers[:, output].astype(np.bool_)
        learned = learn(target, seen, tolerance=tolerance, known=known)
        if learned is None:
            return []
        said[:, output] = learned.formula.holds(seen.values)
        if said[:, output].all():
            always.append(int(output))
        elif said[:, output].any():
            per_output[int(output)] = learned.formula
            bits += learned.bits
            if not isinstance(learned.formula, Not):
                known.append(learned.formula)
    like = next(iter(seen.categories))

    def write(d: Draft) -> str:
        gives = sorted(per_output)
        nodes = [per_output[o].draft(d) for o in gives]
        return d.add(
            "symbolic.allow", [like, *nodes], answer, {"gives": gives, "always": sorted(always)}, hint="answer"
        )

    return [Readout("allowed", bits + 2 * outputs, said, write)]


def branched(seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    """Cases: one expression here, another there."""
    exprs = expressions(seen, answer, seen.classes)
    tree = grow(seen, exprs, np.ones(len(seen), bool), tolerance=tolerance, depth=3)
    if tree is None or tree.leaf is not None:
        return []
    return [Readout(CASES, tree.bits, tree.said(seen), lambda d: tree.write(d, answer))]


ARGMAX: tuple[Idiom, ...] = (always, copied, looked_up, largest, chosen)
SIGN: tuple[Idiom, ...] = (allowed,)
LAST_RESORT: tuple[Idiom, ...] = (branched,)


def propose(seen: Observations, *, tolerance: float, answer: Type) -> list[Readout]:
    """Every readout within the tolerance, shortest total description first; cases only where nothing plain will do."""
    if seen.answers.ndim == 2:
        return _within(SIGN, seen, tolerance, answer)
    return _within(ARGMAX, seen, tolerance, answer) or _within(LAST_RESORT, seen, tolerance, answer)


def _within(idioms: tuple[Idiom, ...], seen: Observations, tolerance: float, answer: Type) -> list[Readout]:
    found = [r for idiom in idioms for r in idiom(seen, tolerance, answer)]
    good = [r for r in found if r.errors(seen) <= tolerance * len(seen)]
    return sorted(good, key=lambda r: r.total(seen))


def _majority(values: NDArray[np.int64], answers: NDArray[np.int64]) -> dict[int, int]:
    """The commonest answer for each category that occurs."""
    pairs, counts = np.unique(np.stack([values, answers], 1), axis=0, return_counts=True)
    order = np.argsort(counts, kind="stable")
    return {int(v): int(a) for v, a in pairs[order]}


def _apply(table: dict[int, int], values: NDArray[np.int64]) -> NDArray[np.int64]:
    keys, inverse = np.unique(values, return_inverse=True)
    return np.array([table.get(int(k), int(k)) for k in keys])[inverse]


def _as_range(among: NDArray[np.int64]) -> NDArray[np.int64]:
    """A run of neighbours that covers the classes when few gaps have to be filled (unseen answers of the same kind)."""
    run = np.arange(among[0], among[-1] + 1)
    return run if len(run) - len(among) <= max(2, len(among) // 4) else among
