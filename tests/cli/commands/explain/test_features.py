"""`exegesis explain features`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[..., Any]


def test_images_of_a_zoo_network(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis(
        "explain", "features", "zoo:digits", "--layer", "layers.1", "--units", "0:2", "--steps", "60",
        "--plot", f"{tmp_path}/f.svg", "--out", f"{tmp_path}/out", "--json",
    )  # fmt: skip
    assert shown.code == 0, shown.err
    records = json.loads(shown.out)
    assert [r["details"]["unit"] for r in records] == ["layers.1 0", "layers.1 1"]
    assert (tmp_path / "f.svg").read_text().startswith("<?xml")
    assert (tmp_path / "out" / "layers.1-0" / "explanation.json").is_file()


def test_strings_of_a_token_network(exegesis: Command) -> None:
    shown = exegesis("explain", "features", "zoo:majority", "--units", "1")
    assert "“<bos> b b" in shown.out


def test_a_unit_that_does_not_exist_is_one_sentence(exegesis: Command) -> None:
    shown = exegesis("explain", "features", "zoo:digits", "--layer", "layers.1", "--units", "900")
    assert shown.code == 2
    assert "there is no unit 900" in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_parts_of_a_run_by_name_and_number(exegesis: Command, saved: Path, writes: Callable[..., Path]) -> None:
    draws = np.random.default_rng(0)
    rows = [{"input_ids": [2, *draws.integers(2, size=8).tolist(), 3], "scored": [8]} for _ in range(60)]
    behavior = writes(*({**row, "expected": [[0]]} for row in rows))
    shown = exegesis("explain", "features", saved, "--behavior", behavior, "--module", "depth", "--position", "-1")
    assert "depth: shown “<bos> a a a a a a a a <eos>”" in shown.out
    assert shown.code == 0
    letters = exegesis("explain", "features", saved, "-b", behavior, "--module", "0", "--units", "1", "--json")
    assert json.loads(letters.out)[0]["details"]["string"] == "<bos> b b b b b b b b <eos>"
    told = exegesis("explain", "examples", saved, "-b", behavior, "--module", "counts", "--units", "0")
    assert "top (" in told.out
    for wrong in ((), ("--module", "9")):
        refused = exegesis("explain", "features", saved, "-b", behavior, *wrong)
        assert refused.code == 2
        assert "0 counts, 1 depth" in refused.err


def test_modules_of_a_file_and_a_part_of_a_lifted_network(exegesis: Command, tmp_path: Path) -> None:
    lifted = exegesis("explain", "features", "zoo:digits", "--module", "act", "--units", "0", "--steps", "9", "--json")
    plain = exegesis("explain", "features", "zoo:digits", "--layer", "layers.1", "-u", "0", "--steps", "9", "--json")
    one, other = (json.loads(shown.out)[0]["details"]["activation"][0] for shown in (lifted, plain))
    assert one == pytest.approx(other, rel=1e-3)  # the exact program is the network
    listed = {
        "modules": [{"module": "module 0", "units": {"act": [0, 2]}}, {"module": "module 1", "units": {"no": [1]}}]
    }
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    shown = exegesis("explain", "features", "zoo:digits", "--module", "0", "--modules", tmp_path / "modules.json")
    assert shown.code == 2
    assert "no layer 'no'" in shown.err
    listed["modules"].pop()
    (tmp_path / "modules.json").write_text(json.dumps(listed))
    shown = exegesis(
        "explain", "features", "zoo:digits", "--module", "0", "--modules", tmp_path / "modules.json", "--steps", "9"
    )
    assert shown.out.startswith("module 0: ")
    wrong = exegesis("explain", "features", "zoo:digits", "--modules", tmp_path / "modules.json")
    assert "Which module of that file?" in wrong.err


def test_a_picture_of_another_kind_is_refused_before_anything_is_computed(exegesis: Command) -> None:
    ended = exegesis("explain", "features", "nowhere.py:build", "--plot", "units.xyz")
    assert ended.code == 2
    assert "A picture is written as .svg or .png, not as .xyz." in ended.err
