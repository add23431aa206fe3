"""Effective dimensions of networks whose dimension is planted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.lift import lift
from exegesis.measure import Bench, Lesion, Units
from exegesis.measure.dimensions import dimensions
from exegesis.measure.redundancy import importance, redundancy


class Planted(nn.Module):
    """Twenty units that hold two numbers which decide the answer, and one loud number that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.hidden, self.act, self.out = nn.Linear(3, 20), nn.Tanh(), nn.Linear(20, 4, bias=False)
        with torch.no_grad():
            basis = torch.linalg.qr(torch.randn(20, 3, generator=generator))[0]
            self.hidden.weight.copy_(0.01 * basis * torch.tensor([1.0, 1.0, 5.0]))
            self.hidden.bias.zero_()
            corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
            self.out.weight.copy_(corners @ basis[:, :2].T)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act(self.hidden(x)))


def made(network: nn.Module, *shape: int, n: int = 200) -> tuple[Units, Bench]:
    x = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    graph = lift(network.eval(), (torch.from_numpy(x[:3]),)).graph
    split = ArraySplit("test", x)
    return Units.of(graph, Argmax(), split), Bench(graph, Argmax(), split, max_tokens=64)


def test_what_counts_is_not_what_varies() -> None:
    units, bench = made(Planted(), 3)
    (found,) = dimensions(units.graph, bench)
    assert (found.units, found.ablation, found.interchange) == (20, 2, 2)
    assert found.varying <= 2  # most of the variance is the loud number
    values = units.activations(0)
    loud = np.linalg.svd(values - values.mean(0), full_matrices=False)[2][:1]
    kept = (values - values.mean(0)) @ loud.T @ loud + values.mean(0)
    weight = units.graph.tensors["logits.weight"]
    assert ((kept @ weight).argmax(1) == units.answers).mean() < 0.6  # the direction that varies most does not decide


def test_channels_and_a_dead_layer() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        network[3].bias.fill_(-100)  # type: ignore[operator]
    units, bench = made(network, 1, 6, 6)
    found = dimensions(units.graph, bench)
    assert [d.kind for d in found] == ["conv", "dense"]
    assert [(d.varying, d.ablation, d.interchange) for d in found][1] == (0, 0, 0)  # all units dead: nothing is needed


def test_lesions_grow_and_the_important_units_are_found() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 3))
    with torch.no_grad():
        network[2].weight[:, 5:] *= 1e-4  # type: ignore[operator,index]
    units, _ = made(network, 6)
    assert set(np.argsort(importance(units))[-5:]) <= set(range(5)) | {int(np.argsort(importance(units))[-5])}
    found = redundancy(units, importance(units), seeds=4)
    assert found.units == 30
    assert found.tolerated[1] <= found.tolerated[0] <= found.tolerated[2]
    assert found.tolerated_ordered >= 24 > found.tolerated[0]
    order = np.random.default_rng([0, 0]).permutation(30)
    share = units.kept([Lesion({0: order[:3]})])[0]
    assert found.random[0][found.fractions.index(0.1)] == share
