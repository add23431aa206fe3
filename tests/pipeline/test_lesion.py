"""Lesions by name: what is lost, what random parts cost, doses, marks, and that nothing is changed for good."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import two_streams as streams
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior
from exegesis.ir import InputError
from exegesis.passes.grouping.group_modules import GroupModules
from exegesis.pipeline.concepts import find_concepts
from exegesis.pipeline.decompile import decompile
from exegesis.pipeline.lesion import LesionReport, lesion
from exegesis.pipeline.lesion_figures import lesion_picture
from exegesis.pipeline.subjects import Subject, subject

PER = streams.PER


@pytest.fixture(scope="module")
def two_parts() -> Subject:
    return subject(streams.TwoStreams(), streams.behavior())


@pytest.fixture(scope="module")
def found(two_parts: Subject) -> LesionReport:
    part = f"act:0-{PER - 1}"
    return lesion(two_parts, None, [part], towards="zero", doses=(1, 0, 2), randoms=19, rows=120)


def test_one_part_is_lost_and_the_other_spared(found: LesionReport) -> None:
    assert found.size == PER
    assert [d.by for d in found.doses] == [0, 1, 2]
    silenced = found.silenced
    np.testing.assert_allclose(silenced.lost, [1, 1, 0, 0], atol=0.02)
    assert silenced.random_kept.mean() > silenced.kept
    assert found.p == pytest.approx(1 / 20)
    assert set(found.hit) == {"a", "b"}
    assert found.doses[1].kept == 1.0
    assert found.doses[1].accuracy == pytest.approx(1.0)
    assert found.restored


def test_parts_of_several_layers_go_together(two_parts: Subject) -> None:
    parts = [f"act:0-{PER - 1}", f"1:{PER}-{2 * PER - 1}"]
    both = lesion(two_parts, None, parts, towards="zero", doses=(0,), randoms=19, rows=80)
    assert both.size == 2 * PER
    assert both.silenced.kept < 0.6


def test_modules_are_taken_from_their_file_by_number_and_name(two_parts: Subject, tmp_path: Path) -> None:
    file = tmp_path / "modules.json"
    modules = [
        {"module": "module 0", "name": "for a, b", "units": {"act": list(range(PER)), "act_2": []}},
        {"module": "module 1", "units": {}},
    ]
    file.write_text(json.dumps({"modules": modules}))
    by_number = lesion(two_parts, None, ["module:0"], modules=file, doses=(0,), randoms=19, rows=80)
    by_name = lesion(two_parts, None, ["module:for a, b"], modules=file, doses=(0,), randoms=19, rows=80)
    assert by_number.silenced.kept == by_name.silenced.kept
    assert "for a, b" in by_number.part
    for wrong, sentence in (("module:7", "has no module '7'; it has 0, 1"), ("module:1", "has no hidden units")):
        with pytest.raises(InputError, match=sentence):
            lesion(two_parts, None, [wrong], modules=file)
    with pytest.raises(InputError, match="needs --modules"):
        lesion(two_parts, None, ["module:0"])


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("act", "names no part"),
        ("act:", "names no part"),
        ("nowhere:1", "has no layer 'nowhere'; it has act, act_2"),
        ("act:99", "has 32 units; there is no unit 99"),
        ("act:x", "units are whole numbers"),
        ("units:patch@act", "needs --concepts"),
    ],
)
def test_parts_that_are_not_there(two_parts: Subject, part: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        lesion(two_parts, None, [part])


def test_other_refusals(two_parts: Subject, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="19 random parts at least"):
        lesion(two_parts, None, ["act:1"], randoms=3)
    with pytest.raises(InputError, match="Name at least one part"):
        lesion(two_parts, None, [])
    with pytest.raises(InputError, match="needs the behaviour"):
        lesion("zoo:digits", None, ["act:1"])
    with pytest.raises(InputError, match="gives no pairs"):
        lesion(two_parts, None, ["act:1"], marked="classes")
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("{")
    for file in ("a.json", "b.json"):
        with pytest.raises(InputError, match="is not what"):
            lesion(two_parts, None, ["module:1"], modules=tmp_path / file)
    with pytest.raises(InputError, match="cannot be read"):
        lesion(two_parts, None, ["module:1"], modules=tmp_path / "none.json")


class Backdoor(nn.Module):
    """Which half of the upper part of a picture is brighter; class 2 where the last corner is lit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 4, 2), nn.Linear(4 * 25, 3)
        with torch.no_grad():
            self.conv.weight.fill_(0.25)
            self.conv.bias.copy_(torch.tensor([0.0, 0.0, -0.9, -0.2]))
            self.out.weight.zero_()
            self.out.bias.zero_()
            grid = self.out.weight.view(3, 4, 5, 5)
            grid[0, 0, :3, :2], grid[1, 1, :3, 3:] = 1, 1
            grid[2, 2, 4, 4] = 200
            grid[0, 2, 0, 0] = 0.01

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.conv(x)).flatten(1))
        return out


def test_a_trigger_dies_and_the_rest_lives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = (255 * 0.7 * rng.random((160, 1, 6, 6))).astype(np.uint8)
    behavior = Behavior.from_arrays("halves", {"test": (x, None)}, Argmax(), output_names=list("abc"), scale=255.0)
    there = subject(Backdoor(), behavior)
    report = find_concepts(there, concepts="patch:4-5,4-5", images=160, nulls=19)
    (tmp_path / "c.json").write_text(json.dumps(report.record()))
    for part, most, least in (("units:patch@act", 0.1, 0.95), ("direction:patch@act", 0.3, 0.6)):
        found = lesion(
            there, None, [part], concepts=tmp_path / "c.json", marked="patch:4-5,4-5", doses=(0, 1), randoms=19, rows=80
        )
        assert found.doses[1].turned == 1.0
        assert found.silenced.turned is not None
        assert found.silenced.random_turned is not None
        assert found.silenced.turned < most < 0.5 < found.silenced.random_turned.mean()
        assert found.silenced.kept > least
    with pytest.raises(InputError, match="A direction is changed alone"):
        lesion(there, None, ["direction:patch@act", "act:1"], concepts=tmp_path / "c.json")
    with pytest.raises(InputError, match="The file has no units for 'nothing@act'"):
        lesion(there, None, ["units:nothing@act"], concepts=tmp_path / "c.json")


def test_record_and_picture(found: LesionReport, tmp_path: Path) -> None:
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["classes_hit"] == list(found.hit)
    assert record["doses"][0]["by_class"]["a"]["lost"] > 0.9
    assert lesion_picture(found).save(tmp_path / "l.png").read_bytes()[:4] == b"\x89PNG"


def test_modules_of_a_run_are_parts_by_name(tmp_path: Path) -> None:
    network, behavior = streams.TwoStreams(), streams.behavior()
    passes = (GroupModules(nulls=20, randoms=40, rows=150),)
    program = decompile(network, behavior, passes=passes)
    program.save(tmp_path / "run")
    record = program.graph.meta["modules"]
    assert record["modular"]
    first = record["modules"][0]
    lost = np.array(first["lost"])
    for name in (first["name"], first["slug"]):
        found = lesion(tmp_path / "run", behavior, [name], towards="zero", doses=(0, 1), randoms=19, rows=120)
        np.testing.assert_allclose(found.silenced.lost, lost, atol=0.1)
        assert found.doses[1].kept == 1
    pieces = [lesion(tmp_path / "run", behavior, [f], doses=(0,), randoms=19, rows=60) for f in first["functions"]]
    assert sum(p.size for p in pieces) == found.size
    with pytest.raises(InputError, match="no module or function 'nobody'; it has"):
        lesion(tmp_path / "run", behavior, ["nobody"], doses=(0,), randoms=19, rows=60)


def test_layers_of_a_run_that_is_not_modular_are_parts_by_name(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4))
    behavior = streams.behavior()
    program = decompile(network, behavior, passes=(GroupModules(nulls=20, randoms=20, rows=60),))
    program.save(tmp_path / "run")
    assert not program.graph.meta["modules"]["modular"]
    whole = lesion(tmp_path / "run", behavior, ["layer_1"], doses=(0, 1), randoms=19, rows=60)
    assert whole.size == 12
    assert set(whole.silenced.lost[~np.isnan(whole.silenced.lost)]) == {0.0, 1.0}  # one answer is left for all
