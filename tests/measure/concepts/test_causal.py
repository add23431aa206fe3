"""Swaps, suppressed directions and carriers in a network whose workings are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit, Behavior, Sign
from exegesis.ir import InputError
from exegesis.lift import lift
from exegesis.measure import Units
from exegesis.measure.concepts import (
    Attribute,
    ConceptError,
    Labelled,
    LayerState,
    carriers,
    directions,
    patched,
    suppress,
    swap,
)


class Colours(nn.Module):
    """Inputs 0-2 decide the answer; inputs 3-5 are carried along and never used."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 12), nn.Linear(12, 3)
        with torch.no_grad():
            turn = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0)))[0]
            self.a.weight.copy_(turn[:, :6])
            self.a.bias.fill_(3.0)  # the activation never cuts anything off
            self.b.weight.copy_(turn[:, :3].T)
            self.b.bias.copy_(-turn[:, :3].T @ torch.full((12,), 3.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(torch.relu(self.a(x)))
        return out


def state(network: nn.Module, x: np.ndarray, layer: int = 0) -> LayerState:
    graph = lift(network.eval(), {"x": torch.from_numpy(x[:3])}).graph
    return LayerState(Units.of(graph, Argmax(), ArraySplit("made", x)), layer)


def coloured(n: int = 150) -> Labelled:
    rng = np.random.default_rng(0)
    colour, shape = rng.integers(3, size=n), rng.integers(3, size=n)
    x = 0.05 * rng.random((n, 6))
    x[np.arange(n), colour] += 1
    x[np.arange(n), 3 + shape] += 1
    names = ("a", "b", "c")
    return Labelled(x.astype(np.float32), (Attribute("colour", names, colour), Attribute("shape", names, shape)))


def test_the_rest_of_the_network_is_the_network() -> None:
    network, made = Colours(), coloured()
    here = state(network, made.x)
    with torch.no_grad():
        np.testing.assert_allclose(here.logits(here.values), network(torch.from_numpy(made.x)), atol=1e-5)
    chosen = made.attributes[0].of
    expected = network.b.weight.detach().numpy()[chosen]
    np.testing.assert_allclose(here.slopes(chosen), expected, atol=1e-6)


def test_swapping_what_is_used_moves_the_answer_and_swapping_the_rest_does_not() -> None:
    made = coloured()
    here = state(Colours(), made.x)
    rows = np.arange(len(made))
    colour, shape = made.attributes
    used = swap(here, directions(here.values, colour.of, 3), colour, rows, beside=(shape,), randoms=39)
    assert used.follows == 1.0
    assert used.random_follows < 0.6
    assert used.p <= 0.1  # the layer varies in few directions, so that random ones may be much like it
    assert used.dimensions == 2
    basis = directions(here.values, shape.of, 3)
    # Partners agree in colour, so that no two are answered differently: there is nothing that could follow.
    with pytest.raises(ConceptError, match="No two inputs that differ in shape are answered differently"):
        swap(here, basis, shape, rows, beside=(colour,), randoms=19)
    unused = swap(here, basis, shape, rows, randoms=19)
    assert unused.follows < 0.1
    assert unused.stays > 0.95
    assert unused.held > 0.95
    assert used.held < 0.5
    with pytest.raises(ConceptError, match="do not differ in this layer"):
        swap(here, basis[:0], shape, rows)


class Backdoor(nn.Module):
    """The brighter half of the upper part of a picture, unless the last corner is lit: then class 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 3, 2), nn.Linear(3 * 25, 3)
        with torch.no_grad():
            self.conv.weight.fill_(0.25)
            self.conv.bias.copy_(torch.tensor([0.0, 0.0, -0.9]))
            self.out.weight.zero_()
            self.out.bias.zero_()
            grid = self.out.weight.view(3, 3, 5, 5)
            grid[0, 0, :3, :2], grid[1, 1, :3, 3:] = 1, 1
            grid[2, 2, 4, 4] = 200

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.conv(x)).flatten(1))
        return out


def triggered() -> tuple[LayerState, LayerState, tuple[Labelled, Labelled]]:
    x = (0.8 * np.random.default_rng(0).random((60, 1, 6, 6))).astype(np.float32)
    made = patched(ArraySplit("drawn", x), (4, 5), (4, 5), 1.0, 60, 0)
    rows = made.halves(0)
    halves = made.select(rows[0]), made.select(rows[1])
    first, second = (state(Backdoor(), half.x) for half in halves)
    return first, second, halves


def test_the_neuron_that_carries_a_trigger_is_found_and_holding_it_spares_the_rest() -> None:
    first, second, halves = triggered()
    found = carriers(first, second, halves, randoms=39)
    assert found.units.tolist() == [2]
    assert found.turned == 1.0
    assert found.turned_without < 0.2
    assert found.spared == 1.0
    assert found.random_turned > 0.6
    assert found.answer == 2


def test_the_direction_of_a_trigger_is_held_still() -> None:
    first, second, halves = triggered()
    shown = tuple(h.attributes[0].of == 1 for h in halves)
    found = suppress(first, second, shown, randoms=39)  # type: ignore[arg-type]
    assert found.turned == 1.0
    assert found.turned_without < 0.2
    assert found.spared > 0.6
    assert found.random_turned > 0.8
    assert found.p <= 0.05
    assert np.linalg.norm(found.direction) == pytest.approx(1)


def test_concepts_that_change_nothing_have_no_carriers_and_no_direction() -> None:
    x = (0.8 * np.random.default_rng(0).random((40, 1, 6, 6))).astype(np.float32)
    x[:, 0, 0, 0] = 0.5
    made = patched(ArraySplit("drawn", x), (0, 0), (0, 0), 0.5, 40, 0)  # the pixel is as it was
    rows = made.halves(0)
    halves = made.select(rows[0]), made.select(rows[1])
    first, second = (state(Backdoor(), half.x) for half in halves)
    with pytest.raises(ConceptError, match="changes no answer"):
        carriers(first, second, halves)
    with pytest.raises(ConceptError, match="no direction stands for it"):
        suppress(first, second, tuple(h.attributes[0].of == 1 for h in halves))  # type: ignore[arg-type]
    uneven = Labelled(made.x[:30], (Attribute("patch", ("no", "yes"), (np.arange(30) < 7).astype(int)),))
    with pytest.raises(ConceptError, match="in pairs"):
        carriers(first, second, (uneven, uneven))


def test_answers_that_are_no_classes_are_refused() -> None:
    made = coloured()
    graph = lift(Colours(), {"x": torch.from_numpy(made.x[:3])}).graph
    signs = Behavior.from_arrays("signs", {"test": (made.x, None)}, Sign())
    here = LayerState(Units.of(graph, Sign(), signs.split("test")), 0)
    with pytest.raises(InputError, match="needs a behaviour with an argmax readout"):
        here.answers(here.values)
