"""What pictures of explanations have in common: a title that says what was found, the checks below, inputs of any
shape.

Failures are set in red and in words, so that colour alone tells nothing.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from exegesis.explain.core import Check, Explanation, Status
from exegesis.explain.figure import FOR, INK, PALETTE, Axes, Figure, bare, caption, show_image

LETTERS_PER_INCH = 17
FEWEST_PIXELS = 16
BARS = "Bars: how far each column lies from its mean, in standard deviations (at most 3)."


def frame(figure: Figure, title: str, found: Explanation, *, legend: str = "") -> None:
    """Title above, a legend, status and every check below; red where something failed."""
    width = max(42, int(figure.get_figwidth() * LETTERS_PER_INCH))
    figure.suptitle("\n".join(textwrap.wrap(title, int(width * 0.8))), x=0.01, ha="left", fontsize=9.5)
    said = {Status.SHOWN: "Passed.", Status.MARKED: "Marked.", Status.WITHHELD: "Withheld."}[found.status]
    texts = [f"{said} {found.checks[0].sentence()}" if found.checks else said]
    texts += [check.sentence() for check in found.checks[1:]] + list(found.notes)
    texts = [legend, *texts] if legend else texts
    lines = [line for text in texts for line in textwrap.wrap(text, width)]
    caption(figure, lines, alarm=found.status is not Status.SHOWN)


def share(check: Check) -> str:
    """A check's figure in per cent; a dash where it is undefined."""
    return "–" if check.value is None else percent(check.value)


def percent(value: float) -> str:
    """In per cent, without decimals but where these alone tell it from nothing or from all."""
    if 0.995 <= value < 1:
        return f"{math.floor(1000 * value) / 10:g} %"
    return f"{100 * value:.0f} %" if value >= 0.01 or value == 0 else f"{100 * value:.1g} %"


def check_named(found: Explanation, name: str) -> Check:
    """One of its checks."""
    return next(check for check in found.checks if check.name == name)


def profile(pool: Float[np.ndarray, "n ..."]) -> dict[str, np.ndarray]:
    """Mean and spread of the columns of a table, [d] each, for `draw_input`; nothing for images."""
    if pool.ndim != 2 or is_square(pool.shape[1]):
        return {}
    return {"centre": pool.mean(0), "spread": pool.std(0)}


def is_square(size: int) -> bool:
    """Whether flat inputs of this size are taken to be square images."""
    return size >= FEWEST_PIXELS and round(size**0.5) ** 2 == size


def is_picture(one: np.ndarray) -> bool:
    """Whether an input is drawn as an image."""
    return one.ndim > 1 or is_square(one.size)


def as_image(one: np.ndarray) -> np.ndarray:
    """[c, y, x] and [y, x] as they are, a flat input with a square number of pixels as a square."""
    return one.reshape(round(one.size**0.5), -1) if one.ndim == 1 else one


def draw_input(axes: Axes, one: np.ndarray, raw: Mapping[str, np.ndarray]) -> None:
    """An image; else a row of a table as bars, one a column, by how far each lies from the mean (see `profile`)."""
    if is_picture(one):
        show_image(axes, as_image(one))
        return
    centre, spread = (raw.get(key, default) for key, default in (("centre", 0.0), ("spread", 1.0)))
    far = (one - centre) / np.where(np.asarray(spread) > 0, spread, 1.0)
    axes.bar(np.arange(far.size), far, width=0.9, color=np.where(far >= 0, FOR, PALETTE[0]))
    axes.axhline(0, color=INK, lw=0.4)
    axes.set_ylim(-3, 3)
    bare(axes)
    axes.set_box_aspect(0.6)


def tokens_line(axes: Axes, labels: Sequence[str], y: float, framed: Sequence[int], **look: Any) -> None:
    """A string of tokens at a height, some of them framed."""
    for x, label in enumerate(labels):
        box = {"facecolor": "white", "edgecolor": FOR, "pad": 1.6, "linewidth": 1.1} if x in framed else None
        axes.text(x, y, label, ha="center", va="center", fontsize=8, bbox=box, **look)
