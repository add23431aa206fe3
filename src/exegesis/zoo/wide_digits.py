"""What the recipes of the four wide digit networks share. They differ in one thing each, and in how modular they are.

After Filan et al., Clusterability in Neural Networks (arXiv 2103.03386), section 4.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.random import Generator
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.zoo import train_digits
from exegesis.zoo.training import Recipe

L1 = 1e-4
SPARSITY = 0.9
_STARTS, _LASTS = 0.25, 0.5  # shares of the steps before pruning, and of those in which it goes on


def loss_with_l1(network: nn.Module, behavior: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy, plus 0.0001 times the sum of the absolute weights."""
    weights = torch.stack([layer.weight.abs().sum() for layer in _linear(network)])
    return train_digits.loss(network, behavior, rng) + L1 * weights.sum()


def prune(network: nn.Module, done: float) -> None:
    """Sets the smallest weights of each layer to zero: none in the first quarter of the steps, nine in ten from three
    quarters on, and in between by the cubic schedule of Zhu and Gupta (arXiv 1710.01878, equation 1)."""
    progress = min(1.0, max(0.0, (done - _STARTS) / _LASTS))
    share = SPARSITY * (1 - (1 - progress) ** 3)
    with torch.no_grad():
        for layer in _linear(network):
            count = int(share * layer.weight.numel())
            if count:
                limit = layer.weight.abs().flatten().kthvalue(count).values
                layer.weight[layer.weight.abs() <= limit] = 0


def _linear(network: nn.Module) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


def recipe(
    name: str,
    how: str,
    *,
    loss: Callable[[nn.Module, Behavior, Generator], Tensor] = train_digits.loss,
    after_step: Callable[[nn.Module, float], None] | None = None,
) -> Recipe:
    """The recipe of one of the four."""
    return Recipe(
        name=name,
        what=f"says which digit an image of 8 × 8 pixels shows; trained {how}",
        architecture="dense, 64-192-192-192-10 with ReLU",
        data=train_digits.RECIPE.data,
        behavior=train_digits.behavior,
        loss=loss,
        steps=2000,
        learning_rate=3e-3,
        weight_decay=0.01,
        after_step=after_step,
    )
