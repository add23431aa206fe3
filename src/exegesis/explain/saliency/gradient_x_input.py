"""Gradient times input: the first-order share of each input number (Shrikumar et al. 2016, arXiv 1605.01713)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from exegesis.explain.chunks import chunk_size
from exegesis.explain.saliency.gradient import gradients
from exegesis.explain.saliency.method import Found, Setting


@dataclass(frozen=True)
class GradientXInput:
    """x · ∂f/∂x. It sums to f(x) only where f is piecewise linear without biases, so no sum is claimed."""

    name: ClassVar[str] = "gradient-x-input"
    title: ClassVar[str] = "Gradient × input"
    caveat: ClassVar[str] = "Where the input is zero it is zero, whatever the network does there."

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`."""
        objective = setting.objective
        chunk = chunk_size(objective, len(objective), setting.chunk)
        return Found(gradients(objective, chunk) * objective.start, chunk)
