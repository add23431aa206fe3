"""Norms by torch and by formula, against torch's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from written_networks import WIDTH, Norm, layer_by_sqrt, layer_by_variance, layer_written_twice, randomised, rms

from exegesis.lift import lift

STREAM = torch.linspace(-2, 2, 2 * 5 * 12).reshape(2, 5, 12).sin()
FORMULAS = [layer_by_sqrt, layer_by_variance, layer_written_twice, rms]
BY_TORCH = [
    nn.LayerNorm(WIDTH, eps=1e-3),
    nn.LayerNorm(WIDTH, eps=1e-3, elementwise_affine=False),
    nn.RMSNorm(WIDTH, eps=1e-3),
]


@pytest.mark.parametrize("affine", [(False, False), (True, False), (True, True)], ids=["plain", "weight", "both"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f.__name__)
def test_formula(formula: Callable[[Tensor], Tensor], affine: tuple[bool, bool]) -> None:
    module = randomised(Norm(formula, affine))
    graph = lift(module, (STREAM,)).graph
    norm = next(n for n in graph.nodes if n.op == "component.norm")
    assert norm.attrs == {"kind": "rms" if formula is rms else "layer", "eps": pytest.approx(1e-3)}
    assert ("weight" in norm.tensors) == affine[0]
    if affine[0]:
        np.testing.assert_array_equal(graph.tensors[norm.tensors["weight"]], module.w.detach().numpy())
    if affine[1] and formula is not rms:
        np.testing.assert_array_equal(graph.tensors[norm.tensors["bias"]], module.b.detach().numpy())
    assert {n.op.split(".")[0] for n in graph.nodes} == {"input", "component"}


@pytest.mark.parametrize("module", BY_TORCH, ids=["layer", "plain layer", "rms"])
def test_torch(module: nn.Module) -> None:
    graph = lift(randomised(module), (STREAM,)).graph
    (norm,) = (n for n in graph.nodes if n.op != "input.array")
    assert norm.op == "component.norm"
    assert norm.attrs["eps"] == 1e-3
    assert set(norm.tensors) == {n for n, _ in module.named_parameters()}


def test_scale_stored_as_difference_from_one() -> None:
    module = randomised(Norm(rms, (True, False), plus=1.0))
    graph = lift(module, (STREAM,)).graph
    norm = next(n for n in graph.nodes if n.op == "component.norm")
    np.testing.assert_allclose(graph.tensors[norm.tensors["weight"]], 1 + module.w.detach().numpy(), rtol=1e-7)


class Lookalike(nn.Module):
    """Divides by the root of the mean square of something else."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.roll(1, -1).abs().pow(2).mean(-1, keepdim=True) + 1e-3).sqrt()


class OverPositions(nn.Module):
    """A norm over positions, not over the stream."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (x.pow(2).mean(1, keepdim=True) + 1e-3).sqrt()


@pytest.mark.parametrize("module", [Lookalike(), OverPositions()], ids=lambda m: type(m).__name__)
def test_what_only_looks_like_a_norm_is_left_alone(module: nn.Module) -> None:
    assert "component.norm" not in {n.op for n in lift(module, (STREAM,)).graph.nodes}
