"""What pictures have in common; and every kind of explanation by example or what-if draws its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exegesis import zoo
from exegesis.behavior import Behavior
from exegesis.explain import Target
from exegesis.explain.contrast import (
    anchor,
    counterfactuals,
    dependence,
    permutation_importance,
    surrogate,
)
from exegesis.explain.contrast.tree_layout import Place, places_of
from exegesis.explain.core import Check, Consequence, Explanation, Provenance, Status
from exegesis.explain.examples import (
    GradientProduct,
    influence_of,
    nearest,
    prototype_layer,
    prototypes_of,
    string_examples,
    unit_examples,
)
from exegesis.explain.figure import blank
from exegesis.explain.framing import as_image, draw_input, frame, is_picture, percent, profile
from exegesis.runtime import Network, load


@cache
def of_zoo(name: str) -> tuple[Network, Behavior]:
    return load(f"zoo:{name}"), zoo.behavior(name)


MADE: dict[str, Callable[[], Explanation]] = {
    "neighbours of a table": lambda: nearest(*of_zoo("tabular"), "layers.2", [0], count=3),
    "neighbours of images": lambda: nearest(*of_zoo("convnet"), "hidden", [0], count=3),
    "prototypes": lambda: prototypes_of(*of_zoo("digits"), None, count=6, limit=100),
    "influence": lambda: influence_of(*of_zoo("tabular"), [0], GradientProduct()),
    "looks like that": lambda: prototype_layer(*of_zoo("convnet"), "conv1", each=2, limit=150),
    "examples of a table": lambda: unit_examples(*of_zoo("tabular"), "layers.2", [1], each=2)[0],
    "examples of strings": lambda: string_examples(*of_zoo("majority"), Target(0), each=2),
    "counterfactuals of images": lambda: counterfactuals(*of_zoo("convnet"), [0, 3]),
    "counterfactuals of a table": lambda: counterfactuals(*of_zoo("tabular"), [0], steps=60),
    "counterfactuals of strings": lambda: counterfactuals(*of_zoo("majority"), [0]),
    "anchor of an image": lambda: anchor(*of_zoo("convnet"), 0, most=2, tile=4),
    "anchor of a table": lambda: anchor(*of_zoo("tabular"), 3),
    "anchor of a string": lambda: anchor(*of_zoo("majority"), 0),
    "importance": lambda: permutation_importance(*of_zoo("tabular")),
    "dependence": lambda: dependence(*of_zoo("tabular"), 21),
    "surrogate": lambda: surrogate(*of_zoo("tabular"), leaves=4),
}


@pytest.mark.parametrize("kind", list(MADE))
def test_each_draws_itself_in_files_and_notebooks(kind: str) -> None:
    found = MADE[kind]()
    picture = found.figure(anyway=True)
    assert picture.alt.endswith(found.why)  # those who cannot see it are told whether it holds
    assert "<svg" in picture._repr_html_()
    drawn: Any = picture.draw()
    assert drawn.get_suptitle()
    parts = [part for at in drawn.axes for part in (*at.images, *at.patches, *at.lines, *at.texts)]
    assert len(parts) >= 3  # not a sentence
    below = drawn._supxlabel.get_text()
    assert all(check.name in below for check in found.checks)
    assert ("Passed." in below) == (found.status is Status.SHOWN)


def test_what_was_saved_draws_the_same(tmp_path: Path) -> None:
    found = MADE["anchor of a string"]()
    found.save(tmp_path)
    assert type(found).open(tmp_path).figure().svg == found.figure().svg
    assert "<svg" in found._repr_html_()


def test_words_do_not_overlap() -> None:
    """Titles, ticks and notes of one axes stand beside one another, and all inside of the figure."""
    for kind in ("importance", "anchor of a table", "surrogate"):
        figure: Any = MADE[kind]().figure(anyway=True).draw()
        figure.canvas.draw()
        whole = figure.get_tightbbox()
        words = [t for at in figure.axes for t in (*at.texts, *at.get_yticklabels()) if t.get_text().strip()]
        boxes = [t.get_window_extent() for t in words]
        for k, one in enumerate(boxes):
            assert one.y1 <= figure.bbox.y1 + 1
            assert not any(one.shrunk(0.98, 0.8).overlaps(other.shrunk(0.98, 0.8)) for other in boxes[k + 1 :]), kind
        assert whole is not None


def made(status: Status) -> Explanation:
    value = {Status.SHOWN: 1.0, Status.MARKED: 0.0, Status.WITHHELD: 0.0}[status]
    follows = Consequence.WITHHOLDS if status is Status.WITHHELD else Consequence.MARKS
    check = Check.at_least("works", "It does.", value, 0.5, follows)
    return Explanation("made", {"x": np.zeros(2)}, (check,), Provenance("by hand", {}, 0, None, "none", ""))


@pytest.mark.parametrize(
    ("status", "word"), [(Status.SHOWN, "Passed."), (Status.MARKED, "Marked."), (Status.WITHHELD, "Withheld.")]
)
def test_what_failed_is_said_in_words_and_in_red(status: Status, word: str) -> None:
    figure, _ = blank(3, 1)
    frame(figure, "A title that is so long that it has to go on in a second line below", made(status))
    said = figure._supxlabel
    assert said.get_text().startswith(word)
    assert (said.get_color() == "#b3261e") == (status is not Status.SHOWN)
    assert "\n" in figure.get_suptitle()


def test_per_cent_never_rounds_to_all_or_nothing() -> None:
    assert [percent(v) for v in (0, 0.0004, 0.004, 0.5, 0.994, 0.9996, 1)] == [
        "0 %", "0.04 %", "0.4 %", "50 %", "99 %", "99.9 %", "100 %",
    ]  # fmt: skip


def test_flat_images_are_squares_and_tables_are_bars() -> None:
    assert is_picture(np.zeros(64))
    assert as_image(np.arange(64.0)).shape == (8, 8)
    assert not is_picture(np.zeros(30))
    table = np.random.default_rng(0).normal(5, 2, size=(50, 30))
    stats = profile(table)
    np.testing.assert_allclose(stats["centre"], table.mean(0))
    assert profile(np.zeros((3, 64))) == {}
    axes = blank(2, 1)[1]
    draw_input(axes[0, 0], table[0], stats)
    heights = [bar.get_height() for bar in axes[0, 0].patches]
    np.testing.assert_allclose(heights, (table[0] - table.mean(0)) / table.std(0))


def test_a_tree_is_laid_out_from_the_left_without_crossings() -> None:
    feature = np.array([0, 1, -1, -1, -1])
    left, right = np.array([1, 2, -1, -1, -1]), np.array([4, 3, -1, -1, -1])
    assert places_of(feature, left, right) == [Place(0, 1.25), Place(1, 0.5), Place(2, 0), Place(2, 1), Place(1, 2)]


def test_names_come_back_and_numbers_stand_for_what_has_none() -> None:
    found = MADE["importance"]()
    assert found.name_of("features", 0) == "mean radius"
    assert found.name_of("outputs", 1) == "benign"
    bare = made(Status.SHOWN)
    assert (bare.name_of("outputs", 3), bare.name_of("features", 3)) == ("3", "x3")
    assert "names" not in bare.record()
    assert re.search("mean radius", found.to_json())
