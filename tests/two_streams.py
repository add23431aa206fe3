"""A network of two parts that share nothing, each of which tells two of four classes apart; and its doubles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior

PER = 16  # hidden neurons of each part


class TwoStreams(nn.Module):
    """Inputs 0-3 decide how much classes 0 and 1 get, inputs 4-7 classes 2 and 3. With `copies`, each part is there
    so many times, side by side, and the answer takes what the copies agree on at most."""

    def __init__(self, copies: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        n = 2 * PER * copies
        self.a, self.b, self.c = nn.Linear(8, n), nn.Linear(n, n), nn.Linear(n, 4)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            for copy in range(copies):
                for part in range(2):
                    units = slice((2 * copy + part) * PER, (2 * copy + part + 1) * PER)
                    for k in range(PER):
                        row = units.start + k
                        own, other = 4 * part + 2 * (k % 2), 4 * part + 2 * (1 - k % 2)
                        self.a.weight[row, own : own + 2], self.a.weight[row, other : other + 2] = 1, -0.5
                        self.b.weight[row, units] = -0.5 / (PER // 2)
                        self.b.weight[row, units.start + k % 2 : units.stop : 2] = 1.0 / (PER // 2)
                        self.c.weight[2 * part + k % 2, row] = 1.0 / (copies * (PER // 2))
                        self.c.weight[2 * part + 1 - k % 2, row] = -0.5 / (copies * (PER // 2))
            for layer in (self.a, self.b, self.c):
                noise = 0.02 * torch.rand(layer.weight.shape, generator=generator)
                layer.weight += noise if copies == 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c(torch.relu(self.b(torch.relu(self.a(x)))))
        return out


def behavior(n: int = 240, seed: int = 0) -> Behavior:
    """Inputs with one pair of numbers large: the answer is which."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    x = 0.4 * rng.random((n, 8))
    for k in range(2):
        x[np.arange(n), 2 * y + k] += 0.6
    rows = rng.permutation(n)
    data = (x[rows].astype(np.float32), y[rows])
    return Behavior.from_arrays("pairs", {"train": data, "test": data}, Argmax(), output_names=list("abcd"))
