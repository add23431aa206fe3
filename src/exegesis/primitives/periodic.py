"""Angles and motions: variables of tokens that stand for the elements of a cyclic or a dihedral group.

A wave is `[position, 2·frequencies]`: cos and sin of one angle after the other. A motion is
`[position, 4·frequencies]`: one 2×2 matrix after the other, row by row. Element k < n of the dihedral group of order 2n
turns the plane by 2π·f·k/n at frequency f; element n + k flips it first (the second coordinate changes its sign).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from exegesis.primitives._types import Array, Number

Degrees: TypeAlias = Sequence[Number | None] | None


def wave(value: Array, frequencies: Sequence[int], period: int) -> Array:
    """cos and sin of 2π·f·value/period for each frequency f; zeros where there is no value (-1)."""
    angles = _angles(value.astype(int)[..., None] * np.array(frequencies), period)
    return _laid_out(np.exp(1j * angles) * (value >= 0)[..., None])


def total(selector: Array, value: Array) -> Array:
    """The sum of a variable over the positions looked at, by their weights."""
    summed: Array = selector.astype(float) @ value
    return summed


def add_angles(a: Array, b: Array) -> Array:
    """The sums of the angles of two waves, by multiplying cos + i·sin; lengths multiply."""
    return _laid_out(_complex(a) * _complex(b))


def double_angles(a: Array, *, less: Number | None = None) -> Array:
    """Twice the angles of a wave, at the lengths that it has.

    With `less`, the second half of the wave holds companions at twice the frequencies of the first, and so much of each
    companion is taken off.
    """
    z = _complex(a)
    z, companions = (z, 0) if less is None else np.split(z, 2, axis=-1)
    return _laid_out(z * z / np.where(z == 0, 1, np.abs(z)) - (less or 0) * companions)


def votes(angles: Array, weights: Mapping[int, Number], period: int) -> Array:
    """How well each class c fits: the sum over frequencies f of weight · length · cos(angle − 2π·f·c/period)."""
    of_class = np.exp(1j * _angles(np.outer(list(weights), np.arange(period)), period))
    fits: Array = (_complex(angles) * np.array(list(weights.values()))) @ of_class.conj()
    return fits.real


def motion(element: Array, frequencies: Sequence[int], period: int) -> Array:
    """The matrices of elements of the dihedral group of order 2·period; zeros where there is none (-1)."""
    flip = np.where(element.astype(int) % (2 * period) >= period, -1.0, 1.0)[..., None]
    angles = _angles(element.astype(int)[..., None] * np.array(frequencies), period)
    cos, sin = np.cos(angles), np.sin(angles)
    entries = np.stack([cos, -sin * flip, sin, cos * flip], axis=-1).reshape(*element.shape, -1)
    return entries * (element >= 0)[..., None]


def compose(a: Array, b: Array, *, left: Degrees = None, between: Degrees = None, right: Degrees = None) -> Array:
    """The products of the matrices of two motions, a after b.

    Where `left`, `between` or `right` name a direction in degrees for a matrix, only what stands there in that
    direction is kept.
    """
    product = _kept(left) @ _matrices(a) @ _kept(between) @ _matrices(b) @ _kept(right)
    return product.reshape(a.shape)


def motion_votes(motions: Array, weights: Mapping[int, Number], period: int) -> Array:
    """How well each element fits: the sum over frequencies of weight · entries of the motion · entries of its own."""
    scale = np.repeat(np.array(list(weights.values()), float), 4)
    fits: Array = (motions * scale) @ motion(np.arange(2 * period), tuple(weights), period).T
    return fits


def _angles(turns: Array, period: int) -> Array:
    return 2 * np.pi * (turns % period) / period


def _complex(pairs: Array) -> Array:
    z: Array = pairs[..., 0::2] + 1j * pairs[..., 1::2]
    return z


def _laid_out(z: Array) -> Array:
    return np.stack([z.real, z.imag], axis=-1).reshape(*z.shape[:-1], -1)


def _matrices(entries: Array) -> Array:
    return entries.reshape(*entries.shape[:-1], -1, 2, 2)


def _kept(degrees: Degrees) -> Array:
    """The projection onto a direction for each matrix, or the identity: [frequencies, 2, 2] or [2, 2]."""
    if degrees is None:
        return np.eye(2)
    angles = np.deg2rad([0.0 if d is None else float(d) for d in degrees])
    direction = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    onto = direction[:, :, None] * direction[:, None, :]
    return np.where(np.array([d is None for d in degrees])[:, None, None], np.eye(2), onto)
