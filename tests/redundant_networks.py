"""A small transformer with planted redundancy, and what passes need to look at it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.behavior import Argmax, SequenceSplit
from exegesis.ir import Graph
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.passes.manager import Setting

WIDTH, USED, HEADS, NEURONS = 16, 6, 4, 24


class Redundant(nn.Module):
    """One block of four heads and 24 neurons in a stream of 16 numbers.

    Only the first two heads write, and the second of these says what the first does; eight neurons are copies of eight
    others, and eight are dead. Embeddings use six directions of the stream; the unembedding reads only these.
    """

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def numbers(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator))

        basis = torch.linalg.qr(torch.randn(WIDTH, USED, generator=generator))[0]
        self.embed, self.place = nn.Embedding(7, WIDTH), nn.Embedding(12, WIDTH)
        self.qkv, self.write = numbers(3, HEADS, WIDTH, 4), numbers(HEADS, 4, WIDTH)
        self.into, self.bias, self.out = numbers(WIDTH, NEURONS), numbers(NEURONS), numbers(NEURONS, WIDTH)
        self.unembed = numbers(WIDTH, 7)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) if norm else nn.Identity() for _ in range(3))
        with torch.no_grad():
            for table in (self.embed, self.place):
                table.weight.copy_(torch.randn(len(table.weight), USED, generator=generator) @ basis.T)
            self.qkv.copy_(torch.einsum("ij,zhjk->zhik", basis @ basis.T, self.qkv))
            self.write.copy_(0.5 * self.write @ basis @ basis.T)
            self.qkv[:, 1], self.write[2:] = self.qkv[:, 0], 0.0
            self.out.copy_(0.3 * self.out @ basis @ basis.T)
            self.into.copy_(basis @ basis.T @ self.into)
            self.into[:, 8:16], self.bias[8:16], self.bias[16:] = 1.0 * self.into[:, :8], 1.0 * self.bias[:8], -100.0
            self.unembed.copy_(basis @ basis.T @ self.unembed)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed(input_ids) + self.place(torch.arange(input_ids.shape[1]))[None]
        h = self.norms[0](x)
        q, k, v = (torch.einsum("bsd,hde->bhse", h, w) for w in (self.qkv[0], self.qkv[1], self.qkv[2]))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + torch.einsum("bhse,hed->bsd", z, self.write)
        x = x + F.relu(self.norms[1](x) @ self.into + self.bias) @ self.out
        logits: Tensor = self.norms[2](x) @ self.unembed
        return logits


def redundant(norm: bool = True, rows: int = 120) -> tuple[Graph, Setting]:
    """The lifted network and benches of random sequences of ten tokens."""
    tokens = np.random.default_rng(0).integers(0, 7, size=(rows, 10))
    graph = lift(Redundant(norm).eval(), {"input_ids": torch.from_numpy(tokens[:3])}).graph
    halves = (tokens[: rows // 2], tokens[rows // 2 :])
    fit, held = (Bench(graph, Argmax(), split_of(part), max_tokens=400) for part in halves)
    return graph, Setting(fit, held, Argmax(), 0, None, graph)


def split_of(tokens: np.ndarray) -> SequenceSplit:
    rows, length = tokens.shape
    offsets = np.arange(rows + 1) * length
    return SequenceSplit("train", tokens.reshape(-1), offsets, np.ones(rows * length, dtype=bool), None, None)
