"""Small modules that compute the same kinds of things in the different ways in which people write them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, HEAD = 12, 3, 4


def randomised(module: nn.Module) -> nn.Module:
    """All parameters drawn anew, so that no bias is zero and no scale one."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return module.eval()


class Attention(nn.Module):
    """Attention over a stream [b, s, 12] with three heads of width 4; subclasses say how."""

    causal = False

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in "qkv")
        self.o = nn.Linear(WIDTH, WIDTH)

    def weights(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Weights [h, d, e] and biases [h, e] of queries, keys and values, sliced head by head."""
        found = {}
        for name in "qkv":
            layer = getattr(self, name)
            rows = [slice(i * HEAD, (i + 1) * HEAD) for i in range(HEADS)]
            found[name] = torch.stack([layer.weight[r].T for r in rows]), torch.stack([layer.bias[r] for r in rows])
        return found

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, HEAD)).transpose(1, 2)

    def join(self, z: Tensor) -> Tensor:
        return self.o(z.transpose(1, 2).flatten(2))


class Fused(Attention):
    """Torch's own operator."""

    causal = True

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.split(p(x)) for p in (self.q, self.k, self.v))
        return self.join(F.scaled_dot_product_attention(q, k, v, is_causal=True))


class MaskedFill(Attention):
    """Division, masked_fill of the future, contiguous views."""

    causal = True

    def forward(self, x: Tensor) -> Tensor:
        b, s, _ = x.shape
        q, k, v = (p(x).view(b, s, HEADS, HEAD).permute(0, 2, 1, 3).contiguous() for p in (self.q, self.k, self.v))
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(HEAD)
        future = torch.triu(torch.ones(s, s, device=x.device), diagonal=1).bool()
        pattern = F.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
        return self.o((pattern @ v).transpose(1, 2).reshape(b, s, WIDTH))


class Where(Attention):
    """The scale on the queries, where over a lower triangle."""

    causal = True

    def forward(self, x: Tensor) -> Tensor:
        s = x.shape[1]
        q, k, v = self.split(self.q(x)) * HEAD**-0.5, self.split(self.k(x)), self.split(self.v(x))
        past = torch.ones(s, s, dtype=torch.bool).tril()
        scores = torch.where(past, q @ k.mT, torch.tensor(-1e9))
        return self.join(scores.softmax(-1) @ v)


class Added(Attention):
    """A mask that is added before the scaling, einsums, heads last."""

    causal = True

    def forward(self, x: Tensor) -> Tensor:
        s = x.shape[1]
        q, k, v = (p(x).unflatten(-1, (HEADS, HEAD)) for p in (self.q, self.k, self.v))
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k)
        scores = (scores - 1e10 * torch.ones(s, s).triu(1)) * 0.5
        return self.o(torch.einsum("bhqk,bkhe->bqhe", scores.softmax(-1), v).flatten(2))


class OneProjection(Attention):
    """Queries, keys and values by one product, no mask."""

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.cat([self.q.weight, self.k.weight, self.v.weight])
        bias = torch.cat([self.q.bias, self.k.bias, self.v.bias])
        q, k, v = (self.split(p) for p in F.linear(x, weight, bias).chunk(3, dim=-1))
        return self.join((q @ k.mT * 0.5).softmax(-1) @ v)


class Merged(Attention):
    """Batch and heads as one axis."""

    def forward(self, x: Tensor) -> Tensor:
        b, s, _ = x.shape
        q, k, v = (self.split(p(x)).reshape(b * HEADS, s, HEAD) for p in (self.q, self.k, self.v))
        z = torch.bmm((torch.bmm(q, k.transpose(1, 2)) * 0.5).softmax(-1), v)
        return self.join(z.view(b, HEADS, s, HEAD))


ATTENTIONS: tuple[type[Attention], ...] = (Fused, MaskedFill, Where, Added, OneProjection, Merged)


class Norm(nn.Module):
    """A norm by formula; `affine` as (weight, bias)."""

    def __init__(self, formula: Callable[[Tensor], Tensor], affine: tuple[bool, bool], plus: float = 0.0) -> None:
        super().__init__()
        self.formula, self.plus = formula, plus
        self.w = nn.Parameter(torch.ones(WIDTH)) if affine[0] else None
        self.b = nn.Parameter(torch.zeros(WIDTH)) if affine[1] else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.formula(x)
        x = x if self.w is None else x * (self.plus + self.w)
        return x if self.b is None else x + self.b


def layer_by_sqrt(x: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-3).sqrt()


def layer_by_variance(x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred * torch.rsqrt(x.var(dim=-1, keepdim=True, unbiased=False) + 1e-3)


def layer_written_twice(x: Tensor) -> Tensor:
    spread = ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    return (x - x.mean(-1, keepdim=True)) * (spread + 1e-3) ** -0.5


def rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-3)


class Block(nn.Module):
    """A transformer of one layer over ids: tokens and positions, attention, a gated or plain MLP, unembedding."""

    def __init__(self, attention: type[Attention] = MaskedFill, *, gated: bool = False, parallel: bool = False) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, WIDTH)
        self.places = nn.Parameter(torch.zeros(20, WIDTH))
        self.n1, self.n2, self.n3 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.attention = attention()
        self.up, self.down = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)
        self.gate = nn.Linear(WIDTH, 16) if gated else None
        self.out = nn.Linear(WIDTH, 5, bias=False)
        self.parallel = parallel

    def mlp(self, x: Tensor) -> Tensor:
        if self.gate is not None:
            return self.down(F.silu(self.gate(x)) * self.up(x))
        return self.down(F.relu(self.up(x)))

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.tokens(input_ids) + self.places[: input_ids.shape[1]]
        if self.parallel:
            x = x + self.attention(self.n1(x)) + self.mlp(self.n2(x))
        else:
            x = x + self.attention(self.n1(x))
            x = x + self.mlp(self.n2(x))
        return self.out(self.n3(x))
