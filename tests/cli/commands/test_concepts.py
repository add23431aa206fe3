"""`exegesis concepts` from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]
QUICK = ("--images", "60", "--nulls", "19")


def test_help_teaches_with_an_example(exegesis: Command) -> None:
    result = exegesis("concepts", "--help")
    assert result.code == 0
    assert "exegesis concepts zoo:digits" in result.out


def test_table_file_and_picture(exegesis: Command, tmp_path: Path) -> None:
    files = ("--out", tmp_path / "c.json", "--plot", tmp_path / "c.svg")
    result = exegesis("concepts", "zoo:digits", *QUICK, *files)
    assert result.code == 0, result.err
    assert "Answers follow class on" in result.out
    assert "act_2" in result.out
    assert json.loads((tmp_path / "c.json").read_text())["inputs"] == 60
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")


def test_refusals_are_one_sentence(exegesis: Command, tmp_path: Path) -> None:
    for wrong, sentence in (
        (("--concepts", "generated"), "Images cannot be drawn in the shape [64]"),
        (("--concepts", tmp_path / "none.npz"), "cannot be read"),
        (("--plot", tmp_path / "c.gif"), "not as .gif"),
    ):
        result = exegesis("concepts", "zoo:digits", *QUICK, "--json", *wrong)
        assert result.code == 2
        assert sentence in result.err
        assert result.err.count("\n") == 1
        assert not result.out
