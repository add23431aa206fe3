"""Networks and behaviours that tests of explanations share; what makes them is in `explain_networks`."""

import sys
from pathlib import Path

import pytest
import torch

from exegesis.behavior import Behavior
from exegesis.runtime import Network, load

sys.path.insert(0, str(Path(__file__).resolve().parent))

from explain_networks import Convnet, Linear, LinearImages, make_behavior


@pytest.fixture
def convnet() -> Network:
    torch.manual_seed(1)
    return load(Convnet())


@pytest.fixture
def images() -> Behavior:
    return make_behavior((1, 12, 12), 4)


@pytest.fixture
def linear() -> Network:
    torch.manual_seed(2)
    return load(Linear())


@pytest.fixture
def linear_images() -> Network:
    torch.manual_seed(3)
    return load(LinearImages())


@pytest.fixture
def table() -> Behavior:
    return make_behavior((6,), 3)


@pytest.fixture
def small_images() -> Behavior:
    return make_behavior((1, 8, 8), 3)
