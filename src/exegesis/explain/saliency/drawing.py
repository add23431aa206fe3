"""Attributions as pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from exegesis.explain.core import Explanation, Status
from exegesis.explain.figure import Picture, bare, blank, caption, diverging, show_image, show_map


def draw_images(attribution: Explanation, labels: Sequence[str] | None, most: int) -> Picture:
    """Inputs above, values below; blue speaks against, orange for. Tables and flat inputs become bars."""
    inputs, values = attribution.raw["inputs"][:most], attribution.raw["values"][:most]
    less = attribution.provenance.parameters.get("against")
    against = f" − {_label(less, labels)}" if isinstance(less, int) else ""
    said = [_label(int(answer), labels) + against for answer in attribution.raw["answers"][:most]]
    if inputs.ndim < 3 and not _square(inputs.shape[-1]):
        return _bars(attribution, values, said)
    method = attribution.provenance.method

    def draw() -> Any:
        n = len(inputs)
        figure, axes = blank(1.0 + 0.95 * n, 2.6, 2, n)
        for column in range(n):
            show_image(axes[0, column], _as_image(inputs[column]))
            axes[0, column].set_title(said[column], pad=3)
            one = _as_image(values[column])
            one = one.sum(0) if one.ndim == 3 else one
            if np.isnan(one).all():
                bare(axes[1, column])
                axes[1, column].text(0.5, 0.5, "undefined", ha="center", va="center", fontsize=7)
            else:
                show_map(axes[1, column], one)
        figure.suptitle(f"{method} · {attribution.provenance.network}", x=0.01, ha="left", fontsize=9)
        _words(figure, attribution, 30 + 17 * n)
        return figure

    return Picture(draw, f"{len(inputs)} inputs with the values that {method} gives to their pixels. {attribution.why}")


def draw_tokens(attribution: Explanation, labels: Sequence[str] | None, most: int) -> Picture:
    """A row of tokens per input, each on the colour of its value, scaled by the largest of its row."""
    tokens, values = attribution.raw["tokens"][:most], attribution.raw["values"][:most]
    method = attribution.provenance.method

    def draw() -> Any:
        n, length = tokens.shape
        figure, axes = blank(1.2 + 0.32 * length, 0.8 + 0.32 * n, 1, 1)
        ax, colours = axes[0, 0], diverging()
        for row in range(n):
            bound = np.nanmax(np.abs(values[row])) if np.isfinite(values[row]).any() else 1.0
            for at in np.flatnonzero(tokens[row] >= 0):
                value = values[row, at] / (bound or 1.0) if np.isfinite(values[row, at]) else 0.0
                cell = (at - 0.5, row - 0.5)
                import matplotlib.patches as shapes

                ax.add_patch(shapes.Rectangle(cell, 1, 1, color=colours((value + 1) / 2), linewidth=0))
                ink = "white" if abs(value) > 0.75 else "#222222"
                ax.text(at, row, _label(int(tokens[row, at]), labels), ha="center", va="center", fontsize=7, color=ink)
        ax.set(xlim=(-0.5, length - 0.5), ylim=(n - 0.5, -0.5))
        bare(ax)
        figure.suptitle(f"{method} · {attribution.provenance.network}", x=0.01, ha="left", fontsize=9)
        _words(figure, attribution, 40 + 6 * length)
        return figure

    return Picture(draw, f"{len(tokens)} sequences with the values that {method} gives to tokens. {attribution.why}")


def _bars(attribution: Explanation, values: Any, said: Sequence[str]) -> Picture:
    method = attribution.provenance.method

    def draw() -> Any:
        n = len(values)
        figure, axes = blank(0.8 + 1.3 * n, 2.6, 1, n, sharey=True)
        for column in range(n):
            ax, row = axes[0, column], np.nan_to_num(values[column])
            ax.barh(np.arange(len(row)), row, color=np.where(row >= 0, "#d9730d", "#2166ac"), height=0.8)
            ax.axvline(0, color="#8a8a8a", linewidth=0.6)
            ax.set_title(said[column], pad=3)
            ax.set_ylim(len(row) - 0.5, -0.5)
        axes[0, 0].set_ylabel("feature")
        figure.suptitle(f"{method} · {attribution.provenance.network}", x=0.01, ha="left", fontsize=9)
        _words(figure, attribution, 30 + 20 * n)
        return figure

    return Picture(draw, f"{len(values)} inputs with the values that {method} gives to features. {attribution.why}")


def _words(figure: Any, attribution: Explanation, width: int) -> None:
    lines = [line for text in (attribution.why, *attribution.notes) for line in textwrap.wrap(text, max(48, width))]
    caption(figure, lines, alarm=attribution.status is not Status.SHOWN)


def _label(index: int, labels: Sequence[str] | None) -> str:
    if index < 0:
        return ""
    return labels[index] if labels is not None and index < len(labels) else str(index)


def _square(size: int) -> bool:
    return round(size**0.5) ** 2 == size and size >= 16


def _as_image(one: Any) -> Any:
    """[c, y, x] and [y, x] as they are; a flat input with a square number of pixels as a square."""
    return one.reshape(round(len(one) ** 0.5), -1) if one.ndim == 1 else one
