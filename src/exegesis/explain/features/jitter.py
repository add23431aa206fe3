"""Small transforms: what shows a thing to a network must survive being moved, turned and scaled a little."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


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
        """Every input transformed by a draw of its own; differentiable.

        Where images are only moved, all are moved alike, by whole pixels and around the edges, which costs next to
        nothing.
        """
        if x.ndim == 4 and not (self.degrees or self.scale):
            move = [int(torch.randint(-round(self.shift * n), round(self.shift * n) + 1, (1,), generator=generator))
                    for n in x.shape[2:]]  # fmt: skip
            x = x.roll(move, (2, 3)) if any(move) else x
        elif x.ndim == 4:
            theta = self._affine(len(x), generator)
            grid = F.affine_grid(theta, [len(x), 1, *x.shape[2:]], align_corners=False)
            x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        if self.noise:
            x = x + self.noise * span * torch.randn(x.shape, generator=generator)
        return x

    def _affine(self, count: int, generator: torch.Generator) -> Float[Tensor, "count 2 3"]:
        draws = 2 * torch.rand((count, 4), generator=generator) - 1
        angle, zoom = draws[:, 0] * self.degrees * torch.pi / 180, 1 + draws[:, 1] * self.scale
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        move = 2 * self.shift * draws[:, 2:]
        return torch.stack([torch.stack([cos, -sin, move[:, 0]], 1), torch.stack([sin, cos, move[:, 1]], 1)], 1)
