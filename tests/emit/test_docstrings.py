"""Where values live in the network, in words."""

from __future__ import annotations

import pytest

from exegesis.emit.docstrings import places
from exegesis.ir import Node, Site, Type


def at(axis: str, numbers: list[int], echo: str | None = None) -> Node:
    site = Site("relu", ("batch", axis), "conv1", "output", tuple((axis, n) for n in numbers), echo=echo)
    return Node("act", "component.activation", ("x",), Type("real", ("batch", axis)), sites=(site,))


@pytest.mark.parametrize(
    ("axis", "numbers", "said"),
    [
        ("hidden", [3], "unit 3 of conv1"),
        ("channel_16", [1, 8], "channels 1, 8 of conv1"),
        ("feature", list(range(20)), "20 entries (0, 1, 2, …) of conv1"),
        ("head", [0, 3], "heads 0, 3 of conv1"),
    ],
)
def test_entries_are_called_by_what_they_are(axis: str, numbers: list[int], said: str) -> None:
    assert places([at(axis, numbers)]) == said


def test_what_repeats_units_is_mentioned() -> None:
    assert places([at("hidden", [2, 5], "echo")]) == "units 2, 5 of conv1, with what repeats them"
