"""Compression of small networks end to end, and what is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exegesis as ex
from exegesis.behavior import Argmax, Behavior
from exegesis.ir import ExegesisError, InputError, check
from exegesis.pipeline.compressing import Compression


@pytest.fixture(scope="module")
def found() -> Compression:
    return ex.compress("zoo:digits", "zoo:digits", floors=(0.99, 0.9))


def test_the_curve_of_the_digits(found: Compression) -> None:
    assert len(found.points) == len(found.programs) == 2
    long, short = found.points
    assert short.bits < long.bits < 0.1 * found.bits
    assert long.held >= short.held >= 0.9
    assert long.test is not None
    assert long.test > 0.95
    assert short.numbers < long.numbers < 0.8 * found.parameters
    assert long.units < 96
    assert found.at(0.95) == long
    assert found.at(0.9) == short
    with pytest.raises(InputError, match=r"keeps 99\.9%"):
        found.at(0.999)


def test_what_is_trained_again_is_never_mixed_in(found: Compression) -> None:
    beside = ex.compress("zoo:digits", "zoo:digits", floors=(0.9,), retrain=True)
    assert found.retrained == () == found.trained
    assert beside.points == found.points[1:]
    (before,), (after,) = beside.points, beside.retrained
    assert len(beside.trained) == 1
    assert (after.units, after.entries, after.floor) == (before.units, before.entries, before.floor)
    assert after.bits < 1.05 * before.bits
    assert after.held > 0.9
    record = json.loads(beside.to_json())
    assert record["retrained"]["points"][0]["held"] == after.held
    assert "other networks" in record["retrained"]["what"]
    with pytest.raises(InputError, match="Only programs over arrays are trained again"):
        ex.compress("zoo:majority", "zoo:majority", retrain=True)


def test_layers_and_lesions_of_the_digits(found: Compression) -> None:
    assert [d.units for d in found.layers] == [48, 48]
    assert all(0 < d.ablation <= d.units and 0 < d.interchange <= d.units for d in found.layers)
    assert found.redundancy.units == 96
    assert found.redundancy.tolerated_ordered > found.redundancy.tolerated[0]


def test_json_and_pictures(found: Compression, tmp_path: Path) -> None:
    record = json.loads(found.to_json())
    assert record["points"][0]["numbers"] == found.points[0].numbers
    assert len(record["layers"]) == 2
    svg = found.plot(tmp_path / "curve.svg")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert found.plot(tmp_path / "again.svg").read_bytes() == svg.read_bytes()
    assert found.plot(tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.svg", "curve.png", "curve.svg"]
    with pytest.raises(InputError, match=r"written as \.svg or \.png, not as \.gif"):
        found.plot(tmp_path / "curve.gif")


def test_the_curve_of_a_transformer() -> None:
    found = ex.compress("zoo:majority", "zoo:majority", floors=(0.95,))
    (point,), (program,) = found.points, found.programs
    assert point.held > 0.95
    assert point.share < 0.1
    assert point.directions is not None
    assert point.directions < 32
    assert (point.heads, point.entries) == (1, None)
    check(program)
    assert [d.kind for d in found.layers] == ["stream", "stream"]
    assert [f.kind for f in found.families] == ["heads", "edges"]
    assert found.families[1].mean < found.families[1].parts  # not every edge is needed
    assert found.weights.needed is not None
    assert found.weights.needed < 0.1 * found.weights.parameters


def arrays(x: np.ndarray, y: np.ndarray | None = None, classes: int = 3) -> Behavior:
    names = tuple(str(c) for c in range(classes))
    return Behavior.from_arrays("b", {"train": (x, y), "test": (x, y)}, Argmax(), output_names=names)


def network(inputs: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, 3))


X = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)


def test_networks_and_data_that_do_not_fit() -> None:
    cases = [
        (network(4), arrays(X), r"fails on inputs of shape \[2, 5\]"),
        (network(), arrays(X[:2]), "has 2 inputs; fewer than its 3 classes"),
        (network(), arrays(X[:9]), "at least 20 are needed"),
        (network(), arrays(X, classes=4), "4 outputs"),
        (nn.Linear(5, 3), arrays(X), "no layer of units"),
    ]
    for net, behavior, message in cases:
        with pytest.raises(ExegesisError, match=message):
            ex.compress(net, behavior, floors=(0.9,))
    broken = network()
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")  # type: ignore[operator,index]
    with pytest.raises(ExegesisError, match="NaN or infinite"):
        ex.compress(broken, arrays(X))
    with pytest.raises(InputError, match="between 0 and 1"):
        ex.compress(network(), arrays(X), floors=(1.2,))


class Apart(nn.Module):
    """A network with a layer that leads nowhere; where `cut`, nothing at all leads to the outputs."""

    def __init__(self, cut: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.used, self.unused, self.last = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)
        self.cut, self.said = cut, nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Tensor) -> Tensor:
        self.unused(x)
        return self.said.expand(len(x), 3) * 1 if self.cut else self.last(torch.relu(self.used(x)))


def test_what_is_not_connected() -> None:
    found = ex.compress(Apart(), arrays(X), floors=(0.9,))
    assert found.families[0].parts == 8  # what leads nowhere is no part of the network
    assert found.points[0].held > 0.9
    with pytest.raises(ExegesisError, match="nothing lies between its inputs and its outputs"):
        ex.compress(Apart(cut=True), arrays(X), floors=(0.9,))


def test_dead_units_simply_work() -> None:
    half = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        half[0].bias[:5] = -100.0  # type: ignore[operator,index]
    found = ex.compress(half, arrays(X), floors=(0.9,))
    assert found.points[0].units <= 3
    assert (found.families[0].parts, found.families[0].mean <= 3) == (8, True)
    assert found.redundancy.tolerated_ordered >= 5


def test_data_that_cannot_be_used() -> None:
    for rows, message in ((X[:0], "needs at least one input"), (np.full_like(X, np.nan), "NaN or infinite")):
        with pytest.raises(ExegesisError, match=message):
            ex.compress(network(), arrays(rows), floors=(0.9,))


def test_one_answer_for_everything() -> None:
    """A network that always says the same needs next to nothing, and says so without failing."""
    same = network()
    with torch.no_grad():
        same[2].bias[1] = 100.0  # type: ignore[operator,index]
    found = ex.compress(same, arrays(X, np.ones(120, np.int64)), floors=(0.9,))
    assert found.points[0].held == 1.0
    assert found.layers[0].ablation == 0
    assert found.redundancy.tolerated[0] >= 7


def test_the_extra_is_declared() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert any(r.startswith("matplotlib") for r in project["project"]["optional-dependencies"]["plot"])
