"""Symmetric and alternating groups recognised in a table: the elements called by the permutations that they stand for.

Two permutations generate the whole group. Any two elements of the table that could be those two are tried: every
element is then a word in them, and the names fit where multiplying by either does the same to names and elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import factorial

import numpy as np
from jaxtyping import Int

from exegesis.primitives.permutations import lexicographic

DEGREES = (4, 5, 6)  # fewer points make cyclic and dihedral groups, more are too many permutations
_MOST = 2**16  # candidates that are tried


@lru_cache(maxsize=8)
def permutation_table(degree: int, even: bool) -> Int[np.ndarray, "n n"]:
    """The product of any two permutations (the second is applied first), by their lexicographic numbers."""
    elements = np.array(lexicographic(degree, even))
    place = _numbers(elements)
    product = _numbers(elements[:, elements].reshape(-1, degree))
    order = np.argsort(place)
    found: Int[np.ndarray, "n n"] = order[np.searchsorted(place[order], product)].reshape(len(elements), -1)
    return found


def _numbers(elements: Int[np.ndarray, "n degree"]) -> Int[np.ndarray, " n"]:
    digits = elements.shape[1] ** np.arange(elements.shape[1])
    return np.asarray(elements @ digits)


def conjugations(degree: int, even: bool) -> Iterator[Int[np.ndarray, " n"]]:
    """For every renaming of the points, the number that each permutation has after it."""
    elements = np.array(lexicographic(degree, even))
    place = _numbers(elements)
    order = np.argsort(place)
    for points in np.array(lexicographic(degree)):
        renamed = np.empty_like(elements)
        renamed[:, points] = points[elements]
        yield order[np.searchsorted(place[order], _numbers(renamed))]


def degrees_of(order: int) -> Iterator[tuple[int, bool]]:
    """Degrees, and whether only even permutations count, of the groups of this order."""
    for degree in DEGREES:
        if factorial(degree) == order:
            yield degree, False
        elif factorial(degree) == 2 * order:
            yield degree, True


def permutation_names(
    product: Int[np.ndarray, "n n"], orders: Int[np.ndarray, " n"], identity: int, degree: int, even: bool
) -> Iterator[Int[np.ndarray, " n"]]:
    """For each element of a table the number of the permutation that it stands for, in every way that fits.

    Args:
        product: the table, with an identity.
        orders: of its elements.
        identity: which element that is.
        degree, even: the group to be found.
    """
    own = permutation_table(degree, even)
    one, two = (_number(degree, even, g) for g in _generators(degree, even))
    sizes = [_order(own, g) for g in (one, two)]
    firsts, seconds = (np.flatnonzero(orders == size) for size in sizes)
    if len(firsts) * len(seconds) > _MOST:
        return
    pairs = np.stack(np.meshgrid(firsts, seconds, indexing="ij"), -1).reshape(-1, 2)
    elements = np.zeros((len(pairs), len(own)), dtype=np.int64)  # for each candidate the element of each permutation
    elements[:, 0] = identity
    for made, source, which in _words(own, (one, two)):
        elements[:, made] = product[elements[:, source], pairs[:, which]]
    fits = np.ones(len(pairs), dtype=np.bool_)
    for which, generator in enumerate((one, two)):
        fits &= (product[elements, pairs[:, [which]]] == elements[:, own[:, generator]]).all(1)
    for row in elements[fits]:
        if len(np.unique(row)) == len(row):
            names = np.empty_like(row)
            names[row] = np.arange(len(row))
            yield names


def _generators(degree: int, even: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two permutations that generate the group: a short cycle and a long one."""
    points = tuple(range(degree))
    if not even:
        return (1, 0, *points[2:]), (*points[1:], 0)
    long = (*points[1:], 0) if degree % 2 else (0, *points[2:], 1)
    return (1, 2, 0, *points[3:]), long


def _number(degree: int, even: bool, permutation: tuple[int, ...]) -> int:
    return lexicographic(degree, even).index(permutation)


def _order(table: Int[np.ndarray, "n n"], element: int) -> int:
    power, count = element, 1
    while power != 0:  # the identity is the first in lexicographic order
        power, count = int(table[power, element]), count + 1
    return count


def _words(table: Int[np.ndarray, "n n"], generators: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """Every permutation but the identity once: its number, that of an earlier one, and which generator leads there."""
    known, queue = {0}, [0]
    for source in queue:
        for which, generator in enumerate(generators):
            made = int(table[source, generator])
            if made not in known:
                known.add(made)
                queue.append(made)
                yield made, source, which
