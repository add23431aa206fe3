"""Words for places, patterns and colours."""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Bool, Float

# Hues in twelfths of the circle.
_HUES = (
    "red", "orange", "yellow", "yellow-green", "green", "sea green",
    "cyan", "azure", "blue", "violet", "magenta", "pink",
)  # fmt: skip
_GREYS = ("black", "dark grey", "grey", "light grey", "white")


def colour_name(values: Float[np.ndarray, " channels"], low: float, high: float) -> str:
    """An everyday name of a colour with its hexadecimal code; levels for other than 1 or 3 channels.

    Args:
        values: one number per channel, in [low, high].
        low, high: what counts as black and as white.
    """
    level = np.clip((values - low) / (high - low), 0.0, 1.0)
    if level.size == 1:
        level = np.repeat(level, 3)
    if level.size != 3:
        return "levels " + ", ".join(f"{v:.2f}" for v in level)
    code = "#" + "".join(f"{round(255 * float(v)):02x}" for v in level)
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(v) for v in level))
    if saturation < 0.15 or value < 0.08:
        grey = _GREYS[round(4 * value)]
        return grey if grey in ("black", "white") else f"{grey} ({code})"
    shade = "dark " if value < 0.45 else "light " if saturation < 0.55 else ""
    return f"{shade}{_HUES[round(12 * hue) % 12]} ({code})"


def box(places: Bool[np.ndarray, "height width"]) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the chosen places."""
    rows, columns = np.flatnonzero(places.any(1)), np.flatnonzero(places.any(0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def place_name(places: Bool[np.ndarray, "height width"]) -> str:
    """Where in an image the chosen places lie: `bottom right corner`, `left edge`, `middle` …"""
    height, width = places.shape
    top, bottom, left, right = box(places)
    if bottom - top + 1 > 0.75 * height and right - left + 1 > 0.75 * width:
        return "whole image"
    middle = np.median(np.argwhere(places), axis=0)  # a stray pixel does not move it
    y, x = middle[0] / max(1, height - 1), middle[1] / max(1, width - 1)
    vertical = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    horizontal = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    if vertical and horizontal:
        return f"{vertical} {horizontal} corner"
    return f"{vertical or horizontal} edge" if vertical or horizontal else "middle"


def where(places: Bool[np.ndarray, "..."]) -> str:
    """The place in words and numbers; a list of features where there is no image."""
    if places.ndim == 1:
        chosen = np.flatnonzero(places)
        return "features " + ", ".join(map(str, chosen[:12])) + (" …" if len(chosen) > 12 else "")
    top, bottom, left, right = box(places)
    rows = f"row {top}" if top == bottom else f"rows {top}–{bottom}"
    columns = f"column {left}" if left == right else f"columns {left}–{right}"
    return f"the {place_name(places)} ({rows}, {columns})"


def pattern_name(values: Float[np.ndarray, "channels places"], low: float, high: float) -> str:
    """One colour, or two in which the places differ, e.g. `white`, `black and white`.

    Args:
        values: what stands at the chosen places.
    """
    level = (values - low) / (high - low)
    if level.std(1).max() < 0.15:
        return colour_name(values.mean(1), low, high)
    bright = level.mean(0) > (level.mean(0).min() + level.mean(0).max()) / 2
    if bright.all() or not bright.any():
        return "many-coloured"
    dark_name = colour_name(values[:, ~bright].mean(1), low, high)
    light_name = colour_name(values[:, bright].mean(1), low, high)
    return dark_name if dark_name == light_name else f"{dark_name} and {light_name}"
