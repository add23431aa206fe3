"""Layers, activations and lesions against the networks' own modules with hooks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit, Behavior
from exegesis.ir import Axis, Graph, InputError, Node, Type
from exegesis.lift import lift
from exegesis.measure.units import Layers, Lesion, Units
from exegesis.runtime import load


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(2, 5, 3, padding=1), nn.ReLU()
        self.fc, self.tanh, self.out = nn.Linear(5 * 4, 6), nn.Tanh(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(self.act(self.conv(x)), 2)
        return self.out(self.tanh(self.fc(x.flatten(1))))


def made() -> tuple[Small, Graph, ArraySplit]:
    torch.manual_seed(0)
    network = Small().eval()
    x = np.random.default_rng(0).normal(size=(23, 2, 4, 4)).astype(np.float32)
    graph = lift(network, (torch.from_numpy(x[:3]),)).graph
    return network, graph, ArraySplit("train", x)


def hooked(network: Small, x: Tensor, change: dict[str, object]) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and activations of the module itself, with functions applied to the outputs of submodules."""
    seen: dict[str, Tensor] = {}
    handles = []
    for name in ("act", "tanh"):

        def hook(module: nn.Module, inputs: object, out: Tensor, name: str = name) -> Tensor:
            seen[name] = out
            return change[name](out) if name in change else out  # type: ignore[operator, no-any-return]

        handles.append(getattr(network, name).register_forward_hook(hook))
    with torch.no_grad():
        logits = network(x)
    for handle in handles:
        handle.remove()
    return logits, seen


def test_layers_and_their_activations() -> None:
    network, graph, split = made()
    units = Units.of(graph, Argmax(), split, max_elements=400)
    assert [(x.kind, x.units, x.spatial) for x in units.layers] == [("conv", 5, (4, 4)), ("dense", 6, ())]
    assert units.layers.total == 11
    assert units.chunk == 5
    assert len(units.bench.batches) == 5
    logits, seen = hooked(network, torch.from_numpy(split.x), {})
    np.testing.assert_allclose(units.logits, logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(units.activations(0), seen["act"].numpy(), atol=1e-5)
    np.testing.assert_allclose(units.activations(1), seen["tanh"].numpy(), atol=1e-5)
    assert (units.answers == logits.numpy().argmax(1)).all()


def test_zero_and_mean_lesions_equal_hooks() -> None:
    network, graph, split = made()
    units = Units.of(graph, Argmax(), split)
    x = torch.from_numpy(split.x)
    _, seen = hooked(network, x, {})

    def mean(name: str, chosen: list[int]) -> object:
        def change(out: Tensor) -> Tensor:
            out = out.clone()
            out[:, chosen] = seen[name].mean(0)[chosen]
            return out

        return change

    def zero(out: Tensor) -> Tensor:
        out = out.clone()
        out[:, [1, 4]] = 0
        return out

    expected = [
        hooked(network, x, {"act": zero})[0],
        hooked(network, x, {"act": mean("act", [0, 3]), "tanh": mean("tanh", [2])})[0],
        hooked(network, x, {})[0],
    ]
    lesions = [Lesion({0: [1, 4]}, "zero"), Lesion({1: [2], 0: [0, 3]}), Lesion({0: []})]
    found = units.logits_under(lesions)
    for one, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, wanted.numpy(), atol=1e-5)
    same = [(w.argmax(1) == expected[2].argmax(1)).float().mean().item() for w in expected]
    np.testing.assert_allclose(units.kept(lesions), same, atol=1e-7)
    assert (units.answers_under(lesions) == found.argmax(-1)).all()


def test_resampling_gives_all_units_of_a_row_one_donor() -> None:
    _, graph, split = made()
    units = Units.of(graph, Argmax(), split)
    everything = Lesion({0: range(5)}, "resample", seed=3)
    moved = units.logits_under([everything])[0]
    donors = [int(np.abs(units.logits - row).sum(1).argmin()) for row in moved]
    assert sorted(donors) == list(range(len(split)))
    assert all(d != i for i, d in enumerate(donors))
    np.testing.assert_allclose(moved, units.logits[donors], atol=1e-5)


def test_a_unit_that_does_not_exist() -> None:
    _, graph, split = made()
    with pytest.raises(InputError, match="Layer 1 has 6 units; there is no unit 6"):
        Units.of(graph, Argmax(), split).kept([Lesion({1: [2, 6]})])


def test_a_network_without_layers() -> None:
    nodes = (
        Node("x", "input.array", (), Type("real", ("batch", "=3"))),
        Node("out", "component.linear", ("x",), Type("real", ("batch", "=2")), tensors={"weight": "w"}),
    )
    graph = Graph(nodes, ("out",), {"w": np.ones((3, 2), np.float32)}, {"batch": Axis("batch")})
    with pytest.raises(InputError, match="no layer of units"):
        Layers.of(graph)


def test_heads_and_neurons_of_a_transformer() -> None:
    network, behavior = load("zoo:copy"), Behavior.load("zoo:copy")
    split = behavior.sequences("test").select(np.arange(20))
    graph = lift(network.module, {"input_ids": torch.from_numpy(split.gather(np.array([0])).input_ids)}).graph
    units = Units.of(graph, behavior.readout, split)
    assert [x.kind for x in units.layers] == ["heads", "heads"]
    assert units.activations(0).shape == (split.n_scored, 1, 64)
    kept = units.kept([Lesion({}), Lesion({0: [0]}), Lesion({1: [0]}, "resample")])
    assert kept[0] == 1
    assert kept[1:].max() < 0.9


def test_layers_of_networks_trained_by_others() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "models" / "vision"
    if not folder.is_dir():
        pytest.skip("no networks trained by others here")
    shapes = {
        "mnist_dense": [256, 256],
        "mnist_pooled": [32],
        "mnist_badnet": [16, 32, 512],
        "mnist_colored": [16, 24, 32],
    }
    for name, wanted in shapes.items():
        behavior = Behavior.load(folder / name)
        split = behavior.arrays("test").select(np.arange(8))
        graph = lift(load(f"{folder / name}/network.py:build").module, (torch.from_numpy(split.x),)).graph
        assert [x.units for x in Layers.of(graph)] == wanted
