"""Low-rank factors: planted directions are found where they are felt, and refused where they save nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Graph, check, price
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.measure.sensitivity import sensitivities
from exegesis.passes.compressing.factor_maps import FactorMaps, Felt, factored
from exegesis.passes.compressing.maps import maps_of, matrix, moments
from exegesis.passes.compressing.quantise_weights import QuantiseWeights
from exegesis.passes.manager import Setting

FELT = 3  # directions of the middle map that the outputs read


class Middle(nn.Module):
    """A map from 40 units to 40 of which the outputs read three directions; the others are as loud."""

    def __init__(self, felt: int = FELT) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(12, 40), nn.Linear(40, 40), nn.Linear(40, 6)
        basis = torch.linalg.qr(torch.randn(40, 40))[0][:, :felt]
        with torch.no_grad():
            self.last.weight.copy_(2 * self.last.weight @ basis @ basis.T if felt < 40 else self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(torch.tanh(2 * self.first(x))))


class Pictures(nn.Module):
    """A convolution of twelve channels of which the rest reads two directions."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 12, 3, stride=2, padding=1)
        self.out = nn.Linear(12 * 9, 4)
        basis = torch.linalg.qr(torch.randn(12, 12))[0][:, :2]
        with torch.no_grad():
            weight = self.out.weight.view(4, 12, 9)
            self.out.weight.copy_(torch.einsum("cd,odp->ocp", basis @ basis.T, weight).reshape(4, -1))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.b(torch.relu(self.a(x))).flatten(1))


def setting_of(network: nn.Module, *shape: int, n: int = 900) -> tuple[Graph, Setting]:
    x = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    graph = lift(network.eval(), (torch.from_numpy(x[:3]),)).graph
    fit, held = (
        Bench(graph, Argmax(), ArraySplit("train", part), max_tokens=300) for part in (x[: n // 2], x[n // 2 :])
    )
    return graph, Setting(fit, held, Argmax(), 0, None, graph)


@pytest.mark.parametrize(("make", "shape"), [(Middle, (12,)), (Pictures, (1, 6, 6))])
def test_felt_directions_are_found_and_the_program_is_shorter(make: type, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    graph, setting = setting_of(make(), *shape)
    outcome = FactorMaps(floor=0.95).run(graph, setting)
    check(outcome.graph)
    applied = [a for a in outcome.attempts if a.applied]
    assert applied
    where = applied[0].where
    wide = outcome.graph[where]
    narrow = outcome.graph[wide.inputs[0]]
    assert wide.sites == graph[where].sites  # what it gives is the network's still
    assert narrow.sites == ()
    assert outcome.graph.tensors[narrow.tensors["weight"]].shape[1 if len(shape) == 1 else 0] <= 6
    rounded = [QuantiseWeights(floor=0.95).run(g, setting).graph for g in (graph, outcome.graph)]
    for g in rounded:
        check(g)
        assert setting.held.agreement(g) >= 0.95
    assert price(rounded[1]).opaque_bits < 0.95 * price(rounded[0]).opaque_bits
    assert dict(applied[0].figures)["program after"] < dict(applied[0].figures)["program before"]
    again = FactorMaps(floor=0.95).run(graph, setting)
    assert all(np.array_equal(again.graph.tensors[k], v) for k, v in outcome.graph.tensors.items())


def test_nothing_is_factored_where_every_direction_counts() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    graph, setting = setting_of(network, 6)
    outcome = FactorMaps(floor=0.95).run(graph, setting)
    assert outcome.graph is graph
    assert not any(a.applied for a in outcome.attempts)
    assert FactorMaps().requires(graph) is None


def test_the_directions_are_the_closest_as_outputs_feel_them() -> None:
    torch.manual_seed(1)
    graph, setting = setting_of(Middle(), 12)
    where = maps_of(graph)[1]
    middle = where.nodes[0]
    by = sensitivities(graph, setting.fit, [middle])[middle]
    felt = Felt(matrix(graph, graph[middle])[0], moments(setting.fit, graph, graph, where)[0], by)
    narrow, wide = felt.directions
    whole = felt.harm(np.zeros_like(felt.weight))
    assert felt.harm(narrow @ wide) < 1e-6 * whole
    ours = felt.harm(narrow[:, :FELT] @ wide[:FELT])
    left, size, right = np.linalg.svd(felt.weight)
    plain = felt.harm((left[:, :FELT] * size[:FELT]) @ right[:FELT])
    assert ours < 1e-3 * whole < 0.2 * plain  # weights alone do not say which directions count
    assert felt.factors(1, 1e-9) is None
    made = felt.factors(FELT, 0.05 * whole)
    assert made is not None
    thin = factored(graph, where, made)
    check(thin)
    assert setting.held.agreement(thin) > 0.98
