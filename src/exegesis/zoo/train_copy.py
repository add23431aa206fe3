"""Train `copy`: say the letters before `<sep>` again.

    python -m exegesis.zoo.train_copy --seed 0 --out DIR

No letter occurs twice in a string, so looking up what followed the last letter is enough, and works at any length.
"""

from __future__ import annotations

import string
import sys

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from numpy.random import Generator
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow, Vocabulary
from exegesis.zoo.training import Recipe, main

LETTERS = 26
BOS, SEP, EOS = LETTERS, LETTERS + 1, LETTERS + 2
POSITIONS = 64
LONGEST = 10
BATCH = 128


def draw(rng: Generator, n: int, length: int) -> Int[np.ndarray, "n s"]:
    """n inputs `<bos> letters <sep> letters <eos>`, [n, 2 length + 3]."""
    letters = rng.permuted(np.tile(np.arange(LETTERS), (n, 1)), axis=1)[:, :length]
    bos, sep, eos = (np.full((n, 1), token) for token in (BOS, SEP, EOS))
    return np.concatenate([bos, letters, sep, letters, eos], axis=1)


def rows(rng: Generator, n: int, shortest: int, longest: int, offsets: bool, seen: set[bytes]) -> list[SequenceRow]:
    """n rows, none of which was seen before; scored from `<sep>` to the last letter."""
    found: list[SequenceRow] = []
    while len(found) < n:
        length = int(rng.integers(shortest, longest + 1))
        ids = draw(rng, 1, length)[0].tolist()
        if bytes(ids) in seen:
            continue
        seen.add(bytes(ids))
        start = int(rng.integers(POSITIONS - len(ids) + 1)) if offsets else 0
        scored = list(range(length + 1, len(ids) - 1))
        found.append(SequenceRow(ids, scored, list(range(start, start + len(ids))), ids[length + 2 :]))
    return found


def behavior(rng: Generator) -> Behavior:
    """The task with its splits; `long` has up to twice the length of training."""
    seen: set[bytes] = set()
    splits = {
        "train": rows(rng, 600, 1, LONGEST, True, seen),
        "test": rows(rng, 300, 1, LONGEST, False, seen),
        "long": rows(rng, 150, LONGEST + 1, 2 * LONGEST, False, seen),
    }
    words = Vocabulary((*string.ascii_lowercase, "<bos>", "<sep>", "<eos>"), bos=BOS, sep=SEP, eos=EOS)
    return Behavior.from_sequences(
        "copy", words, splits, Argmax(), task="the letters before <sep> once more, then <eos>; no letter occurs twice"
    )


def loss(network: nn.Module, _: Behavior, rng: Generator) -> Tensor:
    """Cross-entropy of the copy on a fresh batch of one length."""
    length = int(rng.integers(1, LONGEST + 1))
    ids = torch.from_numpy(draw(rng, BATCH, length))
    s = ids.shape[1]
    positions = rng.integers(POSITIONS - s + 1, size=(BATCH, 1)) + np.arange(s)
    logits = network(ids, torch.from_numpy(positions))[:, length + 1 : -1]
    return F.cross_entropy(logits.flatten(0, 1), ids[:, length + 2 :].flatten())


RECIPE = Recipe(
    name="copy",
    what="repeats the letters before <sep>, then says <eos>",
    architecture="GPT-style transformer, two attention-only layers of one head (scaled_dot_product_attention, fused "
    "projection), layer norms, width 64, 64 learned positions",
    data="uniformly drawn strings of 1 to 10 different letters out of 26 (`long`: 11 to 20); position ids start at "
    "random in train",
    behavior=behavior,
    loss=loss,
    steps=3000,
    learning_rate=3e-3,
    weight_decay=0.1,
)

if __name__ == "__main__":
    sys.exit(main(RECIPE))
