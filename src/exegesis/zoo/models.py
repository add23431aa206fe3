"""The networks of the zoo, written the way ordinary people write them."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def positions_or_default(input_ids: Tensor, position_ids: Tensor | None) -> Tensor:
    """The position ids [b, s], or 0 … s-1 [1, s] where none are given."""
    if position_ids is None:
        return torch.arange(input_ids.shape[1], device=input_ids.device)[None, :]
    return position_ids


class CountingTransformer(nn.Module):
    """One causal attention head, spelled out, and no MLP. `input_ids` [b, s] to logits [b, s, vocabulary].

    Args:
        vocabulary: how many tokens there are.
        positions: how many positions it can tell apart.
        width: size of the residual stream and of the head.
    """

    def __init__(self, vocabulary: int = 8, positions: int = 64, width: int = 32) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.position_embedding = nn.Embedding(positions, width)
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(0.1)
        self.final_norm = nn.LayerNorm(width)
        self.unembedding = nn.Linear(width, vocabulary, bias=False)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        positions = positions_or_default(input_ids, position_ids)
        x = self.dropout(self.token_embedding(input_ids) + self.position_embedding(positions))
        h = self.attention_norm(x)
        scores = self.query(h) @ self.key(h).transpose(-2, -1) / math.sqrt(h.shape[-1])
        length = input_ids.shape[1]
        past = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
        weights = scores.masked_fill(~past, float("-inf")).softmax(dim=-1)
        x = x + self.dropout(self.output(weights @ self.value(h)))
        logits: Tensor = self.unembedding(self.final_norm(x))
        return logits


class CausalSelfAttention(nn.Module):
    """Causal attention with a fused projection and PyTorch's own kernel."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        b, s, width = x.shape
        q, k, v = (
            part.view(b, s, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.dropout(self.proj(y.transpose(1, 2).reshape(b, s, width)))
        return out


class CopyingTransformer(nn.Module):
    """Attention-only blocks in the style of GPT. `input_ids` [b, s] to logits [b, s, vocabulary].

    Args:
        vocabulary: how many tokens there are.
        positions: how many positions it can tell apart.
        width: size of the residual stream.
        layers, heads: how many blocks, and heads per block.
    """

    def __init__(
        self, vocabulary: int = 29, positions: int = 64, width: int = 64, layers: int = 2, heads: int = 1
    ) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(positions, width)
        self.dropout = nn.Dropout(0.2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.attentions = nn.ModuleList(CausalSelfAttention(width, heads, dropout=0.2) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        x = self.dropout(self.wte(input_ids) + self.wpe(positions_or_default(input_ids, position_ids)))
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            x = x + attention(norm(x))
        logits: Tensor = self.head(self.norm(x))
        return logits


class WideDigits(nn.Module):
    """64-192-192-192-10 with ReLU: images of 8 × 8 pixels in [0, 1], flat [b, 64], to logits [b, 10].

    Args:
        width: of the three hidden layers.
        dropout: share of the neurons that are left out while training.
    """

    def __init__(self, width: int = 192, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = (64, width, width, width)
        hidden = [(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)) for a, b in pairwise(sizes)]
        self.layers = nn.Sequential(*(part for block in hidden for part in block), nn.Linear(width, 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


class DenseDigits(nn.Module):
    """64-48-48-10 with ReLU: images of 8 × 8 pixels in [0, 1], flat [b, 64], to logits [b, 10]."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


class ConvolvedDigits(nn.Module):
    """Two convolutions, max pooling and two linear layers: images of 8 × 8 pixels in [0, 1], [b, 1, 8, 8], to [b, 10].

    Args:
        channels: of both convolutions.
        width: of the hidden linear layer.
    """

    def __init__(self, channels: tuple[int, int] = (12, 16), width: int = 32) -> None:
        super().__init__()
        first, second = channels
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.hidden = nn.Linear(second * 4 * 4, width)
        self.dropout = nn.Dropout(0.2)
        self.logits = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.conv1(x))
        h = F.max_pool2d(F.relu(self.conv2(h)), 2)
        logits: Tensor = self.logits(self.dropout(F.relu(self.hidden(h.flatten(1)))))
        return logits


class ResidualBlock(nn.Module):
    """Two convolutions of 3 × 3 with batch normalisation, beside what they read. [b, c, h, w] to [b, out, h/s, w/s].

    Args:
        channels: read and given.
        stride: of the first convolution; where the shape changes, the shortcut is a convolution of 1 × 1.
    """

    def __init__(self, channels: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        before, after = channels
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(h + self.shortcut(x))


class ResidualShapes(nn.Module):
    """A small residual network: pictures of 16 × 16 pixels in [0, 1], [b, 3, 16, 16], to logits [b, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(ResidualBlock((8, 8)), ResidualBlock((8, 16), 2), ResidualBlock((16, 16)))
        self.logits = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.blocks(F.relu(self.norm(self.conv(x))))
        logits: Tensor = self.logits(F.adaptive_avg_pool2d(h, 1).flatten(1))
        return logits


class TableReader(nn.Module):
    """30-24-24-2 with ReLU over standardised columns: rows of a table in their own units, [b, 30], to logits [b, 2].

    Args:
        columns: of the table.
        width: of both hidden layers.
    """

    def __init__(self, columns: int = 30, width: int = 24) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm1d(columns, affine=False)
        self.layers = nn.Sequential(
            nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.standardise(x))
        return logits


class RowReader(nn.Module):
    """A GRU over the rows of an image: [b, 8, 8] to logits [b, 10] from its last state.

    Args:
        width: of the state.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.gru = nn.GRU(8, width, batch_first=True)
        self.logits = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.gru(x)
        logits: Tensor = self.logits(states[:, -1])
        return logits
