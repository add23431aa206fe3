"""Pictures: equal bytes, readable colours, sentences where there is nothing to show."""

from pathlib import Path

import numpy as np
import pytest

from exegesis.behavior import Behavior
from exegesis.explain.checks import completeness
from exegesis.explain.figure import as_picture, diverging, sentence_picture
from exegesis.explain.saliency import Gradient, GradientXInput
from exegesis.explain.saliency.attribution import saliency
from exegesis.ir import InputError
from exegesis.runtime import Network, load

pytest.importorskip("matplotlib")


def test_equal_figures_are_equal_bytes_and_say_what_is_seen(convnet: Network, images: Behavior, tmp_path: Path) -> None:
    def drawn() -> str:
        found = saliency(convnet, images, Gradient(), index=range(2), checks=(), chunk=4)
        return found.figure(labels=["a", "b", "c", "d"]).svg

    assert drawn() == drawn()
    found = saliency(convnet, images, Gradient(), index=range(2), checks=(), chunk=4)
    assert 'aria-label="2 inputs with the values that gradient gives' in found._repr_html_()
    assert "Marked: no check" in found.figure().alt
    path = found.figure().save(tmp_path / "x.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"as \.svg or \.png, not as \.jpg"):
        found.figure().save(tmp_path / "x.jpg")


def test_tables_and_tokens_are_drawn_too(convnet: Network, table: Behavior, linear: Network) -> None:
    assert "<svg" in saliency(linear, table, Gradient(), index=range(2), checks=(), chunk=4)._repr_html_()
    sequences = saliency(
        load("zoo:majority"), Behavior.load("zoo:majority"), GradientXInput(), index=range(3), checks=(completeness,)
    )
    assert "3 sequences" in sequences.figure().alt
    assert "<svg" in sequences._repr_html_()


def test_zero_is_white_and_both_ends_are_equally_dark() -> None:
    colours = np.array(diverging()([0.0, 0.5, 1.0]))[:, :3]
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert luminance[1] > 0.95
    assert abs(luminance[0] - luminance[2]) < 0.2
    assert abs(colours[0, 0] - colours[2, 0]) > 0.5  # blue and orange, not red and green


def test_channels() -> None:
    assert as_picture(np.zeros((1, 4, 5))).shape == (4, 5)
    assert as_picture(np.zeros((3, 4, 5))).shape == (4, 5, 3)
    assert as_picture(np.zeros((7, 4, 5))).shape == (4, 5)


def test_a_sentence_is_a_picture() -> None:
    assert sentence_picture("Withheld: it failed.").alt == "Withheld: it failed."
    assert sentence_picture("Withheld: it failed.").png.startswith(b"\x89PNG")
