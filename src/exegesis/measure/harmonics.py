"""Fourier analysis over a group: how much of something that depends on an element stands at which frequency.

The functions on a cyclic or dihedral group are a sum of blocks, one per frequency f (its real irreducible
representations): cos and sin of 2π·f·k/n for a cyclic group; the entries of the 2×2 matrices of the motions for a
dihedral one (J.-P. Serre, "Linear Representations of Finite Groups", 5.1 and 5.3). Frequency 0 holds the mean and, for
a dihedral group, the sign of an element.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from exegesis.measure.groups import Kind

Block = Float[np.ndarray, "order k"]
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


def blocks(kind: Kind, period: int) -> Mapping[int, Block]:
    """Per frequency an orthonormal basis of its functions; frequency 0 without the mean."""
    matrix = wave_matrix if kind == "cyclic" else motion_matrix
    found: dict[int, Block] = {}
    for f in range(period // 2 + 1):
        functions = matrix(f, period)
        functions = functions - functions.mean(0)
        u, s, _ = np.linalg.svd(functions, full_matrices=False)
        if (kept := s > 1e-9 * len(functions)).any():
            found[f] = u[:, kept]
    return found


def shares(
    values: Float[np.ndarray, "n width"], names: Int[np.ndarray, " n"], bases: Mapping[int, Block]
) -> dict[int, float]:
    """Of the variance of values over elements, the share at each frequency.

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
    values: Float[np.ndarray, "n width"], names: Int[np.ndarray, " n"], bases: Mapping[int, Block], seed: int
) -> Concentration:
    """How far the vectors of tokens stand at few frequencies of the group, against a null of permuted tokens."""
    rng = np.random.default_rng(seed)
    drawn = [_unevenness(shares(values, rng.permutation(names), bases), bases) for _ in range(NULLS)]
    return Concentration(_unevenness(shares(values, names, bases), bases), max(drawn))


def _unevenness(found: Mapping[int, float], bases: Mapping[int, Block]) -> float:
    dimensions = sum(b.shape[1] for b in bases.values())
    return float(sum(found[f] ** 2 * dimensions / b.shape[1] for f, b in bases.items()))
