"""The scoreboard says what was published of three methods, unasked, on networks trained by others and on the zoo's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exegesis.explain import Status
from exegesis.explain.checks import cascading_randomisation, completeness, independent_randomisation
from exegesis.pipeline.explaining import scoreboard

CHECKS = (completeness, cascading_randomisation, independent_randomisation)
METHODS = ("gradient", "grad-cam", "guided-backprop")


def test_the_published_pattern_on_the_zoo(tmp_path: Path) -> None:
    board = scoreboard("zoo:convnet", "zoo:convnet", methods=(*METHODS, "token-importance"), checks=CHECKS, chunk=64)
    _pattern(board)
    assert board["token-importance"].trusted is None
    assert any(s.startswith("Undefined here: Token importance") for s in board.sentences())
    board.save(tmp_path / "scores.json")
    record = json.loads((tmp_path / "scores.json").read_text())
    assert [score["method"] for score in record["scores"]] == [*METHODS, "token-importance"]
    pytest.importorskip("matplotlib")
    assert "<svg" in board._repr_html_()


@pytest.mark.parametrize("name", ["mnist_pooled", "mnist_badnet", "mnist_colored"])
def test_the_published_pattern_on_networks_of_others(models: Path, name: str) -> None:
    folder = models / "vision" / name
    network, behavior = f"{folder / 'network.py'}:build", folder / "behavior.json"
    _pattern(scoreboard(network, behavior, methods=METHODS, checks=CHECKS, chunk=64))


def _pattern(board: object) -> None:
    from exegesis.explain.scoreboard import Scoreboard

    assert isinstance(board, Scoreboard)
    for name in ("gradient", "grad-cam"):
        assert board[name].status is Status.SHOWN
    deaf = board["guided-backprop"]
    assert {check.name for check in deaf.failed()} == {"cascading randomisation", "independent randomisation"}
    said = [s for s in board.sentences() if s.startswith("Hardly changed by random weights")]
    assert len(said) == 2
    assert all("Guided backpropagation" in s and "Grad-CAM" not in s for s in said)
