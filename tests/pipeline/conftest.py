"""A transformer made by hand, whose algorithm is known: it answers with the letter that occurred more often so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exegesis.behavior import Argmax, Behavior
from exegesis.evidence import Verdict

NETWORK = '''
import torch
from torch import nn


class Majority(nn.Module):
    """Letters a and b are the first two directions; one head averages them; the unembedding compares."""

    def __init__(self, scale=4.0):
        super().__init__()
        self.embed = nn.Embedding(3, 4)
        self.qkv = nn.Linear(4, 12, bias=False)
        self.write = nn.Linear(4, 4, bias=False)
        self.unembed = nn.Linear(4, 3, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self.embed.weight[:, :3] = torch.eye(3)
            self.qkv.weight[8:, :] = torch.eye(4)
            self.write.weight[2, 0], self.write.weight[3, 1] = 1.0, 1.0
            self.unembed.weight[0, 2:], self.unembed.weight[1, 2:] = (
                scale * torch.tensor([1.0, -1.0]),
                scale * torch.tensor([-1.0, 1.0]),
            )
            self.unembed.weight[2, 2] = -100.0

    def forward(self, input_ids):
        x = self.embed(input_ids)
        b, s, d = x.shape
        q, k, v = (t.view(b, s, 1, d).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.unembed(x + self.write(z.transpose(1, 2).reshape(b, s, d)))


def build():
    return Majority().eval()


def build_other():
    return Majority(scale=3.0).eval()


def build_constant():
    return Majority(scale=0.0).eval()
'''


def rows(n: int, seed: int) -> list[dict[str, list[int]]]:
    """Strings of a and b after a bos, scored where one letter leads."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        letters = rng.integers(0, 2, int(rng.integers(3, 9)))
        lead = np.cumsum(1 - 2 * letters)
        scored = [i + 1 for i in range(len(letters)) if lead[i] != 0]
        expected = [int(lead[i - 1] < 0) for i in scored]
        found.append({"input_ids": [2, *letters.tolist()], "scored": scored, "expected": expected})
    return found


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a function `build`, as a user would bring it."""
    path = tmp_path_factory.mktemp("network") / "network.py"
    path.write_text(NETWORK)
    return path


@pytest.fixture(scope="session")
def behavior() -> Behavior:
    """What the network does."""
    splits = {name: rows(n, seed) for name, n, seed in (("train", 300, 0), ("test", 300, 1))}
    return Behavior.from_sequences("majority", ["a", "b", "bos"], splits, Argmax())


def files_of(run: Path) -> dict[str, bytes]:
    """Every file of a run, but for what a verdict says of time and memory."""
    found = {path.name: path.read_bytes() for path in sorted(run.iterdir()) if path.is_file()}
    verdict = Verdict.from_json(found["verdict.json"].decode())
    return {**found, "verdict.json": verdict.to_json(timings=False).encode()}


@pytest.fixture
def shown() -> Callable[[Path], dict[str, bytes]]:
    """The bytes of a run."""
    return files_of
