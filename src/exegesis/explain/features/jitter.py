"""Small transforms: what shows a thing to a network must survive being moved, turned and scaled a little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Move: TypeAlias = Callable[[Tensor], Tensor]
BLOCK = 1 << 18  # numbers drawn at a time, 1 MB of noise


@dataclass(frozen=True)
class Jitter:
    """How far images are moved, turned and scaled.

    Args:
        shift: in shares of the side.
        degrees: either way.
        scale: either way, as a share.
        noise: standard deviation of added noise, in shares of the range; all there is for inputs that are no images.
    """

    shift: float = 0.05
    degrees: float = 5.0
    scale: float = 0.05
    noise: float = 0.05

    def __call__(self, x: Float[Tensor, "n ..."], generator: torch.Generator, span: float) -> Float[Tensor, "n ..."]:
        """Every input transformed by a draw of its own; differentiable."""
        return next(self.drawn(x, 1, generator, span))(x)

    def drawn(
        self, like: Float[Tensor, "n ..."], steps: int, generator: torch.Generator, span: float
    ) -> Iterator[Move]:
        """A transform for each of so many steps, for inputs of this shape. They are drawn in blocks, since for a single
        image drawing takes longer than moving.

        Where images are only moved, all are moved alike, by whole pixels and around the edges, which costs next to
        nothing.
        """
        block = max(1, min(steps, BLOCK // like.numel()))
        for first in range(0, steps, block):
            count = min(block, steps - first)
            grids, rolls = self._grids(like, count, generator), self._rolls(like, count, generator)
            noise = None
            if self.noise:
                noise = torch.randn((count, *like.shape), generator=generator).mul_(self.noise * span)
            for k in range(count):
                yield _move(
                    None if rolls is None else rolls[k],
                    None if grids is None else grids[k],
                    None if noise is None else noise[k],
                )

    def _rolls(self, like: Tensor, count: int, generator: torch.Generator) -> list[list[int]] | None:
        """Whole pixels by which images are moved, where that is all that is done to them."""
        if like.ndim != 4 or self.degrees or self.scale:
            return None
        far = [round(self.shift * n) for n in like.shape[2:]]
        return torch.stack([torch.randint(-n, n + 1, (count,), generator=generator) for n in far], 1).tolist()

    def _grids(self, like: Tensor, count: int, generator: torch.Generator) -> Float[Tensor, "count n y x 2"] | None:
        """Where each pixel of each image comes from; None where images are not turned or scaled."""
        if like.ndim != 4 or not (self.degrees or self.scale):
            return None
        n, (height, width) = len(like), like.shape[2:]
        theta = self._affine(count * n, generator)
        return F.affine_grid(theta, [count * n, 1, height, width], align_corners=False).view(count, n, height, width, 2)

    def _affine(self, count: int, generator: torch.Generator) -> Float[Tensor, "count 2 3"]:
        draws = 2 * torch.rand((count, 4), generator=generator) - 1
        angle, zoom = draws[:, 0] * self.degrees * torch.pi / 180, 1 + draws[:, 1] * self.scale
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        move = 2 * self.shift * draws[:, 2:]
        return torch.stack([torch.stack([cos, -sin, move[:, 0]], 1), torch.stack([sin, cos, move[:, 1]], 1)], 1)


def _move(roll: list[int] | None, grid: Tensor | None, noise: Tensor | None) -> Move:
    def moved(x: Tensor) -> Tensor:
        if roll is not None and any(roll):
            x = x.roll(roll, (2, 3))
        if grid is not None:
            x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        return x if noise is None else x + noise

    return moved
