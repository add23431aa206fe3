"""Train `digits`: which digit is on the image?

    python -m exegesis.zoo.train_digits --seed 0 --out DIR

The 1,797 images that come with scikit-learn, of 8 × 8 pixels with 17 shades: 1,297 to train on, 500 to test.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from sklearn.datasets import load_digits
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.zoo.training import Recipe, main

TEST = 500
BATCH = 128
WHITE = 16.0


def behavior(rng: Generator, name: str = "digits", shape: tuple[int, ...] = (64,)) -> Behavior:
    """The task with its splits, each image in the given shape."""
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    images, answers = x[order].astype(np.uint8).reshape(-1, *shape), y[order]
    splits = {"train": (images[TEST:], answers[TEST:]), "test": (images[:TEST], answers[:TEST])}
    digits = [str(digit) for digit in range(10)]
    return Behavior.from_arrays(name, splits, Argmax(), task="which digit?", output_names=digits, scale=WHITE)


def loss(network: nn.Module, behavior: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy on images drawn from the training split."""
    train = behavior.arrays("train")
    batch = train.gather(rng.integers(len(train), size=BATCH))
    return F.cross_entropy(network(torch.from_numpy(batch.x)), torch.from_numpy(batch.expected))


RECIPE = Recipe(
    name="digits",
    what="says which digit an image of 8 × 8 pixels shows",
    architecture="dense, 64-48-48-10 with ReLU and dropout",
    data="the digits that come with scikit-learn (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, "
    "UCI, CC BY 4.0)",
    behavior=behavior,
    loss=loss,
    steps=3000,
    learning_rate=3e-3,
    weight_decay=0.01,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
