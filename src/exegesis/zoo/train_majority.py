"""Train `majority`: which letter is the most frequent?

    python -m exegesis.zoo.train_majority --seed 0 --out DIR

Strings of uniformly drawn letters, without those that have two most frequent letters. Position ids start at random in
training, so that every position is seen and none can be told from its distance to the start.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from numpy.random import Generator
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow, Vocabulary
from exegesis.zoo.training import Recipe, main

LETTERS = 6
BOS, SEP = LETTERS, LETTERS + 1
POSITIONS = 64
LONGEST = 20
BATCH = 128


def draw(rng: Generator, n: int, length: int) -> tuple[Int[np.ndarray, "n s"], Int[np.ndarray, " n"]]:
    """n inputs `<bos> letters <sep>` [n, length + 2] and the most frequent letter of each [n]."""
    letters = np.zeros((n, length), dtype=np.int64)
    answers = np.full(n, -1)
    while (open_rows := np.flatnonzero(answers < 0)).size:
        letters[open_rows] = rng.integers(LETTERS, size=(len(open_rows), length))
        counts = (letters[open_rows, :, None] == np.arange(LETTERS)).sum(1)
        untied = (counts == counts.max(1, keepdims=True)).sum(1) == 1
        answers[open_rows] = np.where(untied, counts.argmax(1), -1)
    ends = np.full((n, 1), BOS), np.full((n, 1), SEP)
    return np.concatenate([ends[0], letters, ends[1]], axis=1), answers


def rows(rng: Generator, n: int, shortest: int, longest: int, offsets: bool, seen: set[bytes]) -> list[SequenceRow]:
    """n rows, none of which was seen before."""
    found: list[SequenceRow] = []
    while len(found) < n:
        ids, answers = draw(rng, 1, int(rng.integers(shortest, longest + 1)))
        if ids.tobytes() in seen:
            continue
        seen.add(ids.tobytes())
        s = ids.shape[1]
        start = int(rng.integers(POSITIONS - s + 1)) if offsets else 0
        found.append(SequenceRow(ids[0].tolist(), [s - 1], list(range(start, start + s)), answers.tolist()))
    return found


def behavior(rng: Generator) -> Behavior:
    """The task with its splits; `long` has up to twice the length of training."""
    seen: set[bytes] = set()
    splits = {
        "train": rows(rng, 600, 1, LONGEST, True, seen),
        "test": rows(rng, 300, 1, LONGEST, False, seen),
        "long": rows(rng, 150, LONGEST + 1, 2 * LONGEST, False, seen),
    }
    words = Vocabulary((*"abcdef", "<bos>", "<sep>"), bos=BOS, sep=SEP)
    return Behavior.from_sequences(
        "majority", words, splits, Argmax(), task="the most frequent letter, said at <sep>; no ties"
    )


def loss(network: nn.Module, _: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy at `<sep>` on a fresh batch of one length."""
    ids, answers = draw(rng, BATCH, int(rng.integers(1, LONGEST + 1)))
    s = ids.shape[1]
    positions = rng.integers(POSITIONS - s + 1, size=(BATCH, 1)) + np.arange(s)
    logits = network(torch.from_numpy(ids), torch.from_numpy(positions))
    return F.cross_entropy(logits[:, -1], torch.from_numpy(answers))


RECIPE = Recipe(
    name="majority",
    what="says at <sep> which of six letters occurred most often",
    architecture="transformer, one layer of one causal attention head written out, no MLP, two layer norms, width 32, "
    "64 learned positions",
    data="uniformly drawn strings of 1 to 20 letters (`long`: 21 to 40) without ties; position ids start at random in "
    "train",
    behavior=behavior,
    loss=loss,
    steps=3000,
    learning_rate=5e-3,
    weight_decay=0.5,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
