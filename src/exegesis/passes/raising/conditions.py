"""Learning a boolean condition from observations: which short formula over the program's variables says when?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exegesis.passes.raising.balances import balance
from exegesis.passes.raising.formulas import Above, All, Formula, IsIn, Not, Some
from exegesis.passes.raising.observations import Observations, error_bits
from exegesis.passes.raising.separate import separate

Mask = NDArray[np.bool_]

_REUSE_BITS = 4.0
_MAX_COLUMNS = 60
_SHORT = 80.0  # bits of a formula over categories that needs no rival
_FEW = 8  # classes of a variable that is tried alone
_WHOLE = 1e-4  # how far shares may be from adding up


@dataclass(frozen=True)
class Learned:
    """A formula, what it costs to state, and how many observations it gets wrong."""

    formula: Formula
    bits: float
    errors: int

    def total(self, n: int) -> float:
        """Description length of the formula and of its exceptions."""
        return self.bits + error_bits(self.errors, n, 2)


def learn(
    target: Mask,
    seen: Observations,
    *,
    tolerance: float,
    known: Sequence[Formula] = (),
    depth: int = 2,
    linear: bool = True,
) -> Learned | None:
    """The formula with the shortest description (its own, its variables', and that of its exceptions) for a target,
    or None.

    Tried in order: constant; a known formula or its negation; membership of one category; a category that settles some
    cases, and a formula of its own for the rest; a sparse linear threshold; both of these.

    Args:
        target: [n] booleans.
        seen: the variables.
        tolerance: share of observations a formula may get wrong.
        known: formulas that the program states anyway, so that naming one again is cheap.
        depth: how deep categories may be nested.
        linear: whether thresholds are tried.
    """
    n = len(target)
    found: list[Learned] = []

    def offer(formula: Formula, bits: float | None = None) -> None:
        errors = int((formula.holds(seen.values) != target).sum())
        if errors <= tolerance * n:
            found.append(
                Learned(formula, formula.bits + seen.price_of(formula.variables) if bits is None else bits, errors)
            )

    offer(All())
    offer(Some())
    for formula in known:
        offer(formula, _REUSE_BITS)
        offer(Not(formula), _REUSE_BITS + 1)
    for name in (c for c in seen.categories if linear or c not in seen.places):
        offer(_membership(target, name, seen))

    def settled(bits: float) -> bool:
        return any(f.errors == 0 and f.bits <= bits for f in found)

    if depth and not settled(np.inf):
        for split in _splits(target, seen, tolerance, depth - 1, linear=False):
            offer(split)
    if linear and not settled(_SHORT):
        for threshold in _thresholds(target, seen, tolerance) or _balances(target, seen, tolerance):
            offer(threshold)
        if depth and not settled(np.inf):
            for split in _splits(target, seen, tolerance, depth - 1, linear=True):
                offer(split)
    return min(found, key=lambda f: (f.total(n), f.bits), default=None)


def _membership(target: Mask, name: str, seen: Observations) -> Formula:
    """The set of categories in which the target mostly holds, or the negation of its complement when that is
    shorter."""
    values, size = seen.categories[name] + 1, seen.sizes[name] + 1
    total = np.bincount(values, minlength=size)
    held = np.bincount(values, target.astype(float), minlength=size)
    members = np.flatnonzero((held * 2 > total) & (total > 0)) - 1
    others = np.flatnonzero((held * 2 <= total) & (total > 0)) - 1
    if len(members) <= len(others):
        return IsIn(name, tuple(members.tolist()), seen.sizes[name])
    return Not(IsIn(name, tuple(others.tolist()), seen.sizes[name]))


def _thresholds(target: Mask, seen: Observations, tolerance: float) -> list[Formula]:
    """Sparse linear thresholds over the counts or shares of one variable; over all together where none will do."""
    if target.all() or not target.any():
        return []
    keys = {
        name: [(name, k) for k in range(values.shape[1]) if np.ptp(values[:, k]) > 0]
        for name, values in seen.counts.items()
    }
    alone = [f for own in keys.values() if len(own) <= _FEW for f in _separated(target, seen, own, tolerance)]
    return alone or _separated(target, seen, [k for own in keys.values() for k in own], tolerance)


def _separated(target: Mask, seen: Observations, keys: Sequence[tuple[str, int]], tolerance: float) -> list[Formula]:
    if not keys:
        return []
    columns = np.stack([seen.counts[name][:, k] for name, k in keys], 1)
    if len(keys) > _MAX_COLUMNS:
        centred = (columns - columns.mean(0)) / columns.std(0)
        relevance = np.abs(centred.T @ (target - target.mean()))
        best = np.sort(np.argsort(-relevance, kind="stable")[:_MAX_COLUMNS])
        keys, columns = [keys[i] for i in best], columns[:, best]
    found = separate(columns, target, tolerance=tolerance, seed=seen.seed)[:6]
    return [Above(tuple((w, *keys[a]) for w, a in zip(s.weights, s.active, strict=True)), s.threshold) for s in found]


def _balances(target: Mask, seen: Observations, tolerance: float) -> list[Formula]:
    """A linear threshold with whatever coefficients it takes, over shares and what may shift it."""
    if not seen.offsets:
        return []
    shares = {name: v for name, v in seen.counts.items() if v.max() <= 1 and np.ptp(v.sum(1)) < _WHOLE}
    keys: list[tuple[tuple[int, str, int], ...]]
    keys = [((1, name, k),) for name, v in shares.items() for k in range(v.shape[1]) if np.ptp(v[:, k]) > 0]
    sets = [[i for i, key in enumerate(keys) if key[0][1] == name] for name in shares]
    columns = [shares[name][:, k] for ((_, name, k),) in keys]
    for given, taken in seen.offsets:
        for k in np.unique(seen.categories[taken]).tolist():
            columns.append((seen.categories[given] == k) * 1.0 - (seen.categories[taken] == k))
            keys.append(((1, given, k), (-1, taken, k)))
    if not keys or len(keys) > _MAX_COLUMNS:
        return []
    found = balance(np.stack(columns, 1), target, tolerance=tolerance, seed=seen.seed, shares=sets)
    if found is None:
        return []
    terms = [(w * sign, v, k) for w, a in zip(found.weights, found.active, strict=True) for sign, v, k in keys[a]]
    return [Above(tuple(terms), found.threshold)]


def _splits(target: Mask, seen: Observations, tolerance: float, depth: int, *, linear: bool) -> list[Formula]:
    """What each category can settle."""
    found = (
        _split(target, name, seen, tolerance, depth, linear)
        for name in seen.categories
        if linear or name not in seen.places
    )
    return [f for f in found if f is not None]


def _split(target: Mask, name: str, seen: Observations, tolerance: float, depth: int, linear: bool) -> Formula | None:
    """`name in pure or (name not in never and rest)`: a category settles some cases, another formula the rest."""
    values, size = seen.categories[name] + 1, seen.sizes[name] + 1
    total = np.bincount(values, minlength=size)
    held = np.bincount(values, target.astype(float), minlength=size)
    pure = np.flatnonzero((total > 0) & (held >= total * (1 - tolerance))) - 1
    never = np.flatnonzero((total > 0) & (held <= total * tolerance)) - 1
    mixed = np.flatnonzero((total > 0) & (held > total * tolerance) & (held < total * (1 - tolerance))) - 1
    if not len(mixed) or not len(pure) + len(never):
        return None
    undecided = np.isin(seen.categories[name], mixed)
    inner = learn(target[undecided], seen.at(undecided), tolerance=tolerance, depth=depth, linear=linear)
    if inner is None:
        return None
    best: Formula = inner.formula
    if len(never):
        within: Formula = IsIn(name, tuple(mixed.tolist()), seen.sizes[name])
        if len(mixed) > len(never) + len(pure):
            within = Not(IsIn(name, tuple(sorted((*never.tolist(), *pure.tolist()))), seen.sizes[name]))
        best = All((within, best))
    if len(pure):
        best = Some((IsIn(name, tuple(pure.tolist()), seen.sizes[name]), best))
    return best
