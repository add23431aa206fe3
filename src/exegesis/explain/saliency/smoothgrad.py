"""SmoothGrad: the gradient averaged over noisy copies of the input (Smilkov et al. 2017, arXiv 1706.03825)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.saliency.method import Found, Setting
from exegesis.ir import InputError


@dataclass(frozen=True)
class SmoothGrad:
    """Mean of ∂f(x + ε), with ε normal of standard deviation `noise` times the range of the input's numbers.

    Args:
        samples: how many noisy copies. All rows share the draws, so that they do not depend on the chunks.
        noise: relative standard deviation.
    """

    samples: int = 32
    noise: float = 0.15

    name: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"
    caveat: ClassVar[str] = "It explains the network on noisy inputs, where it may do something else."

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.noise >= 0:
            raise InputError(f"SmoothGrad needs samples and noise, not {self.samples} and {self.noise}.")

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        start, ones = objective.start, (1,) * (objective.start.ndim - 1)
        draws = setting.generator(1).standard_normal((self.samples, *start.shape[1:]))
        noise = torch.from_numpy(draws).to(start)
        flat = start.flatten(1)
        spread = (self.noise * (flat.max(1).values - flat.min(1).values)).view(-1, *ones)
        total = len(objective) * self.samples
        chunk = chunk_size(objective, total, setting.chunk)
        sums = torch.zeros_like(start)
        for part in parts(total, chunk):
            rows, sample = part // self.samples, part % self.samples
            slope = objective.gradient(start[rows] + spread[rows] * noise[sample], rows)[1]
            sums.index_add_(0, rows.to(start.device), slope)
        return Found(sums / self.samples, chunk, slopes=True)
