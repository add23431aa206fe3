"""Readouts with cases: one expression here, another there, and the condition that tells which.

Expressions are whole answers (a constant, a variable, a variable plus one, the largest count). Cases are nested up to
three deep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.conditions import Learned, learn
from exegesis.passes.raising.formulas import integer_bits
from exegesis.passes.raising.observations import Observations, error_bits

Mask = NDArray[np.bool_]
Answers = NDArray[np.int64]

_REFER = 6.0
_CONSTANTS = 4
_SHIFTS = (1, -1)
_TRIED = 4


@dataclass(frozen=True)
class Expression:
    """A way to answer without cases: its cost, what it says at every observation, and how it is written."""

    bits: float
    said: Answers
    write: Callable[[Draft], str]


@dataclass(frozen=True)
class Tree:
    """An expression, or a condition with a tree for either side."""

    leaf: Expression | None = None
    condition: Learned | None = None
    yes: Tree | None = None
    no: Tree | None = None

    @property
    def bits(self) -> float:
        """What the tree costs to state."""
        if self.leaf is not None:
            return self.leaf.bits
        assert self.condition is not None
        assert self.yes is not None
        assert self.no is not None
        return _REFER + self.condition.bits + self.yes.bits + self.no.bits

    def said(self, seen: Observations) -> Answers:
        """Its answers at the observations that it was grown on."""
        if self.leaf is not None:
            return self.leaf.said
        assert self.condition is not None
        assert self.yes is not None
        assert self.no is not None
        return np.where(self.condition.formula.holds(seen.values), self.yes.said(seen), self.no.said(seen))

    def write(self, draft: Draft, answer: Type) -> str:
        """Drafts its nodes and returns the id of the answer."""
        if self.leaf is not None:
            return self.leaf.write(draft)
        assert self.condition is not None
        assert self.yes is not None
        assert self.no is not None
        test = self.condition.formula.draft(draft)
        sides = [self.yes.write(draft, answer), self.no.write(draft, answer)]
        return draft.add("symbolic.prefer", [test, *sides], answer, hint="answer")


def expressions(seen: Observations, answer: Type, classes: int) -> list[Expression]:
    """Everything that answers without cases."""
    return [*_constants(seen, answer), *_variables(seen, answer, classes), *_largest(seen, answer)]


def _constants(seen: Observations, answer: Type) -> Iterator[Expression]:
    values, counts = np.unique(seen.answers.astype(np.int64), return_counts=True)
    like = next(iter(seen.categories))
    for value in values[np.argsort(-counts, kind="stable")][:_CONSTANTS].tolist():

        def write(d: Draft, value: int = value) -> str:
            return d.add("symbolic.always", [like], answer, {"value": value}, hint="constant")

        yield Expression(_REFER + integer_bits(value), np.full(len(seen), value), write)


def _variables(seen: Observations, answer: Type, classes: int) -> Iterator[Expression]:
    for name, values in seen.categories.items():
        if seen.sizes[name] != classes:
            continue
        cost = _REFER + seen.price_of([name])
        yield Expression(cost, values, partial(_itself, name))
        for by in _SHIFTS:
            moved = values + by
            moved = np.where((values >= 0) & (moved >= 0) & (moved < classes), moved, -1)

            def write(d: Draft, name: str = name, by: int = by) -> str:
                return d.add(
                    "symbolic.shift", [name], answer, {"by": by}, hint=f"{name}_{'next' if by > 0 else 'before'}"
                )

            yield Expression(cost + _REFER, moved, write)


def _itself(name: str, draft: Draft) -> str:
    return name


def _largest(seen: Observations, answer: Type) -> Iterator[Expression]:
    outputs = np.unique(seen.answers.astype(np.int64))
    for name, values in seen.counts.items():
        among = outputs[outputs < values.shape[1]]
        occurring = among[values[:, among].max(0) > 0] if len(among) else among
        for chosen in {tuple(among.tolist()), tuple(occurring.tolist())}:
            if len(chosen) < 2:
                continue
            ids = np.array(chosen)

            def write(d: Draft, name: str = name, chosen: tuple[int, ...] = chosen) -> str:
                return d.add("symbolic.largest", [name], answer, {"among": list(chosen)}, hint="commonest")

            yield Expression(2 * _REFER + seen.price_of([name]), most(values, ids), write)


def most(values: NDArray[np.float64], ids: NDArray[np.int64]) -> Answers:
    """Which of some classes has most, [n]; −1 where several have as much, since nothing then decides between them."""
    among = values[:, ids]
    best = among.max(1, keepdims=True)
    return np.where((among == best).sum(1) == 1, ids[among.argmax(1)], -1)


def grow(seen: Observations, exprs: list[Expression], where: Mask, *, tolerance: float, depth: int) -> Tree | None:
    """The cheapest tree over these expressions that answers rightly where the mask holds, or None."""
    right = {k: (e.said == seen.answers)[where] for k, e in enumerate(exprs)}
    n = int(where.sum())
    enough = [k for k, r in right.items() if (~r).sum() <= tolerance * n]
    if enough:
        return Tree(leaf=exprs[min(enough, key=lambda k: exprs[k].bits + error_bits(int((~right[k]).sum()), n, 2))])
    if depth == 0:
        return None
    covered = sorted(right, key=lambda k: (-int(right[k].sum()), exprs[k].bits))
    trees = (_with_case(seen, exprs, where, k, tolerance, depth) for k in covered[:_TRIED])
    return min((t for t in trees if t is not None), key=lambda t: t.bits, default=None)


def _with_case(
    seen: Observations, exprs: list[Expression], where: Mask, k: int, tolerance: float, depth: int
) -> Tree | None:
    """`if condition: expression k, else: the rest`; where k and the rest are both right, the condition is free."""
    right = exprs[k].said == seen.answers
    if not (right & where).any():
        return None
    others = [e for j, e in enumerate(exprs) if j != k]
    wrong = where & ~right
    partner = max(others, key=lambda e: int((e.said == seen.answers)[wrong].sum()))
    free = right & (partner.said == seen.answers)
    decided = where & ~free
    learned = learn(right[decided], seen.at(decided), tolerance=tolerance)
    if learned is None:
        return None
    says = learned.formula.holds(seen.values)
    left = where & ~says
    if not left.any() or not (where & says).any():
        return None
    rest = grow(seen, others, left, tolerance=tolerance, depth=depth - 1)
    return None if rest is None else Tree(condition=learned, yes=Tree(leaf=exprs[k]), no=rest)
