"""Train `gru`: which digit is on the image, read row by row?

    python -m exegesis.zoo.train_gru --seed 0 --out DIR

The images of `digits`, each a sequence of eight rows of eight pixels, from top to bottom.
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.zoo import train_digits
from exegesis.zoo.training import Recipe, main

BATCH = 128


def behavior(rng: Generator) -> Behavior:
    """The digits with every image as eight rows, [n, 8, 8]."""
    flat = train_digits.behavior(rng)
    splits = {n: (flat.arrays(n).stored.reshape(-1, 8, 8), flat.arrays(n).y) for n in flat.splits}
    return Behavior.from_arrays(
        "gru", splits, Argmax(), task=flat.task, output_names=flat.output_names, scale=train_digits.WHITE
    )


def loss(network: nn.Module, behavior: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy on images drawn from the training split, with a little noise on their pixels."""
    train = behavior.arrays("train")
    batch = train.gather(rng.integers(len(train), size=BATCH))
    noise = torch.from_numpy(rng.normal(scale=0.05, size=batch.x.shape)).float()
    return F.cross_entropy(network(torch.from_numpy(batch.x) + noise), torch.from_numpy(batch.expected))


RECIPE = Recipe(
    name="gru",
    what="says which digit an image shows that is read row by row",
    architecture="one GRU of 32 units over eight rows of eight pixels, and a linear layer on its last state",
    data="the digits that come with scikit-learn (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, "
    "UCI, CC BY 4.0)",
    behavior=behavior,
    loss=loss,
    steps=2500,
    learning_rate=1e-2,
    weight_decay=0.01,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
