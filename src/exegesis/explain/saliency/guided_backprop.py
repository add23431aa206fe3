"""Guided backpropagation: the gradient with negative signals dropped at every ReLU (Springenberg et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from exegesis.explain.chunks import chunk_size
from exegesis.explain.saliency.gradient import gradients
from exegesis.explain.saliency.method import Found, Setting, UndefinedMethodError
from exegesis.explain.saliency.watching import RELU, Replacing


class _GuidedRelu(torch.autograd.Function):
    """A ReLU whose way back lets through only positive signals, where the input was positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.clamp(min=0)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        passed: Tensor = grad.clamp(min=0) * (out > 0)
        return passed


@dataclass(frozen=True)
class GuidedBackprop:
    """∂f/∂x, with max(·, 0) of what comes back at every ReLU, whichever way the network calls it."""

    name: ClassVar[str] = "guided-backprop"
    title: ClassVar[str] = "Guided backpropagation"
    caveat: ClassVar[str] = (
        "It largely redraws the input: published tests (Adebayo et al. 2018) find it hardly changed by random weights."
    )

    def attribute(self, setting: Setting) -> Found:
        """See `Method.attribute`. Undefined for a network without a ReLU."""
        objective = setting.objective
        chunk = chunk_size(objective, len(objective), setting.chunk)
        with Replacing(RELU, _GuidedRelu.apply) as guided:
            values = gradients(objective, chunk)
        if not guided.count:
            raise UndefinedMethodError(f"Guided backpropagation changes ReLUs, and {objective.model.name} calls none.")
        return Found(values, chunk, slopes=True)
