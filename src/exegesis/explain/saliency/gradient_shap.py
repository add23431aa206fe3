"""GradientSHAP: expected gradients between inputs and drawn baselines (Erion et al. 2021, arXiv 1906.10670)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.saliency.method import Found, Setting, fitted_baseline
from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class GradientShap:
    """Mean of (x − b) · ∂f(b + α(x − b)) over α uniform in [0, 1] and b drawn from the baselines.

    The α of a row are stratified: one in each of `samples` equal parts of [0, 1], in a drawn order.

    Args:
        samples: how many draws per row.
        baselines: [k, ...] inputs to draw from; None for the explained rows themselves (zeros where it is one).
    """

    samples: int = 50
    baselines: NDArray[np.floating] | None = None

    name: ClassVar[str] = "gradient-shap"
    title: ClassVar[str] = "GradientSHAP"
    caveat: ClassVar[str] = "An estimate from samples: its sum is right on average only."

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InputError(f"GradientSHAP needs at least one sample, not {self.samples}.")

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        start, ones, n = objective.start, (1,) * (objective.start.ndim - 1), len(objective)
        pool = self._pool(start)
        draws = setting.generator(2)
        strata = draws.permuted(np.tile(np.arange(self.samples), (n, 1)), axis=1)
        alphas = (strata + draws.random((n, self.samples))) / self.samples
        alpha = torch.from_numpy(alphas).to(start).flatten()
        drawn = torch.from_numpy(draws.integers(len(pool), size=n * self.samples))
        chunk = chunk_size(objective, n * self.samples, setting.chunk)
        sums = torch.zeros_like(start)
        for part in parts(n * self.samples, chunk):
            rows = part // self.samples
            baseline = pool[drawn[part]]
            way = start[rows] - baseline
            slope = objective.gradient(torch.addcmul(baseline, alpha[part].view(-1, *ones), way), rows)[1]
            sums.index_add_(0, rows.to(start.device), slope.mul_(way))
        return Found(sums / self.samples, chunk)

    def _pool(self, start: torch.Tensor) -> torch.Tensor:
        if self.baselines is None:
            return start if len(start) > 1 else torch.zeros_like(start)
        given = np.asarray(self.baselines)
        if given.ndim != start.ndim:
            raise InputError(f"Baselines of shape {list(given.shape)} are no list of inputs {list(start.shape[1:])}.")
        return torch.stack([fitted_baseline(one, start[:1])[0] for one in given])
