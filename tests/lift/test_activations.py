"""Activations by name and by formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.lift import lift

STREAM = torch.linspace(-2, 2, 2 * 5 * 12).reshape(2, 5, 12).sin()


class Layer(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.function = nn.Linear(12, 8), nn.Linear(8, 3), function

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.function(self.a(x)))


def written_gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def written_gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def written_silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def written_relu(x: Tensor) -> Tensor:
    return x * (x > 0)


KNOWN = [
    (F.relu, {"kind": "relu"}),
    (lambda x: x.clamp(min=0) + 0 * x, {"kind": "relu"}),
    (written_relu, {"kind": "relu"}),
    (F.gelu, {"kind": "gelu"}),
    (written_gelu, {"kind": "gelu"}),
    (lambda x: F.gelu(x, approximate="tanh"), {"kind": "gelu_tanh"}),
    (written_gelu_tanh, {"kind": "gelu_tanh"}),
    (F.silu, {"kind": "silu"}),
    (written_silu, {"kind": "silu"}),
    (lambda x: x * torch.sigmoid(1.702 * x), {"kind": "quick_gelu"}),
    (torch.tanh, {"kind": "tanh"}),
    (lambda x: F.leaky_relu(x, 0.2), {"kind": "leaky_relu", "slope": 0.2}),
    (F.elu, {"kind": "elu", "slope": 1.0}),
    (F.softplus, {"kind": "softplus"}),
]


@pytest.mark.parametrize(("function", "attrs"), KNOWN)
def test_kind(function: Callable[[Tensor], Tensor], attrs: dict[str, object]) -> None:
    graph = lift(Layer(function), (STREAM,)).graph
    assert [n.op for n in graph.nodes][1:] == ["component.linear", "component.activation", "component.linear"]
    assert dict(graph.nodes[2].attrs) == attrs


def test_other_formula_is_left_alone() -> None:
    """x·sigmoid(1.6 x) is close to the quick GELU, and is not it."""
    graph = lift(Layer(lambda x: x * torch.sigmoid(1.6 * x)), (STREAM,)).graph
    assert "quick_gelu" not in [n.attrs.get("kind") for n in graph.nodes]
