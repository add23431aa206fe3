"""Permutations as matrices in torch, batched. Same meaning as emitted programs' primitives, whose tables they share.

Shapes: b batch, s position, e entries of all matrices, n elements.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from exegesis.primitives.permutations import dimension, representation, representation_table
from exegesis.runtime.binding import Binding, Compute, Op


def _table(at: Binding, partitions: list[tuple[int, ...]]) -> Tensor:
    """[n, e]."""
    even = bool(at.attr("even", False))
    elements = np.arange(len(representation_table(partitions[0], even)))
    return torch.from_numpy(representation(elements, partitions, even=even)).to(at.device, at.real)


def representations(at: Binding) -> Compute:
    """[b, s] → [b, s, e]."""
    table = _table(at, [tuple(p) for p in at.attr("partitions")])

    def compute(element: Tensor) -> Tensor:
        held: Tensor = table[torch.remainder(element.long(), len(table))]
        return held * (element >= 0)[..., None].to(held.dtype)

    return compute


def matrix_product(at: Binding) -> Compute:
    """Both [b, s, e] → [b, s, e]."""
    sizes = [dimension(p) for p in at.attr("partitions")]
    between = at.attr("between") or [None] * len(sizes)
    kept = [_projection(at, d, size) for d, size in zip(between, sizes, strict=True)]

    def compute(a: Tensor, b: Tensor) -> Tensor:
        parts = [s * s for s in sizes]
        products = [
            (x.reshape(*x.shape[:-1], s, s) @ onto @ y.reshape(*y.shape[:-1], s, s)).flatten(-2)
            for x, y, s, onto in zip(torch.split(a, parts, -1), torch.split(b, parts, -1), sizes, kept, strict=True)
        ]
        return torch.cat(products, -1)

    return compute


def _projection(at: Binding, direction: list[float] | None, size: int) -> Tensor:
    if direction is None:
        return torch.eye(size, dtype=at.real, device=at.device)
    vector = torch.tensor([float(d) for d in direction], dtype=at.real, device=at.device)
    return torch.outer(vector, vector) / (vector @ vector)


def representation_votes(at: Binding) -> Compute:
    """[b, s, e] → [b, s, n]."""
    weights = at.attr("weights")
    scale = torch.cat([torch.full((dimension(p) ** 2,), float(w), dtype=at.real) for p, w in weights])
    table = (_table(at, [tuple(p) for p, _ in weights]) * scale.to(at.device)).T
    return lambda matrices: matrices @ table


PERMUTATIONS: Mapping[str, Op] = {
    "symbolic.representation": representations,
    "symbolic.matrix_product": matrix_product,
    "symbolic.representation_votes": representation_votes,
}
