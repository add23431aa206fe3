"""Occlusion: how much the explained number falls when a window is covered (Zeiler and Fergus 2014, arXiv 1311.2901)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.saliency.features import windows
from exegesis.explain.saliency.integrated_gradients import value_at
from exegesis.explain.saliency.method import Found, Setting, fitted_baseline


@dataclass(frozen=True, eq=False)
class Occlusion:
    """f(x) − f(x with the window at the baseline), averaged over the windows that cover a number.

    Args:
        size: side of the square window in pixels. Columns of a table and tokens are covered one by one.
        stride: by how many pixels it moves.
        baseline: what covers: a number, an array shaped like one input, or one per row.
    """

    size: int = 4
    stride: int = 2
    baseline: float | NDArray[np.floating] = 0.0

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    caveat: ClassVar[str] = (
        "Covered inputs are unlike any the network was trained on; parts that stand in for each other hide each other."
    )

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        start, n = objective.start, len(objective)
        baseline = fitted_baseline(self.baseline, start)
        masks = windows(objective.inputs, tuple(start.shape[1:]), self.size, self.stride).to(start.device)
        chunk = chunk_size(objective, n * len(masks), setting.chunk, gradients=False)
        whole = value_at(objective, start, chunk)
        fallen = torch.empty(n * len(masks), dtype=start.dtype, device=start.device)
        with torch.no_grad():
            for part in parts(n * len(masks), chunk):
                rows, window = part // len(masks), part % len(masks)
                covered = torch.where(masks[window], baseline[rows], start[rows])
                fallen[part] = whole[rows] - objective.values(covered, rows)
        if objective.inputs.tokens is not None:  # one fall per token, not one for each entry of its embedding
            return Found(fallen.view(n, -1), chunk)
        flat = masks.flatten(1).to(start)
        values = fallen.view(n, -1) @ flat / flat.sum(0)
        return Found(values.view(start.shape), chunk)
