"""`exegesis limits` from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exegesis.store import RunFolder

Command = Callable[..., Any]


def test_help_teaches_with_an_example(exegesis: Command) -> None:
    result = exegesis("limits", "--help")
    assert result.code == 0
    assert "exegesis limits zoo:majority" in result.out


def test_a_network_without_failures(exegesis: Command, tmp_path: Path) -> None:
    result = exegesis("limits", "zoo:majority", "--rows", "30", "--out", tmp_path / "l.json")
    assert result.code == 0, result.err
    assert "No failures found" in result.out
    record = json.loads((tmp_path / "l.json").read_text())
    assert record["flawed"] is False
    assert [s["name"] for s in record["splits"]] == ["train", "test", "long"]
    assert json.loads(exegesis("limits", "zoo:majority", "--rows", "30", "--json").out)["schema"] == 1


def test_a_truth_that_the_network_does_not_follow(exegesis: Command, tmp_path: Path) -> None:
    """Always a: the network, which tells majorities, fails where the answer is another."""
    (tmp_path / "task.py").write_text("def answers(ids):\n    return [0] * len(ids)\n")
    truth = ("--truth", f"{tmp_path / 'task.py'}:answers", "--search", "0", "--rows", "20")
    result = exegesis("limits", "zoo:majority", *truth)
    assert result.code == 1, result.err
    assert "Wrong on " in result.out
    assert "what it does where it is wrong" in result.out


def test_findings_are_put_into_the_run_and_do_not_keep_it_from_being_replaced(exegesis: Command, saved: Path) -> None:
    result = exegesis("limits", "zoo:majority", "--rows", "20", "--search", "0", "--run", saved, "--save", "--quiet")
    assert (result.code, result.out) == (0, ""), result.err
    assert json.loads((saved / "limits.json").read_text())["network"] == "zoo:majority"
    assert RunFolder.open(saved).has("limits.json")
    with RunFolder.create(saved, force=True) as draft:
        draft.discard()


def test_refusals_are_one_sentence(exegesis: Command, tmp_path: Path) -> None:
    for arguments, sentence in (
        (("--save",), "name it with --run"),
        (("--truth", "nowhere.py:f"), "There is no file nowhere.py"),
        (("--search", "long"), "positive time"),
        (("--run", tmp_path / "none"), "is not a folder"),
    ):
        result = exegesis("limits", "zoo:majority", "--rows", "40", *arguments)
        assert result.code == 2
        assert sentence in result.err
        assert result.err.count("\n") == 1
