"""Linear layers, however they are written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.lift import lift

STREAM = torch.linspace(-2, 2, 2 * 5 * 12).reshape(2, 5, 12).sin()
Way = Callable[[Tensor, Tensor, Tensor], Tensor]


class Written(nn.Module):
    def __init__(self, way: Way) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.w = nn.Parameter(torch.randn(12, 8, generator=generator))
        self.b = nn.Parameter(torch.randn(8, generator=generator))
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x, self.w, self.b).relu()


WAYS: dict[str, Way] = {
    "linear": lambda x, w, b: F.linear(x, w.T, b),
    "matmul": lambda x, w, b: x @ w + b,
    "einsum": lambda x, w, b: torch.einsum("do,bsd->bso", w, x) + b,
    "einsum, reversed": lambda x, w, b: b + torch.einsum("bsd,do->bso", x, w),
    "addmm": lambda x, w, b: torch.addmm(b, x.view(-1, 12), w).view(x.shape[0], x.shape[1], 8),
    "in two blocks": lambda x, w, b: (x @ torch.cat([w[:, :3], w[:, 3:]], 1)) + b,
    "transposed": lambda x, w, b: (w.T @ x.transpose(1, 2)).transpose(1, 2) + b,
    "by flattening": lambda x, w, b: (x.flatten(0, 1) @ w + b).unflatten(0, (-1, x.shape[1])),
}


@pytest.mark.parametrize("way", WAYS)
def test_weight_and_bias(way: str) -> None:
    module = Written(WAYS[way])
    graph = lift(module, (STREAM,)).graph
    linear = next(n for n in graph.nodes if n.op == "component.linear")
    assert [n.op for n in graph.nodes if n.op.startswith("tensor")] == []
    np.testing.assert_array_equal(graph.tensors[linear.tensors["weight"]], module.w.detach().numpy())
    np.testing.assert_allclose(graph.tensors[linear.tensors["bias"]], module.b.detach().numpy(), rtol=1e-6)


def test_no_bias_is_invented() -> None:
    graph = lift(Written(lambda x, w, b: x @ w), (STREAM,)).graph
    assert set(next(n for n in graph.nodes if n.op == "component.linear").tensors) == {"weight"}


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(12, 4), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)).tanh()


def test_two_layers_in_a_row_stay_two() -> None:
    graph = lift(Chain(), (STREAM,)).graph
    shapes = [graph.tensors[n.tensors["weight"]].shape for n in graph.nodes if n.op == "component.linear"]
    assert shapes == [(12, 4), (4, 6)]


class Mixing(nn.Module):
    """A product with weights along positions is no linear layer of the stream."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return (self.w @ x).tanh()


def test_mixing_of_positions_is_left_alone() -> None:
    found = lift(Mixing(), (STREAM,))
    assert "component.linear" not in {n.op for n in found.graph.nodes}
    assert found.certificate.share.multiplications == 0.0
    assert found.certificate.share.numbers == 0.0
    assert any("fixed" in n for n in found.certificate.notes)


def test_batch_of_rows() -> None:
    graph = lift(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), (torch.randn(3, 6),)).graph
    assert [n.id for n in graph.nodes][1:] == ["dense", "act", "logits"]
    assert [n.attrs.get("role") for n in graph.nodes] == [None, "dense", None, "unembed"]
