"""The graph read off a lifted network is the one its weights say; activity graphs against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.lift import lift
from exegesis.measure import Units
from exegesis.measure.modularity import (
    ModularityError,
    Wiring,
    attribution_graph,
    by_unit,
    correlation_graph,
    shuffled,
    wiring,
)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c(torch.relu(self.b(torch.relu(self.a(x)))))
        return out


class Pictures(nn.Module):
    """A grouped convolution, a pooled one with a skip connection, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, groups=2, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.second(x))
        out: Tensor = self.last(nn.functional.max_pool2d(x, 2).flatten(1))
        return out


def looked_at(network: nn.Module, shape: tuple[int, ...], n: int = 40) -> tuple[Units, Wiring]:
    x = np.random.default_rng(0).standard_normal((n, *shape)).astype(np.float32)
    behavior = Behavior.from_arrays("drawn", {"train": (x, None)}, Argmax())
    graph = lift(network, {"x": torch.from_numpy(x[:3])}).graph
    units = Units.of(graph, behavior.readout, behavior.split("train"))
    return units, wiring(graph, units.layers)


def test_a_dense_network_is_its_matrices() -> None:
    network = Dense()
    _, wired = looked_at(network, (6,))
    assert [layer.size for layer in wired.graph.layers] == [6, 5, 4, 3]
    assert [layer.hidden for layer in wired.graph.layers] == [None, 0, 1, None]
    for block, layer in zip(wired.graph.blocks, (network.a, network.b, network.c), strict=True):
        np.testing.assert_allclose(block.weights, layer.weight.detach().abs().numpy().T)


def test_channels_are_units_and_skips_are_fixed() -> None:
    network = Pictures()
    _, wired = looked_at(network, (2, 4, 4))
    assert [layer.size for layer in wired.graph.layers] == [2, 4, 4, 3]
    found = {(b.source, b.target, b.fixed): b.weights for b in wired.graph.blocks}
    first = network.first.weight.detach().abs().sum((2, 3)).numpy()[:, 0]
    expected = np.zeros((2, 4), dtype=np.float32)
    expected[0, :2], expected[1, 2:] = first[:2], first[2:]
    np.testing.assert_allclose(found[0, 1, False], expected, rtol=1e-5)
    second = network.second.weight.detach().abs().sum((2, 3)).numpy()
    np.testing.assert_allclose(found[1, 2, False], second.T, rtol=1e-5)
    np.testing.assert_allclose(found[1, 2, True], np.eye(4))
    last = network.last.weight.detach().abs().reshape(3, 4, 4).sum(2).numpy()
    np.testing.assert_allclose(found[2, 3, False], last.T, rtol=1e-5)
    assert len(found) == 4


def test_correlations_are_numpys() -> None:
    units, wired = looked_at(Dense(), (6,))
    with torch.no_grad():
        units.graph.tensors["dense.bias"][1] = -100  # this unit is never active
    units = Units.of(units.graph, units.bench.readout, units.bench.split)
    graph = correlation_graph(units, wired)
    values = np.concatenate([by_unit(units, 0), by_unit(units, 1)], axis=1)
    alive = values.std(0) > 0
    assert not alive[1]
    assert not graph.connected[1]
    expected = np.abs(np.corrcoef(values[:, alive].T)) - np.eye(alive.sum())
    np.testing.assert_allclose(graph.adjacency()[np.ix_(alive, alive)], expected, atol=1e-4)


def test_attributions_are_weight_times_activation_times_gradient() -> None:
    network = Dense()
    units, wired = looked_at(network, (6,))
    graph = attribution_graph(units, wired)
    x = torch.from_numpy(np.concatenate([seen.batch.x for seen in units.bench.batches]))
    pre = network.b(torch.relu(network.a(x))).detach().requires_grad_()
    logits = network.c(torch.relu(pre))
    (logits.max(1).values - logits.mean(1)).sum().backward()
    active = torch.relu(network.a(x)).detach()
    passed = (active.abs().T @ pre.grad.abs()) / len(x)
    expected = network.b.weight.detach().abs().T * passed
    np.testing.assert_allclose(graph.blocks[1].weights, expected.numpy(), rtol=1e-3, atol=1e-6)
    assert graph.of == "attributions"


def test_a_unit_that_nothing_depends_on_has_no_attributions() -> None:
    network = Dense()
    with torch.no_grad():
        network.c.weight[:, 2] = 0
    units, wired = looked_at(network, (6,))
    graph = attribution_graph(units, wired)
    assert not graph.connected[graph.span(2)][2]
    assert wired.graph.connected.all()


def test_pictures_have_activity_graphs_of_the_same_units() -> None:
    units, wired = looked_at(Pictures(), (2, 4, 4))
    assert correlation_graph(units, wired).n == 8
    attributed = attribution_graph(units, wired)
    assert attributed.n == wired.graph.n
    assert attributed.connected.any()


def test_shuffled_networks_keep_their_weights_and_biases() -> None:
    units, _ = looked_at(Dense(), (6,))
    other = shuffled(units.graph, np.random.default_rng(0))
    assert other.tensors.keys() == units.graph.tensors.keys()
    for name, before in units.graph.tensors.items():
        np.testing.assert_array_equal(np.sort(before, axis=None), np.sort(other.tensors[name], axis=None))
        assert np.array_equal(before, other.tensors[name]) == name.endswith("bias")


def test_a_layer_that_no_map_ties_is_named() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.b(torch.cumsum(torch.relu(self.a(torch.cumsum(x, 1))), 1))
            return out

    with pytest.raises(ModularityError, match="ties layer"):
        looked_at(Gated(), (4,))


def test_recurrent_layers_and_heads_are_refused() -> None:
    from exegesis import zoo
    from exegesis.measure import Layers

    behavior = zoo.behavior("gru")
    example = torch.from_numpy(behavior.arrays("test").x[:3])
    graph = lift(zoo.build("gru"), (example,)).graph
    with pytest.raises(ModularityError, match="is recurrent; such layers cannot be read as a graph yet"):
        wiring(graph, Layers.of(graph))


def test_residual_networks_have_skips_that_are_tied_and_two_sides_no_longer() -> None:
    from exegesis import zoo
    from exegesis.measure import Layers
    from exegesis.measure.modularity import cut_test

    example = torch.from_numpy(zoo.behavior("residual").arrays("test").x[:3])
    graph = lift(zoo.build("residual"), (example,)).graph
    wired = wiring(graph, Layers.of(graph))
    assert sum(b.fixed for b in wired.graph.blocks) == 2
    assert wired.graph.colours is None
    assert cut_test(wired.graph, ks=(2,), nulls=20, restarts=2).best.k == 2
