"""Train `residual`: which shape is in the picture?

    python -m exegesis.zoo.train_residual --seed 0 --out DIR

Pictures of 16 × 16 pixels in colour, drawn here: a disc, a square, a triangle or a cross of any colour and size,
anywhere on a ground of another colour. Colour, size and place say nothing about the shape.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from numpy.random import Generator
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.zoo.training import Recipe, main

SIDE = 16
TRAIN, TEST = 2400, 600
BATCH = 64
SHAPES = ("disc", "square", "triangle", "cross")


def mask(shape: int, radius: float, x: float, y: float) -> Bool[np.ndarray, "side side"]:
    """Which pixels a shape covers; its centre and radius are in pixels."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    across, down = np.abs(columns - x), rows - y
    inside: Bool[np.ndarray, "side side"]
    match SHAPES[shape]:
        case "disc":
            inside = across**2 + down**2 <= radius**2
        case "square":
            inside = np.maximum(across, np.abs(down)) <= 0.85 * radius
        case "triangle":
            inside = (np.abs(down) <= radius) & (across <= (down + radius) / 2)
        case _:
            arm = max(0.3 * radius, 0.5)
            inside = (np.minimum(across, np.abs(down)) <= arm) & (np.maximum(across, np.abs(down)) <= radius)
    return inside


def pictures(n: int, rng: Generator) -> tuple[UInt8[np.ndarray, "n c side side"], np.ndarray]:
    """Pictures [n, 3, 16, 16] and their shapes [n]."""
    shapes = rng.integers(len(SHAPES), size=n)
    radius = rng.uniform(3, 5.5, size=n)
    places = rng.uniform(radius, SIDE - 1 - radius, size=(2, n))
    grounds = rng.integers(0, 4, size=(n, 3)) * 60
    colours = (grounds + rng.integers(1, 4, size=(n, 3)) * 60) % 240  # another level in every channel
    covered = np.stack([mask(*one) for one in zip(shapes.tolist(), radius, *places, strict=True)])
    drawn = np.where(covered[:, None], colours[:, :, None, None], grounds[:, :, None, None])
    return drawn.astype(np.uint8), shapes.astype(np.int64)


def behavior(rng: Generator) -> Behavior:
    """The task with its splits."""
    splits = {"train": pictures(TRAIN, rng), "test": pictures(TEST, rng)}
    return Behavior.from_arrays("residual", splits, Argmax(), task="which shape?", output_names=SHAPES, scale=255.0)


def loss(network: nn.Module, behavior: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy on fresh pictures, never those of the splits."""
    x, y = pictures(BATCH, rng)
    network.train()  # batch normalisation learns its statistics
    return F.cross_entropy(network(torch.from_numpy(x).float() / 255), torch.from_numpy(y))


RECIPE = Recipe(
    name="residual",
    what="says which of four shapes is in a small picture in colour",
    architecture="a residual network as for CIFAR: a convolution, three blocks of two convolutions with batch "
    "normalisation (8, 16 and 16 channels; the second halves the picture), the mean over the picture, a linear layer",
    data="pictures drawn by the training script",
    behavior=behavior,
    loss=loss,
    steps=1500,
    learning_rate=1e-2,
    weight_decay=1e-3,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
