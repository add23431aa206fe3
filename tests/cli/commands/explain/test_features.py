"""`exegesis explain features`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
