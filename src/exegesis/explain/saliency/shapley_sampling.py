"""Shapley values by sampled orders of arrival (Castro et al. 2009; antithetic orders: Mitchell et al. 2022)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray

from exegesis.explain.chunks import chunk_size
from exegesis.explain.saliency.coalitions import coalition_values, spread
from exegesis.explain.saliency.features import feature_ids
from exegesis.explain.saliency.method import Found, Setting, fitted_baseline
from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class ShapleySampling:
    """The mean gain when a feature arrives, over drawn orders and their reverses. Sums to f(x) − f(b) exactly.

    Exact where there are no more orders than are asked about.

    Args:
        orders: how many orders; an even number, since each comes with its reverse. All rows share them.
        patch: side of a patch of an image in pixels; None for about 7 × 7 patches.
        baseline: what absent features are: a number, an array shaped like one input, or one per row.
    """

    orders: int = 10
    patch: int | None = None
    baseline: float | NDArray[np.floating] = 0.0

    name: ClassVar[str] = "shapley-sampling"
    title: ClassVar[str] = "Shapley sampling"
    caveat: ClassVar[str] = "Absent features are put at the baseline, which makes inputs that nobody has seen."

    def __post_init__(self) -> None:
        if self.orders < 2 or self.orders % 2:
            raise InputError(f"Shapley sampling needs an even number of orders, not {self.orders}.")

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        start, n = objective.start, len(objective)
        baseline = fitted_baseline(self.baseline, start)
        ids = feature_ids(objective.inputs, tuple(start.shape[1:]), self.patch)
        k = int(ids.max()) + 1
        orders = self._orders(k, setting)
        rank = orders.argsort(1)
        present = rank[:, None, :] < torch.arange(1, k)[None, :, None]  # the first 1 … k-1 have come
        ends = torch.stack([torch.zeros(k, dtype=torch.bool), torch.ones(k, dtype=torch.bool)])
        asked = torch.cat([ends, present.flatten(0, 1)])
        chunk = chunk_size(objective, n * len(asked), setting.chunk, gradients=False)
        values = coalition_values(objective, baseline, ids, asked, chunk)
        inner = values[:, 2:].view(n, len(orders), k - 1)
        none, everything = (values[:, i, None, None].expand(n, len(orders), 1) for i in (0, 1))
        ways = torch.cat([none, inner, everything], dim=2)
        gains = ways.diff(dim=2)  # of the feature that comes at each step
        shares = torch.zeros(n, k, dtype=start.dtype, device=start.device)
        shares.index_add_(1, orders.flatten().to(start.device), gains.flatten(1))
        return Found(spread(shares / len(orders), ids), chunk, values[:, 1] - values[:, 0], tolerance=1e-3)

    def _orders(self, k: int, setting: Setting) -> Int[torch.Tensor, "orders k"]:
        """Who comes first, second …: all orders where they are few enough, else drawn ones with their reverses."""
        if k < 20 and math.factorial(k) <= self.orders:
            return torch.tensor(list(itertools.permutations(range(k))))
        half = setting.generator(3).permuted(np.tile(np.arange(k), (self.orders // 2, 1)), axis=1)
        return torch.from_numpy(np.concatenate([half, half[:, ::-1]]))
