"""Grad-CAM: channels of the last convolution weighted by mean gradients (Selvaraju et al. 2017, arXiv 1610.02391)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.saliency.method import Found, Setting, UndefinedMethodError
from exegesis.explain.saliency.watching import CONVOLUTION, Recording


@dataclass(frozen=True)
class GradCam:
    """max(0, Σ_k mean(∂f/∂A_k) A_k) over the channels A_k of a convolution's output, enlarged to the input's size.

    Args:
        convolution: which call of a convolution, counted as lists are: -1 is the last.
        signed: keep what speaks against, too.
    """

    convolution: int = -1
    signed: bool = False

    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Grad-CAM"
    caveat: ClassVar[str] = "No finer than the layer it looks at, and blind to what reaches the output around it."

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`. Undefined without a convolution over more than one place."""
        objective = setting.objective
        chunk = chunk_size(objective, len(objective), setting.chunk)
        maps = torch.cat([self._map(setting, part) for part in parts(len(objective), chunk)])
        size = objective.start.shape[-2:]
        large = F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
        values = large.expand(objective.start.shape) / objective.start.shape[1]
        return Found(values, chunk)

    def _map(self, setting: Setting, rows: Tensor) -> Tensor:
        """[m, 1, y, x] in the layer's own resolution."""
        objective = setting.objective
        with torch.enable_grad(), Recording(CONVOLUTION) as seen:
            start = objective.start[rows].detach().requires_grad_(True)
            values = objective.values(start, rows)
        layers = [a for a in seen.found if a.ndim == 4 and a.shape[0] == len(rows) and a[0, 0].numel() > 1]
        if objective.start.ndim != 4 or not layers:
            raise UndefinedMethodError(
                f"Grad-CAM looks at the places of a convolution, and {objective.model.name} has none over images."
            )
        if not -len(layers) <= self.convolution < len(layers):
            raise UndefinedMethodError(
                f"There is no convolution {self.convolution}: {objective.model.name} calls {len(layers)}."
            )
        layer = layers[self.convolution]
        (slope,) = torch.autograd.grad(values.sum(), layer, allow_unused=True)
        if slope is None:
            raise UndefinedMethodError(f"What is explained of {objective.model.name} does not read that convolution.")
        cam: Tensor = (slope.mean((2, 3), keepdim=True) * layer.detach()).sum(1, keepdim=True)
        return cam if self.signed else cam.clamp(min=0)
