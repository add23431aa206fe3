"""`exegesis modules` from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]
QUICK = ("--nulls", "20", "--randoms", "20", "--rows", "40", "--clusters", "2,3")


def test_help_teaches_with_an_example(exegesis: Command) -> None:
    result = exegesis("modules", "--help")
    assert result.code == 0
    assert "exegesis modules zoo:dense_dropout" in result.out


def test_json_table_picture_and_file(exegesis: Command, tmp_path: Path) -> None:
    files = ("--out", tmp_path / "modules.json", "--plot", tmp_path / "modules.svg")
    result = exegesis("modules", "zoo:digits", *QUICK, "--json", *files)
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["network"] == "zoo:digits"
    assert isinstance(record["modular"], bool)
    assert json.loads((tmp_path / "modules.json").read_text())["graphs"] == record["graphs"]
    assert (tmp_path / "modules.svg").read_text().startswith("<?xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["modules.json", "modules.svg"]


def test_the_first_line_says_whether_it_is_modular(exegesis: Command) -> None:
    result = exegesis("modules", "zoo:digits", *QUICK, "--anyway", "--split", "train")
    assert result.code == 0
    assert "odular: n-cut" in result.out
    assert "driven by" in result.out


def test_sequences_and_bad_pictures_are_refused_in_one_sentence(exegesis: Command, tmp_path: Path) -> None:
    result = exegesis("modules", "zoo:majority", *QUICK)
    assert result.code == 2
    assert "is over token sequences, not over arrays" in result.err
    for wrong, sentence in (
        (("--plot", tmp_path / "picture.bmp"), "not as .bmp"),
        (("--clusters", "two"), "--clusters takes whole numbers such as 2,3,5-7, not 'two'"),
        (("--split", "none"), "has no split none; it has train, test"),
    ):
        result = exegesis("modules", "zoo:digits", "--quiet", *wrong)
        assert result.code == 2
        assert sentence in result.err
        assert result.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
