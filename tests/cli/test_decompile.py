"""`exegesis decompile`: what it writes and prints, and how it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exegesis.ir import InputError
from exegesis.pipeline import Program
from exegesis.store import Checkpoints, Fingerprint

Command = Callable[..., Any]
Made = Callable[..., Program]
KEY = Fingerprint(network="n", behavior="b", config="c", version="v", seed=0)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, made: Made) -> dict[str, Any]:
    """A pipeline that notes what it was asked and returns a program at once."""
    asked: dict[str, Any] = {}

    def decompile(network: object, behavior: object, *, progress: Any, **options: object) -> Program:
        asked.update(network=network, behavior=behavior, **options)
        progress.stage("passes", 2)
        progress.pass_started("raise_heads")
        progress.pass_done("raise_heads", "1 of 2 applied")
        return made()

    monkeypatch.setattr("exegesis.pipeline.decompile", decompile)
    return asked


def test_a_run_is_written_and_told_of(
    exegesis: Command, pipeline: dict[str, Any], behavior: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "run"
    result = exegesis("decompile", "some/network", "--behavior", behavior, "--out", out, "--seed", "3")
    assert result.code == 0
    assert (out / "program.py").read_text().startswith('"""brackets')
    assert pipeline["network"] == "some/network"
    assert pipeline["behavior"].name == "brackets"
    assert pipeline["seed"] == 3
    assert (pipeline["checkpoint_at"], pipeline["resume"]) == (out, False)
    assert "agreement, test" in result.out
    assert str(out) in result.out
    assert "raise heads" in result.err
    assert "1 of 2 applied" in result.err


def test_quiet_prints_nothing(exegesis: Command, pipeline: dict[str, Any], behavior: Path, tmp_path: Path) -> None:
    result = exegesis("decompile", "n", "-b", behavior, "-o", tmp_path / "run", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_json_is_all_there_is(exegesis: Command, pipeline: dict[str, Any], behavior: Path, tmp_path: Path) -> None:
    result = exegesis("decompile", "n", "-b", behavior, "-o", tmp_path / "run", "--json")
    record = json.loads(result.out)
    assert record["run"] == str(tmp_path / "run")
    assert record["verdict"] == json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert result.err == ""


def test_a_zoo_network_brings_its_behaviour(exegesis: Command, pipeline: dict[str, Any], tmp_path: Path) -> None:
    assert exegesis("decompile", "zoo:majority", "-o", tmp_path / "run").code == 0
    assert pipeline["behavior"].name == "majority"


def test_any_other_network_needs_one(exegesis: Command, pipeline: dict[str, Any], tmp_path: Path) -> None:
    result = exegesis("decompile", "mine", "-o", tmp_path / "run")
    assert result.code == 2
    assert result.err == (
        "exegesis: Which behaviour of mine? Name its file with --behavior; there is no behavior.json.\n"
    )
    assert pipeline == {}


@pytest.mark.parametrize("network", ["", "network.py:build", "model.onnx"])
def test_a_behaviour_beside_the_network_is_its_own(
    exegesis: Command, pipeline: dict[str, Any], behavior: Path, tmp_path: Path, network: str
) -> None:
    assert exegesis("decompile", behavior.parent / network, "-o", tmp_path / "run").code == 0
    assert pipeline["behavior"].name == "brackets"


def test_a_run_is_replaced_only_by_force(
    exegesis: Command, pipeline: dict[str, Any], behavior: Path, saved: Path
) -> None:
    before = (saved / "program.py").read_bytes()
    (saved / "program.py").write_bytes(before + b"# mine\n")
    refused = exegesis("decompile", "n", "-b", behavior, "-o", saved)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "--force" in refused.err
    assert pipeline == {}, "work began before the folder was looked at"
    assert exegesis("decompile", "n", "-b", behavior, "-o", saved, "--force").code == 0
    assert (saved / "program.py").read_bytes() == before


@pytest.mark.parametrize("started", [True, False])
def test_ctrl_c_says_how_to_go_on(
    exegesis: Command, monkeypatch: pytest.MonkeyPatch, behavior: Path, tmp_path: Path, started: bool
) -> None:
    def interrupted(*args: object, checkpoint_at: Path, **kwargs: object) -> Program:
        if started:
            Checkpoints.start(checkpoint_at, KEY)
        raise KeyboardInterrupt

    monkeypatch.setattr("exegesis.pipeline.decompile", interrupted)
    result = exegesis("decompile", "n", "-b", behavior, "-o", tmp_path / "deep" / "run", "-q")
    assert result.code == 130
    assert ("--resume" in result.err) is started
    assert (tmp_path / "deep").exists() is started
    assert not (tmp_path / "deep" / "run").exists()


def test_resuming_is_passed_on_and_a_finished_run_keeps_nothing(
    exegesis: Command, pipeline: dict[str, Any], behavior: Path, tmp_path: Path
) -> None:
    kept = Checkpoints.start(tmp_path / "run", KEY)
    assert exegesis("decompile", "n", "-b", behavior, "-o", tmp_path / "run", "-q", "--resume").code == 0
    assert pipeline["resume"] is True
    assert not kept.folder.exists()


def test_a_fault_of_ours_keeps_its_traceback(
    exegesis: Command, monkeypatch: pytest.MonkeyPatch, behavior: Path, tmp_path: Path
) -> None:
    def broken(*args: object, **kwargs: object) -> Program:
        raise RuntimeError("we got this wrong")

    monkeypatch.setattr("exegesis.pipeline.decompile", broken)
    with pytest.raises(RuntimeError, match="we got this wrong"):
        exegesis("decompile", "n", "-b", behavior, "-o", tmp_path / "run", "-q")


def test_a_refusal_of_any_layer_is_one_sentence(
    exegesis: Command, monkeypatch: pytest.MonkeyPatch, behavior: Path, tmp_path: Path
) -> None:
    def refuse(*args: object, **kwargs: object) -> Program:
        raise InputError("The network\n  has no weights.")

    monkeypatch.setattr("exegesis.pipeline.decompile", refuse)
    result = exegesis("decompile", "n", "-b", behavior, "-o", tmp_path / "deep" / "run", "-q")
    assert (result.code, result.err) == (2, "exegesis: The network has no weights.\n")
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"network": "nowhere"}, "nowhere is no network"),
        ({"options": ["--resume"]}, "There is no interrupted run to resume"),
        ({"network": "zoo:unicorn"}, "no network 'unicorn'"),
        ({"behavior": "nowhere/behavior.json"}, "nowhere/behavior.json"),
        ({"rows": ["{"]}, "line 1"),
        ({"rows": [{"input_ids": [9], "scored": [0], "expected": [[0]]}]}, "9"),
        ({"rows": [{"input_ids": [0], "scored": [5], "expected": [[0]]}]}, "5"),
        (
            {
                "tokens": ["a", "b", "<bos>", "<eos>", "c"],
                "rows": [{"input_ids": [4], "scored": [0], "expected": [[0]]}],
            },
            "4",
        ),
        ({"out": "task/behavior.json"}, "is a file"),
        ({"out": "task/behavior.json/run"}, "Cannot write a run"),
    ],
    ids=["network", "resume", "zoo", "behaviour", "json", "token", "scored", "vocabulary", "out", "place"],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    given: dict[str, Any],
    said: str,
    exegesis: Command,
    writes: Callable[..., Path],
    behavior: Path,
    network: str,
    tmp_path: Path,
) -> None:
    fields = {k: v for k, v in given.items() if k == "tokens"}
    path = given.get("behavior") or (writes(*given["rows"], **fields) if "rows" in given else behavior)
    out = tmp_path / given.get("out", "deep/run")
    before = sorted(p for p in tmp_path.rglob("*") if "__pycache__" not in p.parts)
    result = exegesis(
        "decompile",
        given.get("network", network),
        "--behavior",
        path,
        "--out",
        out,
        "--quiet",
        *given.get("options", ()),
    )
    assert result.code == 2, result
    assert result.err.startswith("exegesis: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert result.out == ""
    assert sorted(p for p in tmp_path.rglob("*") if "__pycache__" not in p.parts) == before
