"""Which group, if any, a network computes in: read off the table of its answers to all pairs of tokens.

A table [n, n] of answers is that of a group up to names when one can call the rows, the columns and the answers by
elements so that answer = row · column (an isotope; A. A. Albert 1943, "Quasigroups I"). Names are found by taking one
row and one column as the identity. Cyclic and dihedral groups are recognised by an element that generates enough,
symmetric and alternating ones by two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from math import gcd
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from exegesis.measure.permutation_groups import conjugations, degrees_of, permutation_names, permutation_table

Table: TypeAlias = Int[np.ndarray, "n n"]
Names: TypeAlias = Int[np.ndarray, " n"]
Kind: TypeAlias = Literal["cyclic", "dihedral", "symmetric", "alternating", "other"]

_ANCHORS = 4  # rows and columns that are tried as the identity, where the table has errors
_GENERATORS = 8
_TRIPLES = 4096  # triples on which the associative law is tested


@dataclass(frozen=True, eq=False)
class Group:
    """A group that a table of answers belongs to, and what rows, columns and answers are called in it.

    Attributes:
        kind: `cyclic`: elements 0 … n-1 add modulo n; `dihedral`: element k < n/2 turns by k, element n/2 + k flips
            first and then turns by k; `symmetric` and `alternating`: element k is the k-th permutation (the k-th even
            one) in lexicographic order; `other`: none of these, and elements are called as the answers.
        order: n.
        period: how many turns there are: n, or n/2 for a dihedral group; how many points are permuted.
        rows, columns, answers: the element that each row, column and answer stands for.
        agreement: share of the table that `answer = row · column` predicts.
        associative: share of triples of elements that obey the associative law.
        swapped: whether answer = column · row instead, because names are plainer so.
    """

    kind: Kind
    order: int
    period: int
    rows: Names
    columns: Names
    answers: Names
    agreement: float
    associative: float
    swapped: bool = False

    @property
    def plain(self) -> int:
        """How many rows, columns and answers are called by themselves, or at least alike."""
        own = np.arange(self.order)
        same = sum(int((x == own).sum()) for x in (self.rows, self.columns, self.answers))
        return same + int((self.rows == self.columns).sum() + (self.rows == self.answers).sum())


def find_group(table: Table, *, seed: int = 0) -> Group | None:
    """The group whose table this is, with the plainest names; None where the table is no group's, not even nearly.

    Args:
        table: [n, n] numbers of answers, from 0 to n-1; errors of a few per cent are borne.
        seed: picks triples for the associative law.
    """
    found = _find(table, seed)
    if found is None or found.kind in ("cyclic", "other"):
        return found
    other = _find(table.T, seed)
    if other is None or (other.agreement, other.plain) <= (found.agreement, found.plain):
        return found
    return replace(other, rows=other.columns, columns=other.rows, swapped=True)


def _find(table: Table, seed: int) -> Group | None:
    n = len(table)
    rng = np.random.default_rng(seed)
    best: Group | None = None
    for row, column in _anchors(table):
        product = _product(table, row, column)
        if product is None or not _is_nearly_latin(product) or (associative := _associativity(product, rng)) < 0.9:
            continue
        group = _recognised(table, product, row, column, associative)
        if best is None or group.agreement > best.agreement:
            best = group
        if best.agreement == 1.0:
            break
    return best if n > 1 else None


def multiplied(kind: Kind, period: int, a: Int[np.ndarray, "..."], b: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """a · b in the group of a kind with so many turns, or points."""
    if kind == "cyclic":
        return np.asarray((a + b) % period)
    if kind == "dihedral":
        flipped = a >= period
        turn = (a % period + np.where(flipped, -1, 1) * (b % period)) % period
        return np.asarray(turn + period * (flipped != (b >= period)))
    return np.asarray(permutation_table(period, kind == "alternating")[a, b])


def _anchors(table: Table) -> Iterator[tuple[int, int]]:
    """Rows and columns that may stand for the identity, those that leave the other argument as it is first."""
    same = np.arange(len(table))
    rows = np.argsort(-(table == same).mean(1), kind="stable")[:_ANCHORS]
    columns = np.argsort(-(same == table.T).mean(1), kind="stable")[:_ANCHORS]
    yield from ((int(r), int(c)) for r in rows for c in columns)


def _product(table: Table, row: int, column: int) -> Table | None:
    """The table with rows and columns called by the answers in one column and one row; None where they repeat."""
    by_row, by_column = table[:, column], table[row]
    n = len(table)
    if len(np.unique(by_row)) < n or len(np.unique(by_column)) < n:
        return None
    product = np.empty_like(table)
    product[by_row[:, None], by_column[None, :]] = table
    return product


def _associativity(product: Table, rng: np.random.Generator) -> float:
    a, b, c = rng.integers(len(product), size=(3, _TRIPLES))
    return float((product[product[a, b], c] == product[a, product[b, c]]).mean())


def _is_nearly_latin(product: Table) -> bool:
    """Whether no row or column repeats many entries, so that everything has an inverse."""
    return min(len(np.unique(line)) for line in (*product, *product.T)) > 0.8 * len(product)


def _recognised(table: Table, product: Table, row: int, column: int, associative: float) -> Group:
    """The group with its plainest names."""
    n = len(table)
    best: Group | None = None
    for kind, period, names in _namings(product, int(table[row, column])):
        group = _named(kind, period, names[table[:, column]], names[table[row]], names, table, associative)
        if best is None or group.agreement > best.agreement:
            best = group
        if best.agreement == 1.0:
            break
    if best is not None and best.agreement > 0.9:
        return _plainest(best, table)
    same = float((product[table[:, column][:, None], table[row][None]] == table).mean())
    return Group("other", n, n, table[:, column], table[row], np.arange(n), same, associative)


def _named(
    kind: Kind, period: int, rows: Names, columns: Names, answers: Names, table: Table, associative: float
) -> Group:
    agreement = float((multiplied(kind, period, rows[:, None], columns[None]) == answers[table]).mean())
    return Group(kind, len(table), period, rows, columns, answers, agreement, associative)


def _namings(product: Table, identity: int) -> Iterator[tuple[Kind, int, Names]]:
    """A few ways to call the elements after powers of a generator; several, as powers inherit a table's errors."""
    n = len(product)
    orders = np.array([_order(product, g, identity) for g in range(n)])
    generators = np.flatnonzero(orders == n)
    for g in generators[:_GENERATORS]:
        yield "cyclic", n, _inverse(_powers(product, int(g), identity, n))
    if len(generators):
        return
    for g in np.flatnonzero(orders == n // 2)[:_GENERATORS] if n % 2 == 0 and n >= 6 else ():
        turns = _powers(product, int(g), identity, n // 2)
        outside = np.setdiff1d(np.arange(n), turns)
        if len(outside) == n // 2 and (orders[outside] == 2).mean() > 0.9:
            yield "dihedral", n // 2, _inverse(np.concatenate([turns, product[turns, outside[0]]]))
    for degree, even in degrees_of(n):
        kind: Kind = "alternating" if even else "symmetric"
        for names in islice(permutation_names(product, orders, identity, degree, even), 1):
            yield kind, degree, names


def _order(product: Table, g: int, identity: int) -> int:
    """How often an element is multiplied by itself until it is the identity; 0 where it never is."""
    x, k = g, 1
    while x != identity and k <= len(product):
        x, k = int(product[x, g]), k + 1
    return k if x == identity else 0


def _powers(product: Table, g: int, identity: int, count: int) -> Int[np.ndarray, " k"]:
    powers = [identity]
    for _ in range(count - 1):
        powers.append(int(product[powers[-1], g]))
    return np.array(powers)


def _inverse(elements: Names) -> Names:
    """For each answer, its place in this list (0 where errors in the table leave one out)."""
    names = np.zeros_like(elements)
    names[elements] = np.arange(len(elements))
    return names


def _plainest(group: Group, table: Table) -> Group:
    """The group after the renaming that lets most rows, columns and answers be called by themselves, or else alike."""
    best = group
    for rows, columns, answers in _renamings(group):
        renamed = replace(group, rows=rows, columns=columns, answers=answers)
        best = renamed if renamed.plain > best.plain else best
    return _named(best.kind, best.period, best.rows, best.columns, best.answers, table, best.associative)


def _renamings(group: Group) -> Iterator[tuple[Names, Names, Names]]:
    """Automorphisms (for permutations, new names of points); of numbers another one taken for zero as well."""
    n, rows, columns, answers = group.period, group.rows, group.columns, group.answers
    units = [u for u in range(1, max(n, 2)) if gcd(u, n) == 1]
    if group.kind == "cyclic":
        for unit in units:
            r, c, z = unit * rows % n, unit * columns % n, unit * answers % n
            for a, b in ((0, 0), (r[0], 0), (0, c[0]), (r[0], c[0])):
                yield (r - a) % n, (c - b) % n, (z - a - b) % n
    elif group.kind == "dihedral":
        for unit in units:
            for flip in range(n):
                r, c, z = ((unit * (x % n) + flip * (x >= n)) % n + n * (x >= n) for x in (rows, columns, answers))
                yield r, c, z
    else:
        for renamed in conjugations(n, group.kind == "alternating"):
            yield renamed[rows], renamed[columns], renamed[answers]
