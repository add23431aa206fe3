"""Pictures in a page are the pictures that were packed: read back by another reader."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exegesis.emit import About, emit_report
from exegesis.emit.pictures import address, exhibits, png
from exegesis.evidence import Figures, Verdict, VerdictRule
from exegesis.ir import Graph, GraphError, price


def packed(picture: np.ndarray) -> dict[str, Any]:
    return {"shape": list(picture.shape), "bytes": base64.b64encode(picture.tobytes()).decode()}


def module(**more: Any) -> dict[str, Any]:
    picture = packed(np.arange(12, dtype=np.uint8).reshape(3, 4, 1))
    pictures = {"mean": picture, "examples": [picture] * 2, "units": [{"unit": "act 3", "picture": picture}]}
    losses = {"labels": ["a", "b"], "lost": [1.0, None], "lost_in_network": [0.5, None], "random_lost": [0.25, None]}
    return {
        "name": "for a",
        "functions": ["one"],
        "doc": "Says.\n\n a\n b\n\nMore.",
        "pictures": pictures,
        **losses,
        **more,
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_read_back_by_others(channels: int) -> None:
    image = pytest.importorskip("PIL.Image")
    picture = np.random.default_rng(0).integers(0, 256, size=(5, 7, channels), dtype=np.uint8)
    found = np.asarray(image.open(io.BytesIO(png(picture)))).reshape(picture.shape)
    assert (found == picture).all()


def test_what_is_no_picture_is_refused() -> None:
    good = packed(np.zeros((2, 2, 1), np.uint8))
    assert address(good).startswith("data:image/png;base64,")
    with pytest.raises(GraphError, match="4 bytes for the shape"):
        address({**good, "shape": [2, 3, 1]})
    with pytest.raises(GraphError, match="4 bytes for the shape"):
        address({**good, "shape": [2, 1, 2]})
    with pytest.raises(GraphError, match="no base 64"):
        address({**good, "bytes": "?"})


def test_an_exhibit_leaves_tables_to_the_bars() -> None:
    (found,) = exhibits({"modules": [module()]})
    assert found.says == ("Says.", "More.")
    assert [(x.label, x.here, x.network, x.random) for x in found.losses] == [("a", 100, 50, 25)]
    assert (len(found.examples), found.units[0][0]) == (2, "act 3")
    assert exhibits({}) == ()
    (layer,) = exhibits({"modules": [{"name": "act", "doc": "Eight channels."}]})
    assert (layer.losses, layer.mean) == ((), "")


@pytest.mark.parametrize("modular", [True, False])
def test_the_report_shows_modules(modular: bool, programs: Mapping[str, Callable[[], Graph]]) -> None:
    graph = programs["mixed"]()
    record = {"modular": modular, "says": "Cut <here>.", "modules": [module(), module(name="for b")]}
    cost = price(graph)
    figures = Figures(
        legible_share=1 - cost.unread_bits / cost.total_bits,
        opaque_bits=cost.opaque_bits,
        unread_bits=cost.unread_bits,
        lifted_bits=cost.total_bits,
        agreement={},
        sequences_exact={},
        numbers_in_tensors=0,
        seconds=1.0,
        seed=0,
        versions={},
    )
    verdict = Verdict.of([], figures, VerdictRule())
    page = emit_report(
        replace(graph, meta={**graph.meta, "modules": record}), source="", about=About("shown"), verdict=verdict
    )
    assert ("Its modules" if modular else "Its layers") in page
    assert "Cut &lt;here&gt;." in page
    assert len(re.findall("data:image/png", page)) == 8
    without = emit_report(graph, source="", about=About("shown"), verdict=verdict)
    assert "Its modules" not in without
    assert "Its layers" not in without
