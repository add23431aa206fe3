"""Integrated gradients: gradients averaged on the way from a baseline (Sundararajan et al. 2017, arXiv 1703.01365)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.model import Objective
from exegesis.explain.saliency.method import Found, Setting, fitted_baseline
from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class IntegratedGradients:
    """(x − b) · ∫₀¹ ∂f(b + α(x − b)) dα, by Gauss and Legendre's rule. The values sum to f(x) − f(b).

    Args:
        steps: how many points of the way are visited.
        baseline: b: a number, an array shaped like one input, or one per row.
    """

    steps: int = 50
    baseline: float | NDArray[np.floating] = 0.0

    name: ClassVar[str] = "integrated-gradients"
    title: ClassVar[str] = "Integrated gradients"
    caveat: ClassVar[str] = "What is like the baseline gets nothing: a black digit on a black baseline is invisible."

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"Integrated gradients need at least one step, not {self.steps}.")

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        baseline = fitted_baseline(self.baseline, objective.start)
        chunk = chunk_size(objective, len(objective) * self.steps, setting.chunk)
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        alphas, shares = torch.from_numpy((nodes + 1) / 2).float(), torch.from_numpy(weights / 2).float()
        slope = mean_gradient(objective, baseline, alphas, shares, chunk)
        total = value_at(objective, objective.start, chunk) - value_at(objective, baseline, chunk)
        return Found((objective.start - baseline) * slope, chunk, total)


def mean_gradient(objective: Objective, baseline: Tensor, alphas: Tensor, shares: Tensor, chunk: int) -> Tensor:
    """The weighted mean [n, ...] of gradients at b + α(x − b), of all rows and steps in chunks that ignore both."""
    start, steps = objective.start, len(alphas)
    alphas, shares = alphas.to(start), shares.to(start)
    way = start - baseline
    ones = (1,) * (start.ndim - 1)
    sums = torch.zeros_like(start)
    for part in parts(len(objective) * steps, chunk):
        rows, step = part // steps, part % steps
        point = torch.addcmul(baseline[rows], alphas[step].view(-1, *ones), way[rows])
        slope = objective.gradient(point, rows)[1]
        sums.index_add_(0, rows.to(start.device), slope.mul_(shares[step].view(-1, *ones)))
    return sums


@torch.no_grad()
def value_at(objective: Objective, x: Tensor, chunk: int) -> Tensor:
    """The explained number [n] at other inputs [n, ...] of the rows."""
    return torch.cat([objective.values(x[p], p) for p in parts(len(objective), chunk)])
