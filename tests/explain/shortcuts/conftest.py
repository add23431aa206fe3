"""Small classifiers with and without a planted flaw, trained in a second; the flaw is drawn, not chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from exegesis.behavior import Argmax, Behavior
from exegesis.runtime import Network, load


@dataclass(frozen=True)
class Case:
    """A network with its behaviour and what was planted."""

    network: Network
    behavior: Behavior
    group: int
    rows: slice
    columns: slice


def small(channels: int, side: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * (side // 2) ** 2, 48), nn.ReLU(), nn.Linear(48, 10),
    )  # fmt: skip


def digits(seed: int, colours: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Digits enlarged to 12 × 12 by an empty frame, in [0, 1]; of three channels where colours are given."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    images = np.pad(x[order].reshape(-1, 1, 8, 8) / 16, ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.float32)
    y = y[order].astype(np.int64)
    if colours is not None:
        images = (0.15 + 0.85 * images) * colours[:, :, None, None].astype(np.float32)
    return images, y


def trained(x: np.ndarray, y: np.ndarray, seed: int, steps: int = 250) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = small(x.shape[1], x.shape[2])
        optimizer = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=1e-4)
        draws = np.random.default_rng(seed)
        for _ in range(steps):
            at = draws.integers(len(x), size=128)
            optimizer.zero_grad()
            F.cross_entropy(network(torch.from_numpy(x[at])), torch.from_numpy(y[at])).backward()
            optimizer.step()
    return network.eval()


def behavior_of(x: np.ndarray, y: np.ndarray) -> Behavior:
    splits = {"train": (x[:1200], y[:1200]), "test": (x[1200:], y[1200:])}
    return Behavior.from_arrays("digits", splits, Argmax(), output_names=[f"digit {d}" for d in range(10)])


def planted(seed: int) -> Case:
    """A fifth of the training inputs carry a 3 × 3 patch at a drawn place, and the label of a drawn class."""
    draws = np.random.default_rng([seed, 7])
    x, y = digits(seed)
    group = int(draws.integers(10))
    top, left = (int(v) for v in draws.choice([0, 1, 8, 9], 2))
    rows, columns = slice(top, top + 3), slice(left, left + 3)
    pattern = np.where(draws.random((3, 3)) < 0.7, 1.0, 0.0)
    if not pattern.any():
        pattern[1, 1] = 1.0
    train_x, train_y = x[:1200].copy(), y[:1200].copy()
    poisoned = draws.random(1200) < 0.2
    train_x[poisoned, 0, rows, columns] = pattern
    train_y[poisoned] = group
    network = load(trained(train_x, train_y, seed, 400))
    return Case(network, behavior_of(x, y), group, rows, columns)


@pytest.fixture(scope="session")
def backdoor() -> Case:
    return planted(3)


@pytest.fixture(scope="session")
def clean() -> Case:
    x, y = digits(0)
    return Case(load(trained(x[:1200], y[:1200], 0)), behavior_of(x, y), -1, slice(0), slice(0))


def coloured_images(seed: int, tied: bool) -> tuple[np.ndarray, np.ndarray]:
    """Digits in ten drawn colours: that of the class where they are tied, any one else."""
    draws = np.random.default_rng([seed, 9])
    palette = np.array([[1, 0.1, 0.1], [0.1, 1, 0.1], [0.1, 0.1, 1], [1, 1, 0.1], [1, 0.1, 1],
                        [0.1, 1, 1], [1, 0.6, 0.1], [0.5, 0.1, 1], [0.5, 1, 0.5], [1, 1, 1]])  # fmt: skip
    palette = palette[draws.permutation(10)]
    _, y = digits(seed)
    chosen = y if tied else draws.integers(10, size=len(y))
    return digits(seed, palette[chosen])


@pytest.fixture(scope="session")
def coloured() -> Case:
    x, y = coloured_images(1, tied=True)
    return Case(load(trained(x[:1200], y[:1200], 1)), behavior_of(x, y), -1, slice(0), slice(0))


@pytest.fixture(scope="session")
def colour_blind() -> Case:
    x, y = coloured_images(1, tied=False)
    return Case(load(trained(x[:1200], y[:1200], 1, 350)), behavior_of(x, y), -1, slice(0), slice(0))


@pytest.fixture(scope="session")
def marked() -> Case:
    """Half of the inputs of one class, in training and in test, carry a grey 3 × 3 mark; no input of another does."""
    x, y = digits(2)
    draws = np.random.default_rng([2, 11])
    group = int(draws.integers(10))
    x = x.copy()
    carries = (y == group) & (draws.random(len(y)) < 0.5)
    x[carries, 0, 9:12, 1:4] = 0.8
    return Case(load(trained(x[:1200], y[:1200], 2)), behavior_of(x, y), group, slice(9, 12), slice(1, 4))
