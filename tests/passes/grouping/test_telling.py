"""A unit that was made to look at a place is said to tell it, and noise is said to tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.ir import Graph
from exegesis.lift import lift
from exegesis.measure.concepts import drawn_images
from exegesis.passes.grouping.telling import IMAGES, _areas, tellings

SIDE = 12


class Looks(nn.Module):
    """Unit 0 sums the top left quarter, unit 1 the redness, and the rest are noise of weak weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.units, self.out = nn.Linear(channels * SIDE * SIDE, 6), nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            weight = torch.zeros(6, channels, SIDE, SIDE)
            weight[0, :, : SIDE // 2, : SIDE // 2] = 1.0
            if channels == 3:
                weight[1, 0], weight[1, 1:] = 2.0, -1.0
            noise = torch.randn(4, channels, 1, 1, generator=generator) * torch.randn(4, 1, SIDE, SIDE)
            weight[2:] = noise - noise.mean((2, 3), keepdim=True)
            self.units.weight.copy_(weight.flatten(1))
            self.units.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.units(x.flatten(1))))
        return out


def asked(channels: int) -> tuple[Graph, ArraySplit]:
    graph = lift(Looks(channels), (torch.zeros(3, channels, SIDE, SIDE),)).graph
    rng = default_rng(0)
    x = rng.random((300, channels, SIDE, SIDE), dtype=np.float32)
    return graph, ArraySplit("fit", x, rng.integers(3, size=300))


def test_what_a_unit_looks_at_is_said_and_noise_is_not() -> None:
    graph, split = asked(3)
    groups = [[{0: np.array([u])}] for u in range(3)]
    place, colour, noise = tellings(graph, Argmax(), split, ("a", "b", "c"), groups, 0)
    assert place is not None
    assert (place.attribute, place.value, place.less) == ("place", "top left", False)
    assert place.auc > 0.95
    assert place.p <= 0.01
    assert abs(place.usual - 0.5) < 0.1
    assert place.says().startswith("Of drawn figures, most active where the place is top left (area under the curve")
    assert colour is not None
    assert (colour.attribute, colour.value) == ("colour", "red")
    assert noise is None or noise.auc < place.auc


def test_of_a_layer_the_unit_that_tells_best_is_named() -> None:
    graph, split = asked(1)
    (told,) = tellings(graph, Argmax(), split, ("a", "b", "c"), [[{0: np.array([u])} for u in (3, 2, 0)]], 0)
    assert told is not None
    assert told.unit == 2
    assert "unit 9 is most active where the place is top left" in told.says("unit 9")


def test_labels_that_say_nothing_pass_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: labels dealt out anew. Then not even the unit that looks at a place passes."""
    from dataclasses import replace

    import exegesis.passes.grouping.telling as module

    def dealt(shape: tuple[int, ...], n: int, seed: int) -> object:
        made = drawn_images(shape, n, seed)
        order = default_rng(5).permutation(n)
        return replace(made, attributes=tuple(replace(a, of=a.of[order]) for a in made.attributes))

    monkeypatch.setattr(module, "drawn_images", dealt)
    graph, split = asked(1)
    assert tellings(graph, Argmax(), split, ("a", "b", "c"), [[{0: np.array([0])}]], 0) == [None]


def test_inputs_that_are_no_pictures_have_no_concepts() -> None:
    graph = lift(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), (torch.zeros(3, 4),)).graph
    split = ArraySplit("fit", np.zeros((50, 4), np.float32), np.zeros(50, np.int64))
    assert tellings(graph, Argmax(), split, ("a", "b", "c"), [[{0: np.array([0])}]], 0) == [None]


def test_areas_are_those_of_scikit_learn() -> None:
    made = drawn_images((SIDE, SIDE), IMAGES, 0)
    values = default_rng(1).normal(size=(IMAGES, 2)).round(1)  # with ties
    from scipy.stats import rankdata

    shown = np.stack([a.of for a in made.attributes])
    areas = _areas(rankdata(values, axis=0), shown, made)
    column = 0
    for attribute in made.attributes:
        known = attribute.of >= 0
        for value in range(len(attribute.values)):
            for unit in range(2):
                expected = roc_auc_score(attribute.of[known] == value, values[known, unit])
                assert np.isclose(areas[unit, column], expected)
            column += 1
