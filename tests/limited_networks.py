"""Networks whose limits are known because we put them there."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.runtime import Network, load

LETTERS = 6
BOS = LETTERS
Fails = Callable[[Tensor, Tensor], Tensor]


class Echo(nn.Module):
    """Says the token itself at every position, and the next letter where it is told to fail."""

    def __init__(self, fails: Fails) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS + 1, LETTERS + 1)
        self.embedding.weight = nn.Parameter(torch.eye(LETTERS + 1))
        self.fails = fails

    def forward(self, input_ids: Tensor) -> Tensor:
        right = self.embedding(input_ids)
        wrong = self.embedding((input_ids + 1) % LETTERS)
        places = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        return torch.where(self.fails(input_ids, places)[..., None], wrong, right)


def echo(fails: Fails) -> Network:
    """The network with failures where `fails(ids, places)` says so."""
    return load(Echo(fails))


def echo_behavior(rows: int = 120, longest: int = 30, seed: int = 0) -> Behavior:
    """Random strings of letters; every letter is to be said again."""
    rng = np.random.default_rng(seed)
    labels = [*"abcdef", "<bos>"]

    def line() -> dict[str, list[int]]:
        letters = rng.integers(0, LETTERS, int(rng.integers(4, longest))).tolist()
        return {"input_ids": [BOS, *letters], "scored": [*range(1, len(letters) + 1)], "expected": letters}

    splits = {"train": [line() for _ in range(rows)], "test": [line() for _ in range(rows)]}
    return Behavior.from_sequences("echo", labels, splits, Argmax())
