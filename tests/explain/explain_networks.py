"""Small networks written the way people write them, and behaviours over a few arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain import Model, NetworkModel, Objective, Target, read_inputs
from exegesis.explain.saliency import Setting
from exegesis.ir import Graph
from exegesis.lift import lift
from exegesis.runtime import Network


class Convnet(nn.Module):
    """Two convolutions and two linear layers; activations as functions, not modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 8, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(8 * 5 * 5, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return self.fc2(F.relu(self.fc1(F.relu(self.conv2(x)).flatten(1))))


class Linear(nn.Module):
    """Flattens and multiplies: what every method must say of it is known."""

    def __init__(self, inputs: int = 6, outputs: int = 3) -> None:
        super().__init__()
        self.out = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x.flatten(1))


class LinearImages(nn.Module):
    """A convolution without a ReLU, and a linear layer: linear, with places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 3, 3), nn.Linear(3 * 6 * 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.conv(x).flatten(1))


def make_behavior(shape: tuple[int, ...], classes: int, n: int = 12) -> Behavior:
    draws = np.random.default_rng(0)
    x = draws.random((n, *shape)).astype(np.float32)
    y = draws.integers(classes, size=n)
    return Behavior.from_arrays("drawn", {"train": (x, y), "test": (x[: n // 2], y[: n // 2])}, Argmax())


def setting_of(network: Network, behavior: Behavior, n: int = 3, target: Target | None = None) -> Setting:
    (inputs,) = read_inputs(behavior, "test", range(n))
    objective = Objective(NetworkModel(network), inputs, target, behavior.readout)
    return Setting(objective, 0, 5, lifter(inputs.x))


def lifter(x: Tensor) -> Callable[[Model], Graph]:
    def program(model: Model) -> Graph:
        assert isinstance(model, NetworkModel)
        module = copy.deepcopy(model.network.module)
        module.load_state_dict(model.weights)
        return lift(module, (x[:3],)).graph

    return program
