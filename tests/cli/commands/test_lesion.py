"""`exegesis lesion` from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]
QUICK = ("--randoms", "19", "--rows", "60", "--doses", "0,1,2")


def test_help_teaches_with_an_example(exegesis: Command) -> None:
    result = exegesis("lesion", "--help")
    assert result.code == 0
    assert "exegesis lesion zoo:digits act:0-9" in result.out


def test_table_json_file_and_picture(exegesis: Command, tmp_path: Path) -> None:
    result = exegesis("lesion", "zoo:digits", "act:0-9", "act_2:3", *QUICK, "--plot", tmp_path / "l.svg")
    assert result.code == 0, result.err
    assert "act:0-9 + act_2:3: 11 numbers" in result.out
    assert "Afterwards the network says the same." in result.out
    assert (tmp_path / "l.svg").read_text().startswith("<?xml")
    result = exegesis("lesion", "zoo:digits", "act:0-9", *QUICK, "--json", "--out", tmp_path / "l.json")
    record = json.loads(result.out)
    assert record == json.loads((tmp_path / "l.json").read_text())
    assert [d["by"] for d in record["doses"]] == [0, 1, 2]
    assert record["restored"] is True


def test_refusals_are_one_sentence(exegesis: Command, tmp_path: Path) -> None:
    for arguments, sentence in (
        (("act:999",), "there is no unit 999"),
        (("act:1", "--doses", "much"), "--doses takes numbers"),
        (("act:1", "--doses", "-1"), "between 0 and a million"),
        (("act:1", "--plot", tmp_path / "l.txt"), "not as .txt"),
        (("module:1",), "needs --modules"),
    ):
        result = exegesis("lesion", "zoo:digits", "--rows", "60", *arguments)
        assert result.code == 2
        assert sentence in result.err
        assert result.err.count("\n") == 1
