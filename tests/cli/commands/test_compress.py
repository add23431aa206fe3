"""`exegesis compress`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_json_and_a_picture_of_a_transformer(exegesis: Command, tmp_path: Path) -> None:
    record = json.loads(exegesis("compress", "zoo:majority", "--json", "--plot", tmp_path / "curve.svg").out)
    assert record["points"] == []
    assert "networks over arrays" in record["notes"][0]
    assert record["redundancy"]["units"] == 1
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert "exegesis compress zoo:digits" in exegesis("compress", "--help").out


def test_refusals_are_one_sentence(exegesis: Command, tmp_path: Path) -> None:
    for arguments, message in (
        (("zoo:digits", "--drop", "2"), "--drop is a share between 0 and 1"),
        (("zoo:digits", "--plot", tmp_path / "curve.gif"), "is written as .svg or .png, not as .gif"),
        (("zoo:nothing",), "no network 'nothing'"),
    ):
        result = exegesis("compress", *arguments)
        assert result.code == 2
        assert message in " ".join(result.err.split())
