"""Fourier analysis over a group: how much of something that depends on an element stands at which frequency.

The functions on a group are a sum of blocks, one for each real irreducible representation: cos and sin of 2π·f·k/n at
the frequencies f of a cyclic group; the entries of the 2×2 matrices of the motions for a dihedral one (J.-P. Serre,
"Linear Representations of Finite Groups", 5.1 and 5.3), where frequency 0 holds the sign of an element; the entries of
the matrices that belong to the partitions of the number of points, for permutations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from exegesis.measure.groups import Kind
from exegesis.primitives.permutations import representation_table

Block: TypeAlias = Float[np.ndarray, "order k"]
Key: TypeAlias = int | tuple[int, ...]
NULLS = 99
"""How many renamings a concentration is compared with: a figure above all of them has a chance of 1 in 100."""


def wave_matrix(frequency: int, period: int) -> Float[np.ndarray, "period 2"]:
    """cos and sin of 2π·f·k/period for each k."""
    angles = 2 * np.pi * (frequency * np.arange(period) % period) / period
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def motion_matrix(frequency: int, period: int) -> Float[np.ndarray, "order 4"]:
    """The entries of the 2×2 matrices of the elements of the dihedral group with this many turns, row by row."""
    cos, sin = wave_matrix(frequency, period).T
    turns = np.stack([cos, -sin, sin, cos], axis=1)
    flips = np.stack([cos, sin, sin, -cos], axis=1)
    return np.concatenate([turns, flips])


def partitions(points: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """All ways to write a number as a sum of positive ones that never grow."""
    if points == 0:
        yield ()
    for first in range(min(points, largest or points), 0, -1):
        for rest in partitions(points - first, first):
            yield (first, *rest)


def keys(kind: Kind, period: int) -> Iterator[Key]:
    """What the blocks are called: frequencies, or partitions of the number of points (of two that agree on even
    permutations, the larger one)."""
    if kind in ("cyclic", "dihedral"):
        yield from range(period // 2 + 1)
    else:
        for partition in partitions(period):
            conjugate = tuple(sum(row > column for row in partition) for column in range(partition[0]))
            if kind == "symmetric" or partition >= conjugate:
                yield partition


def matrices(kind: Kind, period: int, key: Key) -> Float[np.ndarray, "order d e"]:
    """The matrices of all elements in one representation; a wave is a row."""
    if isinstance(key, tuple):
        return representation_table(key, kind == "alternating")
    if kind == "cyclic":
        return wave_matrix(key, period)[:, None]
    return motion_matrix(key, period).reshape(-1, 2, 2)


def blocks(kind: Kind, period: int) -> Mapping[Key, Block]:
    """Per representation an orthonormal basis of its functions, less their means."""
    found: dict[Key, Block] = {}
    for key in keys(kind, period):
        held = matrices(kind, period, key)
        functions = held.reshape(len(held), -1)
        functions = functions - functions.mean(0)
        u, s, _ = np.linalg.svd(functions, full_matrices=False)
        if (kept := s > 1e-9 * len(functions)).any():
            found[key] = u[:, kept]
    return found


def shares(
    values: Float[np.ndarray, "n width"], names: Int[np.ndarray, " n"], bases: Mapping[Key, Block]
) -> dict[Key, float]:
    """Of the variance of values over elements, the share at each frequency (or partition).

    Args:
        values: one vector per token.
        names: the element that each token stands for.
        bases: from `blocks`.
    """
    centred = values - values.mean(0)
    whole = float((centred**2).sum())
    return {f: float(((b[names].T @ centred) ** 2).sum()) / max(whole, 1e-300) for f, b in bases.items()}


@dataclass(frozen=True)
class Concentration:
    """How unevenly variance is spread over frequencies, beside the same under random names of the tokens.

    Attributes:
        value: the sum of the squared shares, weighed by what each frequency may expect: 1 where the spread is even.
        null: the largest of `NULLS` random namings.
    """

    value: float
    null: float

    @property
    def holds(self) -> bool:
        """Whether it is above every random naming, and clearly so."""
        return self.value > 1.2 * self.null


def concentration(
    values: Float[np.ndarray, "n width"], names: Int[np.ndarray, " n"], bases: Mapping[Key, Block], seed: int
) -> Concentration:
    """How far the vectors of tokens stand at few frequencies of the group, against a null of permuted tokens."""
    rng = np.random.default_rng(seed)
    drawn = [_unevenness(shares(values, rng.permutation(names), bases), bases) for _ in range(NULLS)]
    return Concentration(_unevenness(shares(values, names, bases), bases), max(drawn))


def _unevenness(found: Mapping[Key, float], bases: Mapping[Key, Block]) -> float:
    dimensions = sum(b.shape[1] for b in bases.values())
    return float(sum(found[f] ** 2 * dimensions / b.shape[1] for f, b in bases.items()))
