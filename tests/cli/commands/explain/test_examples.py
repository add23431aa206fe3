"""`exegesis explain examples`, `neighbours`, `prototypes`, `patches` and `influence`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Argmax, Behavior

Command = Callable[..., Any]


def test_examples_of_units(exegesis: Command, tmp_path: Path) -> None:
    asked = ("explain", "examples", "zoo:digits", "--layer", "layers.1", "--units", "0:2")
    shown = exegesis(*asked, "--out", f"{tmp_path}/out", "--json")
    records = json.loads(shown.out)
    assert len(records[0]["rows"]["top"]) == 6
    assert (tmp_path / "out" / "00-examples" / "picture.svg").is_file()
    strings = exegesis("explain", "examples", "zoo:majority", "--units", "0", "--plot", f"{tmp_path}/strings.svg")
    assert "top (" in strings.out
    assert (tmp_path / "strings.svg").read_text().startswith("<?xml")
    one = exegesis("explain", "examples", "zoo:digits")
    assert (one.code, "Examples of what?" in one.err) == (2, True)


def test_neighbours_and_their_picture(exegesis: Command, tmp_path: Path) -> None:
    asked = ("explain", "neighbours", "zoo:tabular", "--index", "0:2", "--count", "3", "--layer", "layers.2")
    shown = exegesis(*asked, "--plot", f"{tmp_path}/near.svg")
    assert shown.code == 0, shown.err
    assert shown.out.count("nearest to") == 2
    assert "same answer" in shown.out
    assert "<svg" in (tmp_path / "near.svg").read_text()
    assert "too few for 400 neighbours" in exegesis(*asked[:-2], "--count", "400").err


def test_prototypes_are_written(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis("explain", "prototypes", "zoo:convnet", "--layer", "hidden", "-k", "8", "--out", f"{tmp_path}/p")
    assert shown.code == 0, shown.err
    assert "criticisms: " in shown.out
    assert {p.name for p in (tmp_path / "p").iterdir()} == {"arrays.safetensors", "explanation.json", "picture.svg"}
    many = exegesis("explain", "prototypes", "zoo:tabular", "-k", "300")
    assert (many.code, "at most a quarter" in many.err) == (2, True)


def test_patches(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis("explain", "patches", "zoo:convnet", "--layer", "conv1", "-k", "2", "--plot", f"{tmp_path}/p.png")
    assert shown.code in (0, 1), shown.err
    assert "row " in shown.out
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "Patches of which layer?" in exegesis("explain", "patches", "zoo:convnet").err
    assert "parts of images" in exegesis("explain", "patches", "zoo:copy").err


def test_influence_is_marked_until_it_is_tested(exegesis: Command, tmp_path: Path) -> None:
    asked = ("explain", "influence", "zoo:tabular", "--index", "0:8")
    marked = exegesis(*asked, "--no-retrain", "--plot", f"{tmp_path}/influence.svg")
    assert marked.code == 1
    assert "against malignant in row 0" in marked.out
    assert "Marked" in marked.out
    assert "<svg" in (tmp_path / "influence.svg").read_text()
    tested = exegesis(*asked, "--subsets", "8", "--json")
    record = json.loads(tested.out)
    (check,) = record["checks"]
    assert check["value"] is not None
    assert set(check["nulls"]) >= {"random", "networks dealt to other subsets, 99 %"}
    assert (tested.code == 0) == check["passed"]


def test_a_class_with_two_images_is_too_few_for_three_patches(exegesis: Command, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    x, y = draws.random((40, 1, 8, 8)).astype(np.float32), np.array([1, 1, *[0] * 38])
    Behavior.from_arrays("few", {"train": (x, y), "test": (x, y)}, Argmax(), output_names=["a", "b"]).save(tmp_path)
    shown = exegesis("explain", "patches", "zoo:convnet", "--behavior", tmp_path / "behavior.json", "--scratch")
    assert shown.code == 2
    assert shown.err == "exegesis: Class b has 2 images, too few for 3 prototypes.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("neighbours", "zoo:majority"), "is over token"),
        (("influence", "zoo:majority"), "is over token"),
        (("influence", "zoo:tabular", "--index", "999", "--no-retrain"), "has no row 999"),
        (("influence", "zoo:tabular", "--subsets", "3"), "3 subsets are too few"),
        (("neighbours", "zoo:tabular", "--split", "dev"), "has no split dev"),
        (("neighbours", "zoo:tabular", "--plot", "near.pdf"), "A picture is written as .svg or .png"),
        (("prototypes", "zoo:tabular", "--layer", "nowhere"), "no module 'nowhere'"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(exegesis: Command, arguments: tuple[str, ...], said: str) -> None:
    shown = exegesis("explain", *arguments)
    assert shown.code == 2
    assert said in shown.err
    assert len(shown.err.strip().splitlines()) == 1
