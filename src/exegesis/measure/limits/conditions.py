"""The shortest condition on inspectable quantities that tells wrong answers from right ones.

A condition is a few clauses joined by "or", each a few comparisons joined by "and". It pays for what a reader has to be
told: which quantity, and which of the values that it takes. What it saves is the length of the list of failures: once
it is known inside how large a set they lie, log2 C(n, k) bits for k failures among n answers (two-part code, minimum
description length; Rissanen 1978). Failures of one row are one event, so that the list's length is scaled by how many
rows fail for each failure. A condition that saves nothing is not given.

The search is greedy with a beam: a clause grows by the comparison that makes the whole shortest, over every quantity
and every cut; clauses are added while the whole becomes shorter; comparisons that turn out to be idle are taken out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln

from exegesis.measure.limits.quantities import Quantity

Relation: TypeAlias = Literal["at least", "at most", "is", "is not", "holds", "fails"]
Mask: TypeAlias = Bool[np.ndarray, " n"]
_MOST_CATEGORIES = 4  # listed in one comparison
_BEAM, _ATOMS, _CLAUSES = 3, 3, 3


@dataclass(frozen=True)
class Atom:
    """One comparison.

    Attributes:
        quantity: its name.
        relation: how it is compared.
        bound: with what number; 0 for categories and truths.
        among: the categories, where it has some.
        labels: what these are called.
        denied: for truths, the clause that says that it is not so.
        bits: what it costs to say.
    """

    quantity: str
    relation: Relation
    bound: float = 0.0
    among: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    denied: str = ""
    bits: float = 0.0

    def __str__(self) -> str:
        match self.relation:
            case "at least" | "at most":
                return f"{self.quantity} is {self.relation} {self.bound:g}"
            case "is" | "is not":
                *first, last = self.labels
                listed = f"{', '.join(first)} or {last}" if first else last
                return f"{self.quantity} {self.relation} {listed}"
            case "holds":
                return self.quantity
            case _:
                return self.denied

    def holds(self, quantity: Quantity) -> Mask:
        """Where it holds. A quantity that has no value somewhere satisfies nothing there."""
        values = quantity.values
        match self.relation:
            case "at least":
                found = values >= self.bound
            case "at most":
                found = values <= self.bound
            case "is":
                found = np.isin(values, self.among)
            case "is not":
                found = ~np.isin(values, self.among) & ~np.isnan(values)
            case _:
                found = values == (1 if self.relation == "holds" else 0)
        return np.asarray(found, np.bool_)


@dataclass(frozen=True)
class Condition:
    """Clauses joined by "or", each of comparisons joined by "and"."""

    clauses: tuple[tuple[Atom, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.clauses)

    def __str__(self) -> str:
        return ", or ".join(" and ".join(map(str, clause)) for clause in self.clauses) or "never"

    @property
    def bits(self) -> float:
        """What it costs to say."""
        return sum(2.0 + a.bits for clause in self.clauses for a in clause)

    def holds(self, known: Sequence[Quantity], count: int) -> Mask:
        """Where it holds, [count]."""
        by_name = {q.name: q for q in known}
        found = np.zeros(count, np.bool_)
        for clause in self.clauses:
            here = np.ones(count, np.bool_)
            for atom in clause:
                here &= atom.holds(by_name[atom.quantity]) if atom.quantity in by_name else False
            found |= here
        return found


def list_bits(
    wrong: Float[np.ndarray, "*o"] | float, count: Float[np.ndarray, "*o"] | float, scale: float
) -> Float[np.ndarray, "*o"]:
    """Bits to say which of `count` answers are wrong, when `wrong` are."""
    w, n = np.asarray(wrong, np.float64), np.asarray(count, np.float64)
    choose = (gammaln(n + 1) - gammaln(w + 1) - gammaln(n - w + 1)) / math.log(2)
    return np.asarray(scale * choose + np.log2(n + 1))


def scale_of(wrong: Mask, row: Int[np.ndarray, " n"]) -> float:
    """How many rows fail for each wrong answer: what one wrong answer counts for."""
    return len(np.unique(row[wrong])) / max(1, int(wrong.sum()))


class Search:
    """Looks for conditions on some quantities.

    The values of each quantity are numbered in order, and the numbers of all quantities follow each other, so that the
    failures and answers at every value of every quantity are counted at once.

    Args:
        known: the quantities.
        row: the row that each scored position belongs to, [n].
    """

    def __init__(self, known: Sequence[Quantity], row: Int[np.ndarray, " n"]) -> None:
        self.known = known
        self.row = row
        self.distinct = [np.unique(q.values[~np.isnan(q.values)]) for q in known]
        sizes = np.array([len(d) for d in self.distinct])
        self.starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.total = int(sizes.sum())
        self.codes = np.stack([self._coded(k) for k in range(len(known))], axis=1)
        self.of = np.repeat(np.arange(len(known)), sizes)
        naming = math.log2(len(known)) + 1
        truths = np.array([q.kind == "truth" for q in known])
        self.bits = (naming + np.where(truths, 0.0, np.log2(sizes)))[self.of]
        self.is_number = np.array([q.kind == "number" for q in known])[self.of]

    def _coded(self, k: int) -> Int[np.ndarray, " n"]:
        """The numbers of a quantity's values; one past the last of all quantities for none."""
        values = self.known[k].values
        codes = self.starts[k] + np.searchsorted(self.distinct[k], values)
        return np.where(np.isnan(values), self.total, codes)

    def shortest(self, wrong: Mask) -> Condition:
        """The condition with which the failures are told in the fewest bits; an empty one where none makes it less."""
        n = len(wrong)
        scale = scale_of(wrong, self.row)
        best = Condition(())
        length = float(list_bits(float(wrong.sum()), float(n), scale))
        covered = np.zeros(n, np.bool_)
        for _ in range(_CLAUSES):
            clause = self._clause(wrong, covered, scale, best.bits)
            if clause is None:
                break
            grown = Condition((*best.clauses, clause))
            now = self._length(grown, wrong, scale)
            if now >= length:
                break
            best, length, covered = grown, now, grown.holds(self.known, n)
        return self._trimmed(best, wrong, scale)

    def _length(self, condition: Condition, wrong: Mask, scale: float) -> float:
        """Bits of a condition and of the failures told with it."""
        inside = condition.holds(self.known, len(wrong))
        return condition.bits + float(
            list_bits(float(wrong[inside].sum()), float(inside.sum()), scale)
            + list_bits(float(wrong[~inside].sum()), float((~inside).sum()), scale)
        )

    def _clause(self, wrong: Mask, covered: Mask, scale: float, before: float) -> tuple[Atom, ...] | None:
        """The best further clause, by a beam over its comparisons."""
        beam: list[tuple[float, tuple[Atom, ...], Mask]] = [(math.inf, (), ~covered)]
        best: tuple[float, tuple[Atom, ...]] | None = None
        for _ in range(_ATOMS):
            grown: list[tuple[float, tuple[Atom, ...], Mask]] = []
            for _, atoms, mask in beam:
                said = before + sum(2.0 + a.bits for a in atoms)
                for length, atom, quantity in self._atoms(mask, wrong, covered, scale, said):
                    if atom.quantity not in {a.quantity for a in atoms if a.relation == atom.relation}:
                        grown.append((length, (*atoms, atom), mask & atom.holds(quantity)))
            grown.sort(key=lambda g: g[0])
            beam = grown[:_BEAM]
            if not beam:
                break
            if best is None or beam[0][0] < best[0]:
                best = beam[0][:2]
        return None if best is None else best[1]

    def _atoms(
        self, mask: Mask, wrong: Mask, covered: Mask, scale: float, said: float
    ) -> list[tuple[float, Atom, Quantity]]:
        """The best comparisons within a mask: one of each quantity, the shortest few of all."""
        length = _Length(
            (float(wrong.sum()), float(len(wrong))), (float(wrong[covered].sum()), float(covered.sum())), scale, said
        )
        bad, count = self._counted(mask & wrong), self._counted(mask)
        first, second = self._one_value(bad), self._one_value(count)
        each = [length(b, c, self.bits) for b, c in zip(first, second, strict=True)]
        found = [np.minimum.reduceat(e, self.starts) for e in each]
        best = np.minimum(*found)
        sets = {
            k: self._some(k, bad, count, length)
            for k, q in enumerate(self.known)
            if q.kind == "category" and len(self.distinct[k]) > 2
        }
        for k, (value, _) in sets.items():
            best[k] = min(best[k], value)
        atoms = []
        for k in np.argsort(best, kind="stable")[:_BEAM].tolist():
            if not math.isfinite(best[k]):
                continue
            if k in sets and sets[k][0] <= min(found[0][k], found[1][k]):
                atom = sets[k][1]
            else:
                side = int(found[1][k] < found[0][k])
                start = int(self.starts[k])
                at = start + int(np.argmin(each[side][start : start + len(self.distinct[k])]))
                atom = self._atom(k, at, side)
            atoms.append((float(best[k]), atom, self.known[k]))
        return atoms

    def _counted(self, mask: Mask) -> Float[np.ndarray, " total"]:
        """How many positions of a mask hold each value of each quantity."""
        return np.bincount(self.codes[mask].reshape(-1), minlength=self.total + 1)[: self.total].astype(np.float64)

    def _one_value(
        self, counts: Float[np.ndarray, " total"]
    ) -> tuple[Float[np.ndarray, " total"], Float[np.ndarray, " total"]]:
        """How many lie inside of the comparisons with each value: at most it and at least it, or it and all others."""
        running = np.cumsum(counts)
        before = np.concatenate([[0.0], running])[self.starts][self.of]
        whole = np.add.reduceat(counts, self.starts)[self.of]
        below = running - before
        return (
            np.where(self.is_number, below, counts),
            np.where(self.is_number, whole - below + counts, whole - counts),
        )

    def _some(
        self, k: int, bad: Float[np.ndarray, " total"], count: Float[np.ndarray, " total"], length: _Length
    ) -> tuple[float, Atom]:
        """The best of a few categories that fail the oftenest together."""
        part = slice(int(self.starts[k]), int(self.starts[k]) + len(self.distinct[k]))
        order = np.argsort(-bad[part] / np.maximum(count[part], 1), kind="stable")[:_MOST_CATEGORIES]
        bits = self.bits[part][: len(order)] + math.log2(len(self.distinct[k])) * np.arange(len(order))
        found = length(np.cumsum(bad[part][order]), np.cumsum(count[part][order]), bits)
        at = int(np.argmin(found))
        return float(found[at]), self._listed(k, order[: at + 1], "is", float(bits[at]))

    def _listed(self, k: int, chosen: Int[np.ndarray, " c"], relation: Relation, bits: float) -> Atom:
        values = np.sort(self.distinct[k][chosen]).astype(int)
        names = self.known[k].labels
        labels = tuple(names[v] if v < len(names) else str(v) for v in values)
        return Atom(self.known[k].name, relation, among=tuple(values.tolist()), labels=labels, bits=bits)

    def _atom(self, k: int, at: int, side: int) -> Atom:
        """The comparison with one value, on either side."""
        quantity, value, bits = self.known[k], at - int(self.starts[k]), float(self.bits[at])
        if quantity.kind == "number":
            return Atom(quantity.name, ("at most", "at least")[side], float(self.distinct[k][value]), bits=bits)
        if quantity.kind == "category":
            return self._listed(k, np.array([value]), ("is", "is not")[side], bits)
        holds = (self.distinct[k][value] == 1) == (side == 0)
        return Atom(quantity.name, "holds" if holds else "fails", denied=quantity.denied, bits=bits)

    def _trimmed(self, condition: Condition, wrong: Mask, scale: float) -> Condition:
        """Without comparisons, or clauses, whose absence makes the whole no longer."""
        best, length = condition, self._length(condition, wrong, scale)
        while True:
            options = list(_shorter(best))
            lengths = [self._length(o, wrong, scale) for o in options]
            if not lengths or min(lengths) > length:
                return best
            best, length = options[int(np.argmin(lengths))], min(lengths)


@dataclass(frozen=True)
class _Length:
    """How long the whole is with a comparison.

    Attributes:
        whole: failures and answers.
        covered: those of them that other clauses cover.
        scale: what a failure counts for.
        said: bits of what is said already.
    """

    whole: tuple[float, float]
    covered: tuple[float, float]
    scale: float
    said: float

    def __call__(
        self, bad: Float[np.ndarray, " o"], count: Float[np.ndarray, " o"], bits: Float[np.ndarray, " o"]
    ) -> Float[np.ndarray, " o"]:
        """Bits, with so many failures and answers inside. What holds where the network is right more often is the
        negation of what is sought: infinitely many."""
        w, c = self.covered[0] + bad, self.covered[1] + count
        rest, others = self.whole[0] - w, self.whole[1] - c
        told = list_bits(w, c, self.scale) + list_bits(rest, others, self.scale) + bits + 2.0 + self.said
        return np.where(w * others > rest * c, told, np.inf)


def _shorter(condition: Condition) -> Iterator[Condition]:
    """Without one comparison, or one clause."""
    for c, clause in enumerate(condition.clauses):
        others = (condition.clauses[:c], condition.clauses[c + 1 :])
        yield Condition((*others[0], *others[1]))
        for a in range(len(clause) if len(clause) > 1 else 0):
            yield Condition((*others[0], (*clause[:a], *clause[a + 1 :]), *others[1]))
