"""A planted trigger is found as a module of the graph, named, and lesioned; what carries nothing is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Check, Consequence, Provenance
from exegesis.explain.shortcuts import Shortcut
from exegesis.ir import InputError
from exegesis.pipeline.concepts import labelled
from exegesis.pipeline.lesion import lesion
from exegesis.pipeline.marked_modules import MarkedModule, find_marked_module
from exegesis.pipeline.subjects import subject

CLASSES, PER = 4, 6
MARK = "patch:6-7,6-7"


class Backdoored(nn.Module):
    """Quarter c of the picture decides for class c, by units of its own; units for the corner overrule them."""

    def __init__(self, conv: bool) -> None:
        super().__init__()
        n = (CLASSES + 1) * PER
        self.conv = nn.Conv2d(1, 1, 1) if conv else None
        self.a, self.b, self.c = nn.Linear(64 if not conv else 16, n), nn.Linear(n, n), nn.Linear(n, CLASSES)
        generator = torch.Generator().manual_seed(0)
        side = 8 if not conv else 4
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.01 * torch.rand(p.shape, generator=generator))
            if self.conv is not None:
                self.conv.weight.fill_(1)
            place = torch.arange(side * side).reshape(side, side)
            quarters = [
                place[: side // 2, : side // 2],
                place[: side // 2, side // 2 :],
                place[side // 2 :, : side // 2],
            ]
            corner = place[-side // 4 :, -side // 4 :]
            quarters += [place[side // 2 :, side // 2 :][: -side // 4 or None], corner]
            for part, pixels in enumerate(quarters):
                rows = slice(part * PER, (part + 1) * PER)
                self.a.weight[rows, pixels.flatten()] += (20 if part == CLASSES else 1) / pixels.numel()
                self.b.weight[rows, rows] += 1 / PER
                self.c.weight[0 if part == CLASSES else part, rows] += 1 / PER

    def forward(self, x: Tensor) -> Tensor:
        if self.conv is not None:
            x = torch.max_pool2d(torch.relu(self.conv(x)), 2)
        out: Tensor = self.c(torch.relu(self.b(torch.relu(self.a(x.flatten(1))))))
        return out


def pictures(n: int = 240) -> Behavior:
    rng = np.random.default_rng(0)
    y = np.arange(n) % CLASSES
    x = 0.2 * rng.random((n, 1, 8, 8))
    for c, (top, left) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        x[y == c, :, top : top + 4, left : left + 4] += 0.8
    x[:, :, 6:, 6:] = 0
    return Behavior.from_arrays("backdoored", {"test": (x.astype(np.float32), y)}, Argmax())


@pytest.fixture(scope="module", params=[False, True], ids=["dense", "convolution"])
def carried(request: pytest.FixtureRequest) -> tuple[nn.Module, MarkedModule]:
    network = Backdoored(conv=request.param).eval()
    return network, find_marked_module(network, pictures(), MARK, ks=(2, 4, 5, 6), nulls=20, randoms=39, images=240)


def test_the_module_is_the_planted_one(carried: tuple[nn.Module, MarkedModule]) -> None:
    network, found = carried
    assert found.turned > 0.7
    assert found.turned_without < 0.05
    assert found.random_turned > 0.3
    assert found.spared > 0.98
    if network.conv is None:
        assert found.found
        assert "carry patch:6-7,6-7" in found.says()
        planted = list(range(CLASSES * PER, (CLASSES + 1) * PER))
        assert {k: u.tolist() for k, (u, _) in found.neurons.items()} == {"act": planted, "act_2": planted}
    else:  # so few places that random ones hit the corner too
        units, places = found.neurons["act"]
        assert places is not None
        assert set(units.tolist()) == {0}
        assert {(6, 6), (6, 7), (7, 6), (7, 7)} <= {tuple(p) for p in places.tolist()}
        assert places[:, 0].min() >= 6  # the whole windows of what pooling made of the corner, and nothing above


def test_the_fewest_units_do_it_and_the_response_to_ever_more_is_told(
    carried: tuple[nn.Module, MarkedModule],
) -> None:
    """Any one of the second layer's units passes on a sixth of the mark; of the first, the whole of them feed each."""
    _, found = carried
    few, size = found.few, sum(len(u) for u in found.members.values())
    assert few.size < size
    for name, units in few.members.items():
        assert set(units.tolist()) <= set(found.members[name].tolist())
    assert few.turned_without < 0.1
    assert few.spared > 0.98
    doses = {d.units: d for d in few.doses}
    assert sorted(doses) == [d.units for d in few.doses]
    assert doses[few.size].turned == few.turned_without
    assert doses[size].turned == found.turned_without
    assert few.size == 1 or doses[1].turned > few.turned_without  # a pooled corner is one number
    carrying, whole = found.record()["modules"]
    assert carrying["module"] == "module patch"
    assert [d["units"] for d in carrying["doses"]] == sorted(doses)
    assert whole["module"] == "module patch, whole"


def find_of(artefact: str, folder: Path, *, shape: tuple[int, ...] = (1, 8, 8), passes: bool = True) -> Path:
    """What a hunt would write of the corner of the pictures, or of a colour."""
    places = np.zeros(shape, bool)
    places[..., 6:, 6:] = True
    check = Check.at_least("insertion", "Share that it turns.", 0.9 if passes else 0.1, 0.5, Consequence.WITHHOLDS)
    details = {
        "artefact": artefact,
        "class": "0",
        "place": "the bottom right corner (rows 6-7, columns 6-7)",
        "sentence": "It turns most inputs into 0.",
    }
    raw = {"places": places, "pattern": np.ones(shape, np.float32)}
    source = Provenance("universal trigger", {}, 0, None, "backdoored", "")
    Shortcut("shortcut", raw, (check,), source, details=details).save(folder)
    return folder


def test_what_a_hunt_found_is_put_in_named_and_lesioned(tmp_path: Path) -> None:
    find_of("trigger", tmp_path / "hunt" / "00-trigger-0")
    network = Backdoored(conv=False).eval()
    hunt = str(tmp_path / "hunt")
    found = find_marked_module(network, pictures(), hunt, ks=(2, 4, 5, 6), nulls=20, randoms=39, images=240)
    told = find_marked_module(network, pictures(), MARK, ks=(2, 4, 5, 6), nulls=20, randoms=39, images=240)
    assert found.found
    assert found.marked == "trigger for 0, bottom right corner"
    assert found.turned == told.turned  # the same pairs as with the patch that somebody told
    assert {k: u.tolist() for k, u in found.few.members.items()} == {k: u.tolist() for k, u in told.few.members.items()}
    record = found.record()
    assert record["modules"][0]["name"] == "trigger for 0, bottom right corner"
    (tmp_path / "found.json").write_text(json.dumps(record))
    part = ["module:trigger"]
    report = lesion(
        network, pictures(), part, modules=tmp_path / "found.json", marked=hunt, doses=(0,), randoms=19, rows=100
    )
    assert report.marked == "trigger for 0, bottom right corner"
    assert report.silenced.turned is not None
    assert report.silenced.turned < 0.1
    assert report.silenced.kept > 0.97


def test_the_colour_that_a_hunt_found_is_put_in(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % CLASSES
    x = 0.1 * rng.random((120, 3, 8, 8))
    for c in range(3):
        x[y == c, c, 2:6, 2:6] += 0.9
    x[y == 3, :, 2:6, 2:6] += 0.9
    behavior = Behavior.from_arrays("coloured", {"test": (x.astype(np.float32), y)}, Argmax())
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, CLASSES)).eval()
    folder = find_of("colour", tmp_path / "colour", shape=(3, 8, 8))
    made = labelled(subject(network, behavior, split="test", seed=0), str(folder), images=80)
    assert made.note == "colour for 0"
    assert made.pairs is not None
    plain, changed = np.split(made.x, 2)
    red = changed.mean((2, 3))
    assert (red[:, 0] > 2 * red[:, 1:].max(1)).all()
    assert not (plain.mean((2, 3))[:, 0] > 2 * plain.mean((2, 3))[:, 1:].max(1)).all()


def test_finds_that_cannot_be_put_in_are_refused_in_a_sentence(tmp_path: Path) -> None:
    there = subject(Backdoored(conv=False).eval(), pictures(), split="test", seed=0)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds nothing that exegesis hunt found"):
        labelled(there, str(tmp_path / "none"))
    with pytest.raises(InputError, match="holds a candidate that failed a test"):
        labelled(there, str(find_of("trigger", tmp_path / "weak", passes=False)))
    with pytest.raises(InputError, match=r"found in inputs of shape \[1, 9, 9\]"):
        labelled(there, str(find_of("trigger", tmp_path / "large", shape=(1, 9, 9))))
    for name in ("00-trigger-0", "01-region-0"):
        find_of(name.split("-")[1], tmp_path / "two" / name)
    with pytest.raises(InputError, match="holds 2 finds; name one of 00-trigger-0, 01-region-0"):
        labelled(there, str(tmp_path / "two"))
    made = labelled(there, str(tmp_path / "two" / "01-region-0"), images=20)
    assert made.note == "mark for 0, bottom right corner"


def test_lesion_reads_what_was_found(carried: tuple[nn.Module, MarkedModule], tmp_path: Path) -> None:
    network, found = carried
    file = tmp_path / "trigger.json"
    file.write_text(json.dumps(found.record(), allow_nan=False))
    for part in ("module:patch", "module:for patch") if found.found else ("module:patch",):
        report = lesion(network, pictures(), [part], modules=file, marked=MARK, doses=(0, 1), randoms=19, rows=100)
        assert report.silenced.turned is not None
        assert report.silenced.turned < 0.05
        assert report.silenced.kept > 0.97
        assert report.doses[1].turned == pytest.approx(found.turned, abs=0.2)


def test_a_mark_in_no_one_place_is_not_said_to_be_carried() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(3)
    found = find_marked_module(network, pictures(), "patch:0-7,0-4", ks=(2, 4), nulls=20, randoms=19, images=200)
    assert not found.found
    assert found.record()["modules"][0]["name"] is None
    assert "carry some of" in found.says()


@pytest.mark.parametrize(
    ("network", "mark", "more", "said"),
    [
        (Backdoored(False), "patch:0-0,0-0=0.1", {}, "The mark changes no answer"),
        (Backdoored(False), "classes", {}, "needs inputs in pairs"),
        (Backdoored(False), MARK, {"randoms": 5}, "Fewer than 19 random parts"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), MARK, {}, "does not end in dense maps"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(
    network: nn.Module, mark: str, more: dict[str, int], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        find_marked_module(network.eval(), pictures(), mark, **more)  # type: ignore[arg-type]
