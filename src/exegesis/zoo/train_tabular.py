"""Train `tabular`: is a tumour malignant, by thirty measurements of its cells?

    python -m exegesis.zoo.train_tabular --seed 0 --out DIR

The 569 rows that come with scikit-learn: 379 to train on, 190 to test. Columns keep their units and names; the network
standardises them itself.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.zoo.training import Recipe, main

TEST = 190
BATCH = 64


def behavior(rng: Generator) -> Behavior:
    """The task with its splits."""
    table = load_breast_cancer()
    order = rng.permutation(len(table.data))
    x, y = table.data[order].astype(np.float32), table.target[order]
    splits = {"train": (x[TEST:], y[TEST:]), "test": (x[:TEST], y[:TEST])}
    return Behavior.from_arrays(
        "tabular",
        splits,
        Argmax(),
        task="is the tumour malignant?",
        output_names=[str(name) for name in table.target_names],
        features=[str(name) for name in table.feature_names],
    )


def loss(network: nn.Module, behavior: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy on rows drawn from the training split."""
    train = behavior.arrays("train")
    batch = train.gather(rng.integers(len(train), size=BATCH))
    return F.cross_entropy(network(torch.from_numpy(batch.x)), torch.from_numpy(batch.expected))


RECIPE = Recipe(
    name="tabular",
    what="says whether a tumour is malignant, by thirty measurements of its cells",
    architecture="columns standardised by batch normalisation, then dense, 30-24-24-2 with ReLU",
    data="the table of tumours that comes with scikit-learn (W. Wolberg, O. Mangasarian, N. Street, W. Street: Breast "
    "Cancer Wisconsin (Diagnostic), UCI, CC BY 4.0)",
    behavior=behavior,
    loss=loss,
    steps=300,
    learning_rate=3e-3,
    weight_decay=0.05,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
