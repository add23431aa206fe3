"""`exegesis explain examples`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_examples_of_units(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis(
        "explain",
        "examples",
        "zoo:digits",
        "--layer",
        "layers.1",
        "--units",
        "0:2",
        "--out",
        f"{tmp_path}/out",
        "--json",
    )
    records = json.loads(shown.out)
    assert len(records[0]["rows"]["top"]) == 6
    assert (tmp_path / "out" / "00-examples" / "picture.svg").is_file()


def test_neighbours_prototypes_and_influence(exegesis: Command) -> None:
    assert "nearest to 3" in exegesis("explain", "examples", "zoo:digits", "--nearest", "3").out
    assert "criticisms" in exegesis("explain", "examples", "zoo:digits", "--prototypes", "8").out
    marked = exegesis("explain", "examples", "zoo:digits", "--influence", "2")
    assert marked.code == 1
    assert "against 2" in marked.out


def test_one_kind_has_to_be_chosen(exegesis: Command) -> None:
    for arguments in ((), ("--units", "0", "--prototypes", "3")):
        shown = exegesis("explain", "examples", "zoo:digits", *arguments)
        assert shown.code == 2
        assert "Choose one of" in shown.err
