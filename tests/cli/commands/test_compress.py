"""`exegesis compress`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_the_curve_of_a_transformer(exegesis: Command, tmp_path: Path) -> None:
    record = json.loads(exegesis("compress", "zoo:majority", "--json", "--plot", tmp_path / "curve.svg").out)
    longest = record["points"][0]
    assert longest["held"] > 0.99
    assert longest["share"] < 0.1
    assert longest["directions"] < 32
    assert (longest["heads"], longest["entries"]) == (1, None)
    assert [d["kind"] for d in record["layers"]] == ["stream", "stream"]
    assert [f["kind"] for f in record["families"]] == ["heads", "edges"]
    assert record["families"][1]["mean"] < record["families"][1]["parts"]  # not every edge is needed
    assert 0 < record["weights"]["needed"] < 0.1 * record["weights"]["parameters"]
    assert record["retrained"]["points"] == []
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
