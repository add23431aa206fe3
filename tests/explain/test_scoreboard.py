"""The scoreboard says what was published of three methods, unasked, on networks trained by others and on the zoo's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exegesis.explain import Check, Consequence, Status, Target
from exegesis.explain.checks import cascading_randomisation, completeness, independent_randomisation
from exegesis.explain.figure import PALETTE
from exegesis.explain.scoreboard import GREY, Score, Scoreboard
from exegesis.pipeline.explaining import saliency, scoreboard

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


def test_a_check_that_no_method_could_make_has_no_column() -> None:
    pytest.importorskip("matplotlib")
    made = Check.at_least("stability", "…", 0.9, 0.5)
    said = Check.at_most("input invariance", "…", 0.9, 0.5, Consequence.INFORMS)
    none = Check.undefined("completeness", "…", "there is no sum"), Check.undefined("other", "…", "there is none")
    scores = [Score("a", "A", Status.SHOWN, (none[0], made, said, none[1])), Score("b", "B", Status.SHOWN, none)]
    text = Scoreboard("n", "b", 0, tuple(scores)).figure().svg
    assert "Not made of any: completeness, other." in text
    assert GREY in text  # what failed and decides nothing
    assert PALETTE[5].lower() not in text.lower()


def test_removal_that_tells_nothing_is_said_to_and_why() -> None:
    def board(*values: float, places: float = 0.2) -> Scoreboard:
        nulls = {"random": 0.6, "edges": 0.7, "the places alone": places}
        checks = [Check.at_most("remove and retrain", "…", v, 0.6, Consequence.INFORMS, nulls) for v in values]
        return Scoreboard("n", "b", 0, tuple(Score("a", "A", Status.SHOWN, (c,)) for c in checks))

    (told,) = [s for s in board(0.9, 0.88, places=0.97).sentences() if s.startswith("Remove")]
    assert "0 of 2 methods took more" in told
    assert "(88% to 90% right, at random 60%)" in told
    assert "For 2 of them a network that sees only which places are gone is right 97% of the time" in told
    (told,) = [s for s in board(0.9, 0.5).sentences() if s.startswith("Remove")]
    assert "1 of 2" in told
    assert "places" not in told


def test_methods_that_find_no_more_than_brightness_are_named() -> None:
    def score(title: str, value: float) -> Score:
        nulls = {"random": 0.9, "edges": 0.9, "brightness": 0.56}
        return Score(title, title, Status.SHOWN, (Check.at_most("remove and impute", "…", value, 0.8, nulls=nulls),))

    (told,) = [s for s in Scoreboard("n", "b", 0, (score("A", 0.3), score("B", 0.7))).sentences() if "brightness" in s]
    assert "leaves 56% of the answers; no better than that: B." in told
    assert not [s for s in Scoreboard("n", "b", 0, (score("A", 0.3),)).sentences() if "brightness" in s]


def test_a_difference_is_titled_by_both_outputs() -> None:
    pytest.importorskip("matplotlib")
    found = saliency("zoo:convnet", "zoo:convnet", "gradient", index=[0], target=Target(8, 3), checks=(), chunk=8)
    assert found.provenance.parameters["against"] == 3
    assert "8 − 3" in found.figure().svg


@pytest.mark.parametrize("name", ["mnist_pooled", "mnist_badnet", "mnist_colored"])
def test_the_published_pattern_on_networks_of_others(models: Path, name: str) -> None:
    folder = models / "vision" / name
    network, behavior = f"{folder / 'network.py'}:build", folder / "behavior.json"
    _pattern(scoreboard(network, behavior, methods=METHODS, checks=CHECKS, chunk=64))


def _pattern(board: Scoreboard) -> None:
    for name in ("gradient", "grad-cam"):
        assert board[name].status is Status.SHOWN
    deaf = board["guided-backprop"]
    assert {check.name for check in deaf.failed()} == {"cascading randomisation", "independent randomisation"}
    said = [s for s in board.sentences() if s.startswith("Hardly changed by random weights")]
    assert len(said) == 2
    assert all("Guided backpropagation" in s and "Grad-CAM" not in s for s in said)
