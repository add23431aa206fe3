"""Gradient: how the explained number changes with each input number (Simonyan et al. 2014, arXiv 1312.6034)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from exegesis.explain.chunks import chunk_size, parts
from exegesis.explain.model import Objective
from exegesis.explain.saliency.method import Found, Setting


@dataclass(frozen=True)
class Gradient:
    """The derivative at the input, signed."""

    name: ClassVar[str] = "gradient"
    title: ClassVar[str] = "Gradient"
    caveat: ClassVar[str] = "It says what a tiny change would do, not what the input contributes."

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        chunk = chunk_size(objective, len(objective), setting.chunk)
        return Found(gradients(objective, chunk), chunk, slopes=True)


def gradients(objective: Objective, chunk: int) -> torch.Tensor:
    """The gradient [n, ...] at the inputs of all rows."""
    return torch.cat([objective.gradient(objective.start[p], p)[1] for p in parts(len(objective), chunk)])
