"""`exegesis diff` over several runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exegesis.pipeline import Program

Command = Callable[..., Any]


@pytest.fixture
def runs(tmp_path: Path, made: Callable[..., Program]) -> list[Path]:
    """Three runs, the last two of which have another name for a head's look."""
    looks = [("everything so far", 0.6, False), ("the position before", 0.9, True), ("the position before", 0.9, True)]
    found = []
    for k, (where, share, replaced) in enumerate(looks):
        program = made()
        heads = {"L0H0": {"looks at": where, "share": share, "replaced": replaced}}
        graph = replace(program.graph, meta={**program.graph.meta, "heads": heads})
        replace(program, graph=graph).save(tmp_path / f"step-{k}")
        found.append(tmp_path / f"step-{k}")
    return found


def test_several_runs_are_a_story(exegesis: Command, runs: list[Path]) -> None:
    result = exegesis("diff", *runs)
    assert result.code == 1, result.err
    assert "step-0 → step-1" in result.out
    assert "L0H0 now looks at the position before (90.0 %), before at everything so far (60.0 %)" in result.out
    assert "step-1 → step-2" not in result.out
    assert "right: " not in result.out


def test_json_and_accuracy_where_limits_were_looked_for(exegesis: Command, runs: list[Path]) -> None:
    splits = [{"name": "test", "answers": 10, "wrong": 2}]
    (runs[1] / "limits.json").write_text(json.dumps({"splits": splits}))
    record = json.loads(exegesis("diff", *runs, "--json").out)
    assert [c["name"] for c in record["runs"]] == ["step-0", "step-1", "step-2"]
    assert [c["accuracy"] for c in record["runs"]] == [{}, {"test": 0.8}, {}]
    assert record["runs"][0]["changes"] == []
    assert record["runs"][1]["heads"]["L0H0"] == {"looks at": "the position before", "share": 0.9, "replaced": True}
    assert "80.00%" in exegesis("diff", *runs).out


def test_picture(exegesis: Command, runs: list[Path], tmp_path: Path) -> None:
    assert exegesis("diff", *runs, "--plot", tmp_path / "story.svg").code == 1
    assert (tmp_path / "story.svg").read_text().startswith("<?xml")


def test_refusals_are_one_sentence(exegesis: Command, runs: list[Path], tmp_path: Path) -> None:
    (runs[0] / "limits.json").write_text("[]")
    for arguments, sentence in (
        ((runs[1],), "name two runs or more"),
        ((runs[1], tmp_path / "none"), "is not a folder"),
        ((runs[0], runs[1]), "is not what `exegesis limits --save` writes"),
        ((runs[1], runs[2], "--plot", tmp_path / "s.txt"), "not as .txt"),
    ):
        result = exegesis("diff", *arguments)
        assert result.code == 2
        assert sentence in result.err
        assert result.err.count("\n") == 1
