"""Lesions against doing the same to the module's own weights; doses, directions, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import two_streams as streams

from exegesis.behavior import Argmax, Behavior, Sign
from exegesis.ir import InputError
from exegesis.lift import lift
from exegesis.measure import Lesion, Units
from exegesis.measure.lesions import (
    active,
    along,
    answers_with,
    classes_of,
    effects,
    outputs_with,
    random_alike,
    scaled,
)


@pytest.fixture
def made() -> Callable[[Behavior], tuple[torch.nn.Module, Units]]:
    def look(behavior: Behavior) -> tuple[torch.nn.Module, Units]:
        network = streams.TwoStreams().eval()
        rows = behavior.arrays("test")
        graph = lift(network, {"x": torch.from_numpy(rows.x[:3])}).graph
        return network, Units.of(graph, behavior.readout, rows)

    return look


def test_what_a_lesion_costs_is_what_zeroed_weights_cost(made) -> None:
    network, units = made(streams.behavior())
    found = effects(units, [Lesion({0: np.arange(16)}, "zero"), Lesion({1: np.arange(16, 32)}, "zero")])
    x = torch.from_numpy(units.bench.split.x)
    before = network(x).argmax(1)
    for i, (layer, rows) in enumerate(((network.a, slice(0, 16)), (network.b, slice(16, 32)))):
        kept = {name: p.clone() for name, p in layer.named_parameters()}
        with torch.no_grad():
            layer.weight[rows], layer.bias[rows] = 0, 0
            after = network(x).argmax(1)
            for name, p in layer.named_parameters():
                p.copy_(kept[name])
        same = before == after
        assert found.kept[i] == pytest.approx(float(same.float().mean()))
        for c in range(4):
            assert found.by_class[i, c] == pytest.approx(float(same[before == c].float().mean()))
    np.testing.assert_allclose(found.lost, 0.5, atol=0.01)
    np.testing.assert_allclose(found.coherence, 1)
    assert found.counts.tolist() == [60] * 4


def test_doses_go_from_silence_to_stimulation_and_one_changes_nothing(made) -> None:
    network, units = made(streams.behavior())
    members = {0: np.arange(6)}
    np.testing.assert_allclose(outputs_with(units, scaled(units, members, 1.0)), units.logits, atol=1e-5)
    silenced = answers_with(units, scaled(units, members, 0.0))
    np.testing.assert_array_equal(silenced, units.answers_under([Lesion(members, "zero")])[0])
    x = torch.from_numpy(units.bench.split.x)
    with torch.no_grad():
        hidden = torch.relu(network.a(x))
        hidden[:, :6] *= 3
        expected = network.c(torch.relu(network.b(hidden)))
    np.testing.assert_allclose(outputs_with(units, scaled(units, members, 3.0)), expected.numpy(), atol=1e-4)
    towards_mean = answers_with(units, scaled(units, members, 0.0, towards="mean"))
    np.testing.assert_array_equal(towards_mean, units.answers_under([Lesion(members, "mean")])[0])


def test_edits_of_two_layers_follow_each_other(made) -> None:
    network, units = made(streams.behavior())
    edits = [*scaled(units, {1: np.array([0])}, 2.0), *scaled(units, {0: np.arange(3)}, 0.5)]
    x = torch.from_numpy(units.bench.split.x)
    with torch.no_grad():
        hidden = torch.relu(network.a(x))
        hidden[:, :3] *= 0.5
        hidden = torch.relu(network.b(hidden))
        hidden[:, 0] *= 2
        expected = network.c(hidden)
    np.testing.assert_allclose(outputs_with(units, edits), expected.numpy(), atol=1e-4)


def test_a_direction_is_suppressed_and_nothing_beside_it(made) -> None:
    network, units = made(streams.behavior())
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(32)
    values = units.activations(0)
    unit = direction / np.linalg.norm(direction)
    moved = values - np.outer(values @ unit - 0.3, unit)
    with torch.no_grad():
        expected = network.c(torch.relu(network.b(torch.from_numpy(moved.astype(np.float32)))))
    found = outputs_with(units, [along(0, direction, 0.0, 0.3)])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(outputs_with(units, [along(0, direction, 1.0, 0.3)]), units.logits, atol=1e-5)


def test_random_modules_have_as_many_active_units_of_the_same_layers(made) -> None:
    _, units = made(streams.behavior())
    units.graph.tensors["dense.bias"][2] = -100
    units = Units.of(units.graph, units.bench.readout, units.bench.split)
    alive = active(units)
    assert np.flatnonzero(~alive[0]).tolist() == [2]
    drawn = random_alike({0: np.arange(4), 1: np.array([5])}, alive, np.random.default_rng(0))
    assert (len(drawn[0]), len(drawn[1])) == (4, 1)
    assert 2 not in drawn[0]
    with pytest.raises(InputError, match="Layer 0 has 31 active units; 32 cannot be drawn"):
        random_alike({0: np.arange(32)}, alive, np.random.default_rng(0))


def test_one_class_or_none_is_refused(made) -> None:
    full = streams.behavior().arrays("test")
    one = full.select(np.flatnonzero(full.y == 2))
    _, units = made(Behavior.from_arrays("one", {"test": (one.stored, one.y)}, Argmax()))
    with pytest.raises(InputError, match=r"gives the same answer \(2\) on all 60 inputs"):
        classes_of(units)
    _, units = made(Behavior.from_arrays("signs", {"test": (full.stored, None)}, Sign()))
    with pytest.raises(InputError, match="needs a behaviour with an argmax readout"):
        effects(units, [Lesion({0: [0]})])


def test_what_cannot_be_changed_is_refused(made) -> None:
    _, units = made(streams.behavior())
    with pytest.raises(InputError, match="there is no unit 32"):
        scaled(units, {0: np.array([32])}, 0.0)
    with pytest.raises(InputError, match="towards zero or towards their mean"):
        scaled(units, {0: np.array([1])}, 0.0, towards="resample")
    for bad in (np.zeros(32), np.full(32, np.nan)):
        with pytest.raises(InputError, match="finite and not zero"):
            along(0, bad, 0.0, 0.0)
