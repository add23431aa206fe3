"""Words for places, patterns and colours."""

import numpy as np
import pytest

from exegesis.explain.shortcuts.naming import colour_name, pattern_name, place_name, where


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ([1.0], "white"),
        ([0.0], "black"),
        ([1.0, 0.05, 0.05], "red (#ff0d0d)"),
        ([0.05, 0.05, 0.4], "dark blue (#0d0d66)"),
        ([0.6, 0.95, 0.95], "light cyan (#99f2f2)"),
        ([0.1, 0.2], "levels 0.10, 0.20"),
    ],
)
def test_colours(values: list[float], name: str) -> None:
    assert colour_name(np.array(values), 0.0, 1.0) == name


@pytest.mark.parametrize(
    ("rows", "columns", "name"),
    [
        (slice(23, 26), slice(23, 26), "bottom right corner"),
        (slice(0, 2), slice(0, 3), "top left corner"),
        (slice(12, 16), slice(0, 4), "left edge"),
        (slice(12, 16), slice(12, 16), "middle"),
        (slice(0, 28), slice(0, 28), "whole image"),
    ],
)
def test_places(rows: slice, columns: slice, name: str) -> None:
    places = np.zeros((28, 28), dtype=bool)
    places[rows, columns] = True
    assert place_name(places) == name
    assert f"rows {rows.start}–{rows.stop - 1}" in where(places)


def test_a_pattern_of_two_levels_names_both() -> None:
    assert pattern_name(np.array([[0.0, 1.0, 0.0, 1.0]]), 0.0, 1.0) == "black and white"
    assert pattern_name(np.array([[1.0, 0.97]]), 0.0, 1.0) == "white"


def test_features_without_an_image_are_listed() -> None:
    assert where(np.array([False, True, True, False])) == "features 1, 2"
