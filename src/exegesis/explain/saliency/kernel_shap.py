"""Shapley values by weighted least squares over coalitions (Lundberg and Lee 2017, arXiv 1705.07874)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import comb

from exegesis.explain.chunks import chunk_size
from exegesis.explain.saliency.coalitions import coalition_values, spread
from exegesis.explain.saliency.features import feature_ids
from exegesis.explain.saliency.method import Found, Setting, fitted_baseline
from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class KernelShap:
    """The additive game that is closest to the network's, sum held to f(x) − f(b). Exact where all coalitions fit.

    Args:
        coalitions: how many are asked about; each drawn one comes with its complement. All rows share them.
        patch: side of a patch of an image in pixels; None for about 7 × 7 patches.
        baseline: what absent features are: a number, an array shaped like one input, or one per row.
    """

    coalitions: int = 512
    patch: int | None = None
    baseline: float | NDArray[np.floating] = 0.0

    name: ClassVar[str] = "kernel-shap"
    title: ClassVar[str] = "Kernel SHAP"
    caveat: ClassVar[str] = "Absent features are put at the baseline, which makes inputs that nobody has seen."

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        start, n = objective.start, len(objective)
        baseline = fitted_baseline(self.baseline, start)
        ids = feature_ids(objective.inputs, tuple(start.shape[1:]), self.patch)
        k = int(ids.max()) + 1
        present, weights = self._coalitions(k, setting)
        ends = torch.stack([torch.zeros(k, dtype=torch.bool), torch.ones(k, dtype=torch.bool)])
        chunk = chunk_size(objective, n * (len(present) + 2), setting.chunk, gradients=False)
        values = coalition_values(objective, baseline, ids, torch.cat([ends, present]), chunk).double()
        total = values[:, 1] - values[:, 0]
        shares = _least_squares(present.double(), weights, values[:, 2:] - values[:, :1], total)
        return Found(spread(shares.to(start.dtype), ids), chunk, total.to(start.dtype), tolerance=1e-3)

    def _coalitions(self, k: int, setting: Setting) -> tuple[torch.Tensor, torch.Tensor]:
        """Coalitions [m, k] other than none and all, and the weight of each [m]."""
        if k < 2:
            return torch.zeros(0, k, dtype=torch.bool), torch.zeros(0, dtype=torch.double)
        if k <= 20 and 2**k - 2 <= self.coalitions:
            numbers = torch.arange(1, 2**k - 1)
            present = (numbers[:, None] >> torch.arange(k)) & 1 == 1
            sizes = present.sum(1).numpy()
            return present, torch.from_numpy((k - 1) / (comb(k, sizes) * sizes * (k - sizes)))
        if self.coalitions < 2 * k:
            raise InputError(f"Kernel SHAP needs at least {2 * k} coalitions for {k} features, not {self.coalitions}.")
        draws = setting.generator(4)
        possible = np.arange(1, k)
        chances = 1 / (possible * (k - possible))
        sizes = draws.choice(possible, size=self.coalitions // 2, p=chances / chances.sum())
        rank = draws.random((len(sizes), k)).argsort(1).argsort(1)
        drawn = torch.from_numpy(rank < sizes[:, None])
        both = torch.cat([drawn, ~drawn])
        return both, torch.ones(len(both), dtype=torch.double)  # drawn by their weight, so they weigh the same


def _least_squares(
    present: torch.Tensor, weights: torch.Tensor, values: torch.Tensor, total: torch.Tensor
) -> torch.Tensor:
    """φ [n, k] that minimises Σ w (present·φ − value)² with Σ φ = total, the last feature eliminated."""
    if present.shape[1] == 1:
        return total[:, None]
    last = present[:, -1:]
    design = (present[:, :-1] - last) * weights.sqrt()[:, None]
    wanted = (values - last.T * total[:, None]) * weights.sqrt()
    first = torch.linalg.lstsq(design, wanted.T, driver="gelsd").solution.T
    return torch.cat([first, (total - first.sum(1))[:, None]], dim=1)
