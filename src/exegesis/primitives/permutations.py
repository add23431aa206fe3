"""Permutations as matrices: variables of tokens that stand for the elements of a symmetric or alternating group.

Element k of the symmetric group of a degree is the k-th permutation in lexicographic order; with `even`, element k of
the alternating group is the k-th even one. The product a·b applies b first. A partition of the degree, such as (4, 1),
names an irreducible representation; its matrices are given in Young's orthogonal form (G. James & A. Kerber 1981, "The
Representation Theory of the Symmetric Group", 3.4). A variable holds `[position, entries]`: one matrix after the other,
row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import permutations
from typing import TypeAlias

import numpy as np

from exegesis.primitives._types import Array, Number

Partition: TypeAlias = tuple[int, ...]
Tableau: TypeAlias = tuple[tuple[int, int], ...]  # row and column of every number
Directions: TypeAlias = Sequence[Sequence[Number] | None] | None


def representation(element: Array, partitions: Sequence[Partition], *, even: bool = False) -> Array:
    """The matrices of elements in some representations; zeros where there is none (-1)."""
    table = np.concatenate([representation_table(tuple(p), even).reshape(-1, dimension(p) ** 2) for p in partitions], 1)
    held: Array = table[element.astype(int) % len(table)] * (element >= 0)[..., None]
    return held


def matrix_product(a: Array, b: Array, partitions: Sequence[Partition], *, between: Directions = None) -> Array:
    """The products a·b of the matrices of two elements, representation by representation.

    Where `between` gives a direction (a vector) for a representation, only what stands there in it is kept.
    """
    kept = [None] * len(partitions) if between is None else between
    products, start = [], 0
    for partition, direction in zip(partitions, kept, strict=True):
        size = dimension(partition)
        part = slice(start, start + size * size)
        left, right = (x[..., part].reshape(*x.shape[:-1], size, size) for x in (a, b))
        products.append((left @ _projection(direction, size) @ right).reshape(*a.shape[:-1], -1))
        start += size * size
    return np.concatenate(products, axis=-1)


def representation_votes(matrices: Array, weights: Mapping[Partition, Number], *, even: bool = False) -> Array:
    """How well each element fits: the sum over representations of weight · entries of the matrix · entries of its."""
    own = representation(np.arange(len(representation_table(next(iter(weights)), even))), tuple(weights), even=even)
    scale = np.concatenate([np.full(dimension(p) ** 2, float(w)) for p, w in weights.items()])
    fits: Array = (matrices * scale) @ own.T
    return fits


@lru_cache(maxsize=64)
def representation_table(partition: Partition, even: bool = False) -> Array:
    """The matrices of all elements in one representation: [elements, d, d]."""
    degree = sum(partition)
    swaps = _neighbour_swaps(partition)
    found = []
    for permutation in lexicographic(degree, even):
        matrix = np.eye(len(swaps[0]) if len(swaps) else 1)
        for swap in _as_neighbour_swaps(permutation):
            matrix = matrix @ swaps[swap]
        found.append(matrix)
    return np.array(found)


def lexicographic(degree: int, even: bool = False) -> list[tuple[int, ...]]:
    """All permutations of 0 … degree - 1, or the even ones, in lexicographic order."""
    every = permutations(range(degree))
    return [p for p in every if not even or len(_as_neighbour_swaps(p)) % 2 == 0]


def dimension(partition: Sequence[int]) -> int:
    """The size of a representation's matrices, by the hook length formula."""
    conjugate = [sum(row > column for row in partition) for column in range(partition[0])]
    hooks = [partition[r] - c + conjugate[c] - r - 1 for r in range(len(partition)) for c in range(partition[r])]
    count = 1.0
    for k, hook in enumerate(sorted(hooks), start=1):
        count *= k / hook
    return round(count)


def _as_neighbour_swaps(permutation: Sequence[int]) -> list[int]:
    """Swaps of neighbours k and k + 1 whose product is the permutation."""
    left, swaps = list(permutation), []
    for _ in left:
        for k in range(len(left) - 1):
            if left[k] > left[k + 1]:
                left[k], left[k + 1] = left[k + 1], left[k]
                swaps.append(k)
    return swaps[::-1]


def _tableaux(partition: Partition) -> list[Tableau]:
    """All standard Young tableaux of a shape."""
    if not partition:
        return [()]
    found = []
    for row, length in enumerate(partition):
        if row + 1 == len(partition) or length > partition[row + 1]:
            smaller = tuple(p for p in (*partition[:row], length - 1, *partition[row + 1 :]) if p)
            found += [(*tableau, (row, length - 1)) for tableau in _tableaux(smaller)]
    return found


def _neighbour_swaps(partition: Partition) -> Array:
    """The matrices of the swaps of k and k + 1: [degree - 1, d, d]."""
    tableaux = _tableaux(partition)
    place = {tableau: i for i, tableau in enumerate(tableaux)}
    found = np.zeros((sum(partition) - 1, len(tableaux), len(tableaux)))
    for i, tableau in enumerate(tableaux):
        for k in range(len(tableau) - 1):
            (row, column), (next_row, next_column) = tableau[k], tableau[k + 1]
            distance = (next_column - next_row) - (column - row)
            found[k, i, i] = 1 / distance
            if abs(distance) > 1:
                swapped = (*tableau[:k], tableau[k + 1], tableau[k], *tableau[k + 2 :])
                found[k, place[swapped], i] = np.sqrt(1 - 1 / distance**2)
    return found


def _projection(direction: Sequence[Number] | None, size: int) -> Array:
    if direction is None:
        return np.eye(size)
    vector = np.array(direction, float)
    onto: Array = np.outer(vector, vector) / (vector @ vector)
    return onto
