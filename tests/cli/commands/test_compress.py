"""`exegesis compress`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_json_and_a_picture(exegesis: Command, tmp_path: Path) -> None:
    result = exegesis("compress", "zoo:tabular", "--json", "--plot", tmp_path / "curve.svg")
    record = json.loads(result.out)
    assert record["points"][0]["held"] > 0.9
    assert record["points"][0]["heads"] is None
    assert record["retrained"]["points"] == []
    assert record["families"][0]["parts"] == 48
    assert record["weights"]["parameters"] == record["parameters"]
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert "exegesis compress zoo:digits" in exegesis("compress", "--help").out


def test_refusals_are_one_sentence(exegesis: Command, tmp_path: Path) -> None:
    for arguments, message in (
        (("zoo:digits", "--drop", "2"), "--drop is a share between 0 and 1"),
        (("zoo:digits", "--plot", tmp_path / "curve.gif"), "is written as .svg or .png, not as .gif"),
        (("zoo:nothing",), "no network 'nothing'"),
        ((tmp_path / "nothing.py:build", "--behavior", tmp_path / "b.json"), "b.json does not exist"),
        (("zoo:digits", "--behavior", tmp_path / "b.json"), "b.json does not exist"),
        (("zoo:majority", "--retrain"), "Only programs over arrays are trained again"),
    ):
        result = exegesis("compress", *arguments)
        assert result.code == 2
        assert message in " ".join(result.err.split())
