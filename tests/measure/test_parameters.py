"""How many directions of the parameters count: planted, and against the dense Gauss-Newton matrix."""

from __future__ import annotations

import numpy as np
import torch
from redundant_networks import redundant
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.measure.parameters import _Parameters, parameter_dimension


class Wide(nn.Module):
    """Two numbers decide between two answers; forty more are read, and what becomes of them is nearly nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(42, 30), nn.Linear(30, 2)
        with torch.no_grad():
            self.last.weight[:, 1:] *= 1e-3

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)))


def benches(network: nn.Module, *shape: int, n: int = 400) -> tuple[Bench, Bench]:
    x = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    graph = lift(network.eval(), (torch.from_numpy(x[:3]),)).graph
    first, second = (Bench(graph, Argmax(), ArraySplit("x", part), max_tokens=200) for part in (x[::2], x[1::2]))
    return first, second


def test_few_directions_decide_and_random_ones_do_not_help() -> None:
    torch.manual_seed(0)
    fit, held = benches(Wide(), 42)
    found = parameter_dimension(fit.graph, fit, held, felt=0.95)
    assert found.parameters == 42 * 30 + 30 + 30 * 2 + 2
    assert found.kept < found.felt
    assert found.needed is not None
    assert found.needed < 0.1 * found.parameters
    assert found.random < found.target - 0.01  # the null: as many directions, drawn
    assert parameter_dimension(fit.graph, fit, held, felt=0.95) == found


def test_directions_are_those_of_the_gauss_newton_matrix() -> None:
    torch.manual_seed(1)
    fit, held = benches(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), 4, n=60)
    here = _Parameters(fit.graph, fit, held, 0)
    run_names = here.names
    values = [torch.from_numpy(fit.graph.tensors[n].copy()) for n in run_names]

    def outputs(*tensors: Tensor) -> Tensor:
        by = dict(zip(run_names, tensors, strict=True))
        x = torch.cat([b.inputs[fit.graph.inputs[0].id] for b in fit.batches])
        for node in fit.graph.nodes:
            if node.op == "component.linear":
                x = x @ by[node.tensors["weight"]] + by[node.tensors["bias"]]
            elif node.op == "component.activation":
                x = torch.tanh(x)
        return x - x.mean(-1, keepdim=True)

    parts = torch.autograd.functional.jacobian(outputs, tuple(values))
    jacobian = torch.cat([p.flatten(2) * here.units[n] for n, p in zip(run_names, parts, strict=True)], -1).flatten(
        0, 1
    )
    gauss_newton = (jacobian.T @ jacobian).double()
    largest = torch.linalg.eigh(gauss_newton)[1].flip(1)[:, :3]
    found = here.directions.double()
    there = found[found.norm(dim=1) > 0.5]
    assert len(there) >= 10
    assert torch.allclose(there @ there.T, torch.eye(len(there), dtype=torch.float64), atol=1e-4)
    held_in = (found[:6] @ largest).square().sum(0)
    assert held_in.min() > 0.9
    assert here.kept(0.0, 0) == 1.0


def test_sequences_and_a_network_that_needs_more_than_are_looked_for() -> None:
    graph, setting = redundant(rows=40)
    found = parameter_dimension(graph, setting.fit, setting.held, target=1.0)
    assert 0 <= found.random <= 1
    assert found.needed is None or found.needed <= found.found
    same = parameter_dimension(graph, setting.fit, setting.held, felt=1e-9)
    assert same.needed is not None or same.kept < same.target
