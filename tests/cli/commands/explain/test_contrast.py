"""`exegesis explain counterfactuals`, `anchor`, `dependence`, `importance` and `surrogate`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exegesis import zoo
from exegesis.behavior import Argmax, Behavior

Command = Callable[..., Any]


def test_counterfactuals_of_arrays_tables_and_strings(exegesis: Command, tmp_path: Path) -> None:
    shown = exegesis("explain", "counterfactuals", "zoo:digits", "--index", "0,3", "--plot", f"{tmp_path}/digits.svg")
    assert shown.code == 0, shown.err
    assert shown.out.count("becomes") == 2
    table = exegesis(
        "explain", "counterfactuals", "zoo:tabular", "--index", "0:3", "--immutable", "mean texture, worst texture, 9",
        "--plot", f"{tmp_path}/table.svg",
    )  # fmt: skip
    assert "malignant becomes benign" in table.out
    assert " → " in table.out
    assert "  mean texture:" not in table.out
    assert "  worst texture:" not in table.out
    strings = exegesis("explain", "counterfactuals", "zoo:majority", "--index", "0", "--plot", f"{tmp_path}/s.svg")
    assert "position " in strings.out
    assert all("<svg" in (tmp_path / f"{name}.svg").read_text() for name in ("digits", "table", "s"))


def test_where_nothing_turns_it_a_sentence_says_so(exegesis: Command, tmp_path: Path) -> None:
    every = ",".join(name for name in zoo.behavior("tabular").features if name != "mean radius")
    asked = ("explain", "counterfactuals", "zoo:tabular", "--index", "8", "--immutable", every)
    shown = exegesis(*asked, "--plot", f"{tmp_path}/none.svg")
    assert shown.code == 1
    assert "no change within the range of the data turned it into" in shown.out
    assert "0 (at least 1), FAILED" in shown.out
    assert (tmp_path / "none.svg").is_file()
    string = exegesis(
        "explain", "counterfactuals", "zoo:majority", "--index", "0", "--immutable", "1,2,3", "--most", "1"
    )
    assert "letters were not enough" in string.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("zoo:tabular", "--row", "3"), ": benign"),
        (("zoo:convnet", "--row", "0", "--tile", "2"), "numbers as they are"),
        (("zoo:majority", "--row", "0"), " at 1 and "),
    ],
)
def test_anchors(exegesis: Command, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    shown = exegesis("explain", "anchor", *arguments, "--plot", f"{tmp_path}/anchor.svg")
    assert shown.code == 0, shown.out + shown.err
    assert "these suffice: " in shown.out
    assert said in shown.out
    assert "coverage" in shown.out
    assert "<svg" in (tmp_path / "anchor.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "said", "kind"),
    [
        (("importance", "zoo:tabular"), "of the answers change", "importance"),
        (("surrogate", "zoo:tabular", "--leaves", "5"), "mean concave points", "surrogate"),
        (("dependence", "zoo:tabular", "-f", "worst texture", "--output", "malignant"), "independent", "dependence"),
        (("dependence", "zoo:tabular", "-f", "21"), "independent", "dependence"),
    ],
)
def test_tables(exegesis: Command, tmp_path: Path, arguments: tuple[str, ...], said: str, kind: str) -> None:
    shown = exegesis("explain", *arguments, "--out", f"{tmp_path}/d")
    assert shown.code in (0, 1), shown.err
    assert said in shown.out
    assert json.loads((tmp_path / "d" / "explanation.json").read_text())["kind"] == kind
    assert {p.name for p in (tmp_path / "d").iterdir()} == {"arrays.safetensors", "explanation.json", "picture.svg"}


def test_a_feature_that_is_the_same_everywhere(exegesis: Command, tmp_path: Path) -> None:
    table = zoo.behavior("tabular")
    x, y = table.arrays("test").stored.copy(), table.arrays("test").y
    x[:, 3] = 7.0
    same = Behavior.from_arrays("same", {"test": (x, y)}, Argmax(), features=table.features)
    path = same.save(tmp_path)
    shown = exegesis("explain", "dependence", "zoo:tabular", "--behavior", path, "--feature", "mean area")
    assert shown.code == 2
    assert "mean area is the same in all inputs" in shown.err
    held = exegesis("explain", "counterfactuals", "zoo:tabular", "--behavior", path, "--index", "0")
    assert "  mean area:" not in held.out
    assert np.ptp(x[:, 3]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("counterfactuals", "zoo:tabular", "--immutable", "mean radios"), "no feature 'mean radios'; did you mean"),
        (("counterfactuals", "zoo:tabular", "--immutable", "30"), "no feature 30: inputs have 30"),
        (("counterfactuals", "zoo:tabular", "--to", "healthy"), "no output 'healthy'; outputs are malignant, benign"),
        (("counterfactuals", "zoo:tabular", "--to", "9"), "There is no output 9"),
        (("counterfactuals", "zoo:majority", "--to", "99"), "There is no output 99"),
        (("counterfactuals", "zoo:majority", "--immutable", "b"), "numbers counted from 0, not 'b'"),
        (("counterfactuals", "zoo:tabular", "--index", "4000"), "has no row 4000"),
        (("anchor", "zoo:tabular", "--precision", "2"), "share between 0 and 1"),
        (("anchor", "zoo:majority", "--row", "0", "--position", "80"), "there is none at 80"),
        (("anchor", "zoo:tabular", "--row", "900"), "has no row 900"),
        (("dependence", "zoo:tabular", "--feature", "age"), "no feature 'age'; "),
        (("dependence", "zoo:tabular", "--output", "3"), "There is no output 3"),
        (("dependence", "zoo:majority"), "no features of a table"),
        (("surrogate", "zoo:majority"), "Behaviour majority is over tokens; this can be asked only"),
        (("surrogate", "zoo:tabular", "--leaves", "1"), "decides nothing"),
        (("importance", "zoo:majority"), "no features of a table"),
        (("importance", "zoo:tabular", "--plot", "a.jpg"), "A picture is written as .svg or .png"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(exegesis: Command, arguments: tuple[str, ...], said: str) -> None:
    shown = exegesis("explain", *arguments)
    assert shown.code == 2
    assert said in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_evidence_on_the_page_of_a_run(exegesis: Command, saved: Path, tmp_path: Path) -> None:
    asked = ("explain", "anchor", "zoo:majority", "--row", "0", "--report")
    bare = exegesis(*asked, saved)
    assert (bare.code, "report.html" in bare.err) == (2, True)  # a run that was saved without its page
    (saved / "report.html").write_text("<html><main><footer>Seed 0</footer></main></html>")
    shown = exegesis(*asked, saved)
    assert shown.code == 0, shown.err
    page = (saved / "report.html").read_text()
    assert "Anchor of zoo:majority" in page
    assert "data:image/svg+xml" in page
    assert "precision: " in page
    assert page.endswith("<footer>Seed 0</footer></main></html>")
    assert exegesis("show", saved).code == 0  # still a run
    none = exegesis(*asked, tmp_path)
    assert (none.code, "is not a finished run" in none.err) == (2, True)
