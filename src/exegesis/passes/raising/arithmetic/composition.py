"""Composition in a group that does not commute: matrices of the two tokens, of which a network may keep only a part.

In a representation with matrices ρ, the logit of z for x·y is, up to a weight, the trace of L·ρ(x)·K·ρ(y)·R·ρ(z)ᵀ. With
L = K = R = 1 this is the composition by characters of Chughtai, Chan & Nanda (2023, arXiv 2302.03025). Where K is the
projection onto a direction d, only ρ(x)·d and ρ(y)ᵀ·d count, and many z fit; other representations, with other
directions, settle which (cosets: Stander et al. 2023, arXiv 2312.06581).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from exegesis.measure.groups import Group
from exegesis.measure.harmonics import Key, matrices
from exegesis.measure.pairs import Pairs
from exegesis.passes.raising.arithmetic.mixing import Slot

Direction: TypeAlias = tuple[float, ...] | None
Kept: TypeAlias = tuple[Direction, Direction, Direction]
Square: TypeAlias = Float[np.ndarray, "d d"]
Cube: TypeAlias = Float[np.ndarray, "n n n"]

WHOLE: Kept = (None, None, None)


@dataclass(frozen=True)
class Form:
    """What counts in one representation.

    Attributes:
        key: the frequency or partition.
        kept: the direction that is kept on the left, between the two, and on the right; None: everything.
        weight: of its votes.
        explained: share of the logits' variance in this representation that it explains.
    """

    key: Key
    kept: Kept
    weight: float
    explained: float


class Factors:
    """The logits of a network by left factor, right factor and answer.

    Args:
        pairs: the network.
        group: its group.
    """

    def __init__(self, pairs: Pairs, group: Group) -> None:
        self.group = group
        self._n = pairs.n
        self._logits = self._turned(pairs.logits.reshape(pairs.n, pairs.n, pairs.n))
        names = (group.rows, group.columns)
        self.left, self.right = names[::-1] if group.swapped else names

    def _turned(self, cube: Cube) -> Cube:
        return cube.transpose(1, 0, 2) if self.group.swapped else cube

    def matrices(self, key: Key) -> Float[np.ndarray, "order d d"]:
        """The matrices of all elements."""
        return matrices(self.group.kind, self.group.period, key)

    def slot(self, key: Key) -> Slot:
        """The part of the logits in one representation, row by row."""
        entries = self.matrices(key)[self.group.answers].reshape(self._n, -1)
        entries = entries - entries.mean(0)
        part = self._logits.reshape(-1, self._n) @ entries @ np.linalg.pinv(entries)
        return self._turned(part.reshape(self._n, self._n, self._n)).reshape(-1, self._n)

    def votes(self, key: Key, kept: Sequence[Direction]) -> Slot:
        """The votes of a form at weight 1, less their mean, row by row."""
        held = self.matrices(key)
        left, between, right = (_projection(d, held.shape[1]) for d in kept)
        x, y = left @ held[self.left] @ between, held[self.right] @ right
        product = np.einsum("xij,yjk->xyik", x, y).reshape(self._n * self._n, -1)
        made = product @ held[self.group.answers].reshape(self._n, -1).T
        made -= made.mean(1, keepdims=True)
        return self._turned(made.reshape(self._n, self._n, self._n)).reshape(-1, self._n)

    def form(self, key: Key, kept: Kept) -> Form:
        """A form with the weight that fits best."""
        slot, made = self.slot(key), self.votes(key, kept)
        weight = float((made * slot).sum() / max(float((made**2).sum()), 1e-300))
        left = float(((slot - weight * made) ** 2).sum()) / max(float((slot**2).sum()), 1e-300)
        return Form(key, kept, weight, 1 - left)

    def parts(self, key: Key) -> tuple[Square, Square, Square]:
        """L, K and R, up to a factor.

        The coefficient of ρ(x)[i, j]·ρ(y)[k, l]·ρ(z)[m, o] in the logits is L[m, i]·K[j, k]·R[l, o]: the three matrices
        are the leading singular vectors of the coefficients along (m, i), (j, k) and (l, o).
        """
        held = self.matrices(key)
        d = held.shape[1]
        entries = held.reshape(len(held), -1)
        found = self._logits @ entries[self.group.answers]
        found = np.einsum("xyz,xi->iyz", found, entries[self.left])
        found = np.einsum("iyz,yk->ikz", found, entries[self.right]).reshape((d,) * 6)
        cube = found.transpose(4, 0, 1, 2, 3, 5).reshape(d * d, d * d, d * d)  # from (ij, kl, mo) to (mi, jk, lo)
        left, between, right = (_leading(np.moveaxis(cube, k, 0).reshape(d * d, -1), d) for k in range(3))
        return left, between, right


def _leading(unfolded: Float[np.ndarray, "e rest"], d: int) -> Square:
    """The leading left singular vector as a symmetric matrix of positive trace."""
    matrix: Square = np.linalg.eigh(unfolded @ unfolded.T)[1][:, -1].reshape(d, d)
    matrix = (matrix + matrix.T) / 2
    return matrix if np.trace(matrix) >= 0 else -matrix


def direction(matrix: Square) -> Direction:
    """The direction that a matrix projects on; None where it is nearer to a multiple of 1."""
    values, vectors = np.linalg.eigh(matrix)
    if len(matrix) == 1 or values[-1] < values.sum() / np.sqrt(len(matrix)):
        return None
    return tuple(vectors[:, -1].tolist())


def _projection(kept: Direction, size: int) -> Square:
    if kept is None:
        return np.eye(size)
    vector = np.array(kept)
    onto: Square = np.outer(vector, vector) / (vector @ vector)
    return onto
