"""Angles and motions of the symbolic level in torch, batched. Same meaning as emitted programs' primitives.

Shapes: b batch, s query position, t key position, f frequencies, n period. A wave is [b, s, 2f], a motion [b, s, 4f];
see `ir/periodic.py`. Tables of cos and sin are made once, over whole turns, so that large categories lose no digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from exegesis.runtime.binding import Binding, Compute, Op


def _angles(steps: Tensor, period: int) -> Tensor:
    """The angles of whole numbers of steps, in float64: a step is 1/period of a turn."""
    return 2 * math.pi * torch.remainder(steps, period).double() / period


def _frequencies(at: Binding) -> Tensor:
    named = at.attr("frequencies") or [f for f, _ in at.attr("weights")]
    return torch.tensor(list(named), dtype=torch.long, device=at.device)


def _weights(at: Binding) -> Tensor:
    return torch.tensor([float(w) for _, w in at.attr("weights")], dtype=at.real, device=at.device)


def _of_each(table: Tensor, element: Tensor) -> Tensor:
    """Rows of a table by category; zeros for none, and beyond its end it begins again."""
    index = torch.remainder(element.long(), len(table))
    return table[index] * (element >= 0)[..., None].to(table.dtype)


def _wave_table(at: Binding) -> Tensor:
    """[n, 2f]."""
    period = at.attr("period")
    steps = torch.arange(period, device=at.device)[:, None] * _frequencies(at)
    angles = _angles(steps, period)
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(1).to(at.real)


def _motion_table(at: Binding) -> Tensor:
    """[2n, 4f]."""
    period = at.attr("period")
    angles = _angles(torch.arange(period, device=at.device)[:, None] * _frequencies(at), period)
    cos, sin = angles.cos(), angles.sin()
    turns = torch.stack([cos, -sin, sin, cos], -1).flatten(1)
    flips = torch.stack([cos, sin, sin, -cos], -1).flatten(1)
    return torch.cat([turns, flips]).to(at.real)


def wave(at: Binding) -> Compute:
    """[b, s] → [b, s, 2f]."""
    table = _wave_table(at)
    return lambda value: _of_each(table, value)


def motion(at: Binding) -> Compute:
    """[b, s] → [b, s, 4f]."""
    table = _motion_table(at)
    return lambda element: _of_each(table, element)


def total(at: Binding) -> Compute:
    """selector [b, s, t], value [b, t, V] or [b, t] → [b, s, V] or [b, s]."""

    def compute(selector: Tensor, value: Tensor) -> Tensor:
        weights = selector.to(value.dtype)
        return (weights @ value[..., None])[..., 0] if value.ndim == 2 else weights @ value

    return compute


def _complex(pairs: Tensor) -> Tensor:
    return torch.view_as_complex(pairs.reshape(*pairs.shape[:-1], -1, 2))


def _laid_out(z: Tensor) -> Tensor:
    return torch.view_as_real(z).flatten(-2)


def add_angles(at: Binding) -> Compute:
    """Both [b, s, 2f] → [b, s, 2f]."""
    return lambda a, b: _laid_out(_complex(a) * _complex(b))


def double_angles(at: Binding) -> Compute:
    """[b, s, 2f] → [b, s, 2f], or with companions [b, s, 4f] → [b, s, 2f]."""
    less = at.attr("less")

    def compute(a: Tensor) -> Tensor:
        z = _complex(a)
        companions: Tensor | float = 0.0
        if less is not None:
            z, companions = z.chunk(2, -1)
        return _laid_out(z * z / torch.where(z == 0, 1, z.abs()) - (less or 0.0) * companions)

    return compute


def votes(at: Binding) -> Compute:
    """[b, s, 2f] → [b, s, n]."""
    table = (_wave_table(at) * _weights(at).repeat_interleave(2)).T
    return lambda angles: angles @ table


def motion_votes(at: Binding) -> Compute:
    """[b, s, 4f] → [b, s, 2n]."""
    table = (_motion_table(at) * _weights(at).repeat_interleave(4)).T
    return lambda motions: motions @ table


def _kept(at: Binding, name: str) -> Tensor:
    """The projection onto a direction for each matrix, or the identity: [f, 2, 2] or [2, 2]."""
    degrees, one = at.attr(name), torch.eye(2, dtype=at.real, device=at.device)
    if degrees is None:
        return one
    angles = torch.tensor([math.radians(d or 0.0) for d in degrees], dtype=at.real, device=at.device)
    direction = torch.stack([angles.cos(), angles.sin()], -1)
    whole = torch.tensor([d is None for d in degrees], device=at.device)[:, None, None]
    return torch.where(whole, one, direction[:, :, None] * direction[:, None, :])


def compose(at: Binding) -> Compute:
    """Both [b, s, 4f] → [b, s, 4f]."""
    left, between, right = (_kept(at, name) for name in ("left", "between", "right"))

    def compute(a: Tensor, b: Tensor) -> Tensor:
        product: Tensor = left @ _matrices(a) @ between @ _matrices(b) @ right
        return product.flatten(-3)

    return compute


def _matrices(entries: Tensor) -> Tensor:
    return entries.reshape(*entries.shape[:-1], -1, 2, 2)


PERIODIC: Mapping[str, Op] = {
    "symbolic.wave": wave,
    "symbolic.total": total,
    "symbolic.add_angles": add_angles,
    "symbolic.double_angles": double_angles,
    "symbolic.votes": votes,
    "symbolic.motion": motion,
    "symbolic.compose": compose,
    "symbolic.motion_votes": motion_votes,
}
