"""`exegesis explain saliency` and `exegesis explain scoreboard`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from exegesis.cli.commands.explain.options import rows_of
from exegesis.ir import InputError

Command = Callable[..., Any]


def test_values_checks_and_a_picture_are_written(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis(
        "explain", "saliency", "zoo:majority", "--method", "gradient-x-input", "--index", "0", "--chunk", "8",
        "--out", f"{tmp_path}/x",
    )  # fmt: skip
    assert shown.code in (0, 1), shown.err
    assert "cascading randomisation:" in shown.out
    assert {p.name for p in (tmp_path / "x").iterdir()} == {"explanation.json", "arrays.safetensors", "picture.svg"}
    record = json.loads((tmp_path / "x" / "explanation.json").read_text())
    assert record["provenance"]["method"] == "gradient-x-input"
    assert (shown.code == 0) == (record["status"] == "shown")
    arrays = load_file(tmp_path / "x" / "arrays.safetensors")
    assert arrays["values"].shape == arrays["tokens"].shape
    assert np.isfinite(arrays["values"][arrays["tokens"] >= 0]).all()


def test_json_alone_and_exit_1_for_what_is_marked(exegesis: Command) -> None:
    shown = exegesis(
        "explain",
        "saliency",
        "zoo:convnet",
        "-m",
        "guided-backprop",
        "-i",
        "0:4",
        "--chunk",
        "8",
        "--no-retrain",
        "--json",
    )
    record = json.loads(shown.out)
    assert record["status"] == "marked"
    assert shown.code == 1
    assert any("redraws the input" in note for note in record["notes"])


def test_the_scoreboard_is_drawn_and_written(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis(
        "explain", "scoreboard", "zoo:majority", "-m", "gradient", "-m", "grad-cam", "-i", "0",
        "--chunk", "8", "--out", f"{tmp_path}/s.json", "--plot", f"{tmp_path}/s.svg",
    )  # fmt: skip
    assert shown.code == 0, shown.err
    assert "Undefined here: Grad-CAM" in shown.out
    assert "…" not in shown.out  # no figure is cut off
    assert "2 cascading randomisation" in " ".join(shown.out.split())
    assert (tmp_path / "s.svg").read_text().lstrip().startswith("<?xml")
    assert json.loads((tmp_path / "s.json").read_text())["network"] == "zoo:majority"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--method", "magic"), "There is no method 'magic'"),
        (("--target", "99"), "There is no output 99"),
        (("--target", "best"), "A target is `answer`"),
        (("--index", "0:2:3"), "Rows are given as"),
        (("--index", "9999"), "has no row 9999"),
        (("--split", "nope"), "has no split nope"),
        (("--position", "99"), "There is no position 99"),
        (("--layer", "nope"), "Which channel of the layer"),
        (("--layer", "nope", "--target", "1"), "has no module 'nope'"),
        (("--method", "grad-cam"), "has none over images"),
    ],
)
def test_wrong_input_is_one_sentence(exegesis: Command, more: tuple[str, ...], said: str) -> None:
    shown = exegesis("explain", "saliency", "zoo:majority", "--index", "0", *more)
    assert shown.code == 2
    assert said in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_a_part_of_a_lifted_network_is_what_its_layer_is(exegesis: Command, tmp_path: Path) -> None:
    asked = (
        "explain",
        "saliency",
        "zoo:convnet",
        "-m",
        "gradient",
        "-i",
        "0:2",
        "--target",
        "1",
        "--chunk",
        "8",
        "--no-retrain",
    )
    part = exegesis(*asked, "--module", "conv", "--out", tmp_path / "part")
    assert part.code in (0, 1), part.err
    assert "cascading randomisation: " in part.out  # the program's weights can be replaced as a network's
    layer = exegesis(*asked, "--layer", "conv1", "--out", tmp_path / "layer")
    assert layer.code in (0, 1), layer.err
    one, other = (load_file(tmp_path / name / "arrays.safetensors")["values"] for name in ("part", "layer"))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_relevance_ends_at_a_part(exegesis: Command) -> None:
    shown = exegesis(
        "explain", "saliency", "zoo:convnet", "-m", "lrp-epsilon", "-i", "0:2", "--module", "act", "--target", "1",
        "--chunk", "8", "--json",
    )  # fmt: skip
    (whole,) = [c for c in json.loads(shown.out)["checks"] if c["name"] == "completeness"]
    assert whole["passed"] is True


def test_a_variable_of_a_run_is_explained_by_exchanging_tokens(
    exegesis: Command, saved: Path, writes: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [{"input_ids": [2, *([0, 1] * k), 0, 3], "scored": [2 * k + 1], "expected": [[0]]} for k in range(2, 6)]
    behavior = writes(*rows)
    asked = ("explain", "saliency", saved, "--behavior", behavior, "--split", "train", "--module", "counts")
    shown = exegesis(*asked, "-m", "token-importance", "--target", "0", "--position", "-1", "--out", tmp_path / "x")
    assert shown.code in (0, 1), shown.err
    arrays = load_file(tmp_path / "x" / "arrays.safetensors")
    values, tokens = arrays["values"], arrays["tokens"]
    assert (values[tokens == 0] > 0).all()  # each `a` is counted
    refused = exegesis(*asked)
    assert refused.code == 2
    assert "token-importance exchanges tokens" in refused.err
    for more, said in ((("--target", "9"), "there is no unit 9"), (("--target", "0-1"), "unit by unit")):
        wrong = exegesis(*asked, "-m", "token-importance", *more)
        assert wrong.code == 2
        assert said in wrong.err


def test_rows() -> None:
    assert rows_of(None) is None
    assert rows_of("7") == [7]
    assert rows_of("0:3, 9") == [0, 1, 2, 9]
    for wrong in ("", "a", "1:", "-1"):
        with pytest.raises(InputError):
            rows_of(wrong)


def test_it_is_drawn_into_a_file(exegesis: Command, tmp_path: Path) -> None:
    asked = ("explain", "saliency", "zoo:digits", "--method", "gradient", "--index", "0:2", "--no-retrain", "-q")
    exegesis(*asked, "--plot", f"{tmp_path}/map.svg")
    assert "<svg" in (tmp_path / "map.svg").read_text()
    refused = exegesis(*asked, "--plot", f"{tmp_path}/map.pdf")
    assert (refused.code, "written as .svg or .png" in refused.err) == (2, True)
