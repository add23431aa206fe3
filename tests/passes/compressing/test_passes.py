"""Dropping units and rounding weights: planted redundancy is found, answers stay, sites name what is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Graph, check, price
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.passes.compressing.drop_units import DropUnits, Shrinker, assured
from exegesis.passes.compressing.quantise_weights import QuantiseWeights
from exegesis.passes.compressing.sources import sources_of
from exegesis.passes.manager import Manager, Setting


class Padded(nn.Module):
    """Eight units of which four are copies or dead; inputs of which half are never looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 8), nn.Linear(8, 3)
        with torch.no_grad():
            self.first.weight[:, 6:] = 0
            self.first.weight[4:6] = self.first.weight[:2]
            self.first.bias[4:6] = self.first.bias[:2]
            self.first.bias[6:] = -100

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


class Pictures(nn.Module):
    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, groups=groups)
        self.fc, self.out = nn.Linear(32, 10), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.a(x)), 2)
        x = torch.max_pool2d(torch.relu(self.b(x)), 2)
        return self.out(torch.relu(self.fc(x.flatten(1))))


def setting_of(network: nn.Module, shape: tuple[int, ...], n: int = 900) -> tuple[Graph, Setting]:
    x = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    graph = lift(network.eval(), (torch.from_numpy(x[:3]),)).graph
    fit, held = (
        Bench(graph, Argmax(), ArraySplit("train", part), max_tokens=200) for part in (x[: n // 2], x[n // 2 :])
    )
    return graph, Setting(fit, held, Argmax(), 0, None, graph)


def test_what_is_not_needed_is_found() -> None:
    torch.manual_seed(0)
    graph, setting = setting_of(Padded(), (12,))
    assert [(s.name, s.units) for s in sources_of(graph)] == [("x", 12), ("dense", 8)]
    found = DropUnits(floor=0.98).run(graph, setting)
    check(found.graph)
    kept = {a.where: dict(a.figures)["kept"] for a in found.attempts}
    assert kept["x"] <= 6
    assert kept["dense"] <= 4

    assert found.graph.tensors["x_kept.mask"][6:].sum() == 0
    assert setting.held.agreement(found.graph) > 0.98
    units = [number for _, number in found.graph["dense"].sites[0].index]
    assert not {6, 7} & set(units)
    assert len({u % 4 for u in units}) == len(units)
    assert found.graph["act"].sites[0].index == found.graph["dense"].sites[0].index


def test_a_kept_unit_still_is_the_network_s() -> None:
    torch.manual_seed(0)
    graph, setting = setting_of(Padded(), (12,))
    found = DropUnits(floor=0.98).run(graph, setting).graph
    units = [number for _, number in found["act"].sites[0].index]
    before = setting.held.at_scored(graph, ["act"])["act"]
    after = setting.held.at_scored(found, ["act"])["act"]
    np.testing.assert_allclose(after, before[:, units], atol=0.05)


@pytest.mark.parametrize("groups", [1, 2])
def test_pictures(groups: int) -> None:
    torch.manual_seed(1)
    graph, setting = setting_of(Pictures(groups), (1, 12, 12))
    names = [s.name for s in sources_of(graph)]
    assert names == (["conv", "conv_2", "flatten", "dense"] if groups == 1 else ["flatten", "dense"])
    manager = Manager(setting, floor=0.5)
    dropped = manager.run(graph, DropUnits(floor=0.9))
    rounded = manager.run(dropped, QuantiseWeights(floor=0.85))
    assert all(r.skipped is None for r in manager.records)
    assert price(rounded).opaque_bits < 0.25 * price(graph).opaque_bits
    assert setting.held.agreement(rounded) > 0.85
    weights = [rounded.tensors[n.tensors["weight"]] for n in rounded.nodes if "weight" in n.tensors]
    assert all(w.dtype.kind == "i" for w in weights)


def test_moments_of_a_grouped_convolution_are_those_of_its_patches() -> None:
    from exegesis.passes.compressing.maps import maps_of, matrix, moments

    torch.manual_seed(1)
    graph, setting = setting_of(Pictures(2), (1, 12, 12), n=40)
    where = maps_of(graph)[1]
    seen = moments(setting.fit, graph, graph, where)
    assert [m.xx.shape for m in seen] == [(27, 27), (27, 27)]
    for one, weight in zip(seen, matrix(graph, graph["conv_2"]), strict=True):
        assert one.error(weight) < 1e-9  # a network explains itself
        bias = graph.tensors["conv_2.bias"].reshape(2, -1)
        assert min(np.abs(one.bias(weight) - b).max() for b in bias) < 1e-5


def test_residual_streams_are_left_whole() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.inner, self.down, self.out = (nn.Linear(6, 6) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            x = self.up(x)
            return self.out(x + self.down(torch.relu(self.inner(x))))

    torch.manual_seed(0)
    graph, _ = setting_of(Residual(), (6,), n=40)
    assert [s.name for s in sources_of(graph)] == ["x", "dense_2"]


def test_few_inputs_assure_little() -> None:
    assert assured(1.0, 100) == pytest.approx(0.1 ** (1 / 100))
    assert assured(0.995, 2000) > 0.99 > assured(0.995, 200)


def test_a_damaged_rounding_is_undone() -> None:
    """The manager measures again: a pass that says it kept the answers, and did not, is not believed."""
    torch.manual_seed(0)
    graph, setting = setting_of(Padded(), (12,))

    class Broken(QuantiseWeights):
        def run(self, graph: Graph, setting: Setting):  # type: ignore[no-untyped-def]
            found = super().run(graph, setting)
            name = "logits.weight"
            tensors = {name: -found.graph.tensors[name]}
            return replace(found, graph=found.graph.with_nodes(found.graph.nodes, tensors=tensors))

    manager = Manager(setting)
    assert manager.run(graph, Broken()) is graph
    assert "undone" in str(manager.records[0].skipped)


def test_the_shrinker_keeps_masks_and_graph_together() -> None:
    torch.manual_seed(0)
    graph, setting = setting_of(Padded(), (12,))
    shrinker = Shrinker.of(graph, setting.fit)
    small = shrinker.at(0.01)
    kept = [int(m.sum()) for m in shrinker.masks(0.01)]
    assert small.tensors["dense.weight"].shape == tuple(kept)


class Twins(nn.Module):
    """Three channels and three louder copies; six neurons and six copies; readers weigh every one differently."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc, self.out = nn.Conv2d(1, 6, 3), nn.Linear(96, 12), nn.Linear(12, 4)
        with torch.no_grad():
            for layer, half, by in ((self.a, 3, 3.0), (self.fc, 6, 0.5)):
                layer.weight[half:] = by * layer.weight[:half]  # type: ignore[operator]
                layer.bias[half:] = by * layer.bias[:half]  # type: ignore[index,operator]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.fc(torch.relu(self.a(x)).flatten(1))))


def test_scaled_copies_are_merged_into_their_twins() -> None:
    torch.manual_seed(3)
    graph, setting = setting_of(Twins(), (1, 6, 6))
    shrinker = Shrinker.of(graph, setting.fit)
    masks = {len(m): m for s, m in zip(shrinker.sources, shrinker.masks(0.002), strict=True) if s.units in (6, 12)}
    for units, half in ((6, 3), (12, 6)):
        assert masks[units].sum() == half
        assert (masks[units][:half] ^ masks[units][half:]).all()  # one of each pair
    merged = shrinker.at(0.002)
    check(merged)
    assert setting.held.agreement(merged) > 0.99
    silent = {name: graph.tensors[name].copy() for name in graph.tensors}
    reader = graph[graph.outputs[0]].tensors["weight"]
    silent[reader][~masks[12]] = 0  # dropped without a word to what reads them, they are missed
    assert setting.held.agreement(replace(graph, tensors=silent)) < 0.95
