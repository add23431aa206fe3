"""A picture of checkpoints that come to their final program: figures above, heads below."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from exegesis.explain.figure import FAINT, INK, PALETTE, Axes, Figure, Picture, blank


def story_picture(chapters: Sequence[Mapping[str, Any]]) -> Picture:
    """Legible share, agreement and accuracy of every run, and where each head looks.

    Args:
        chapters: as `exegesis diff --json` prints the runs.
    """
    names = ", ".join(c["name"] for c in chapters)
    return Picture(lambda: _drawn(chapters), f"Legible share, agreement, accuracy and heads of {names}, one by one.")


def _drawn(chapters: Sequence[Mapping[str, Any]]) -> Figure:
    heads = list(dict.fromkeys(h for c in chapters for h in c["heads"]))
    figure, axes = blank(
        1.6 * max(4, len(chapters)), 2.6 + 0.75 * len(heads), 2, 1, height_ratios=(2.4, len(heads) or 1)
    )
    _draw_figures(axes[0, 0], chapters)
    _draw_heads(axes[1, 0], chapters, heads)
    return figure


def _draw_figures(axes: Axes, chapters: Sequence[Mapping[str, Any]]) -> None:
    at = range(len(chapters))
    axes.plot(at, [c["legible"] for c in chapters], color=INK, marker="s", ms=4, label="legible share")
    last = {what: list(dict.fromkeys(s for c in chapters for s in c[what]))[-1:] for what in ("agreement", "accuracy")}
    told = {"agreement": "program agrees", "accuracy": "network is right"}
    for colour, (what, splits) in zip(PALETTE, last.items(), strict=False):
        for split in splits:
            values = [c[what].get(split, float("nan")) for c in chapters]
            axes.plot(at, values, color=colour, marker="o", ms=4, label=f"{told[what]} ({split})")
    axes.set_xticks([])
    axes.set_xlim(-0.5, len(chapters) - 0.5)
    axes.set_ylim(-0.03, 1.05)
    axes.legend(frameon=False, fontsize=7, loc="lower right")


def _draw_heads(axes: Axes, chapters: Sequence[Mapping[str, Any]], heads: Sequence[str]) -> None:
    """A field for each head of each run: darker, the more of its attention is described; framed where replaced."""
    for y, head in enumerate(heads):
        for x, chapter in enumerate(chapters):
            told = chapter["heads"].get(head)
            if told is None:
                continue
            frame = INK if told["replaced"] else FAINT
            axes.bar(
                x, 0.9, bottom=y - 0.45, width=0.94, color=PALETTE[4], alpha=0.7 * told["share"] ** 2, edgecolor="none"
            )
            axes.bar(
                x,
                0.9,
                bottom=y - 0.45,
                width=0.94,
                color="none",
                edgecolor=frame,
                linewidth=1.4 if told["replaced"] else 0.6,
            )
            text = textwrap.fill(told["looks at"] or "(nobody can say)", 26)
            axes.text(x, y, f"{text}\n{told['share']:.0%}", ha="center", va="center", fontsize=5.5)
    axes.set_yticks(range(len(heads)), heads)
    axes.set_xticks(range(len(chapters)), [c["name"] for c in chapters])
    axes.set_xlim(-0.5, len(chapters) - 0.5)
    axes.set_ylim(len(heads) - 0.5, -0.5)
    axes.tick_params(length=0)
