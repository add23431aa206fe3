"""`exegesis explain what-if`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


def test_counterfactuals_of_arrays_and_of_tokens(exegesis: Command) -> None:
    shown = exegesis("explain", "what-if", "zoo:digits", "--turn", "0,3")
    assert shown.code == 0, shown.err
    assert shown.out.count("becomes") == 2
    assert "becomes" in exegesis("explain", "what-if", "zoo:majority", "--turn", "0").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tree", "12"), "fidelity"),
        (("--importance",), "of the answers change"),
        (("--feature", "21", "--output", "3"), "independent"),
        (("--anchor", "0"), "precision"),
    ],
)
def test_each_reply_comes_with_its_check(exegesis: Command, arguments: tuple[str, ...], said: str) -> None:
    shown = exegesis("explain", "what-if", "zoo:digits", *arguments)
    assert shown.code in (0, 1)
    assert said in shown.out


def test_it_is_written(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis("explain", "what-if", "zoo:digits", "--feature", "21", "--out", f"{tmp_path}/d", "--json")
    assert json.loads(shown.out)["kind"] == "dependence"
    assert {p.name for p in (tmp_path / "d").iterdir()} == {"arrays.safetensors", "explanation.json", "picture.svg"}


def test_one_question_at_a_time(exegesis: Command) -> None:
    shown = exegesis("explain", "what-if", "zoo:digits", "--importance", "--tree", "4")
    assert shown.code == 2
    assert "Choose one of" in shown.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--anchor", "0"), "Anchors hold numbers of arrays; behaviour majority is over tokens"),
        (("--tree", "4"), "Behaviour majority is over tokens; this can be asked only"),
        (("--importance",), "no features of a table"),
    ],
)
def test_what_makes_no_sense_of_tokens_says_so(exegesis: Command, arguments: tuple[str, ...], said: str) -> None:
    shown = exegesis("explain", "what-if", "zoo:majority", *arguments)
    assert shown.code == 2
    assert said in shown.err
    assert "shortcut" not in shown.err
    assert len(shown.err.strip().splitlines()) == 1
