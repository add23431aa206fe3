"""The curves of a compression as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from exegesis.explain.figure import FAINT, INK, PALETTE, Axes, Figure, Picture, blank

if TYPE_CHECKING:
    from exegesis.pipeline.compression import Compression

BLUE, GREEN, ORANGE = PALETTE[0], PALETTE[2], PALETTE[5]


def compression_picture(found: Compression) -> Picture:
    """Answers kept at each description length, directions that layers need, and answers kept under lesions."""
    return Picture(lambda: _drawn(found), f"How far {found.behavior} can be compressed.")


def _drawn(found: Compression) -> Figure:
    figure, axes = blank(11, 3.4, 1, 3)
    _curve(axes[0, 0], found)
    _dimensions(axes[0, 1], found)
    _lesions(axes[0, 2], found)
    return figure


def _curve(at: Axes, found: Compression) -> None:
    at.set_title("description length", loc="left")
    at.set_xlabel("bits, % of the lifted network")
    at.set_ylabel("answers kept, %")
    if not found.points:
        at.text(0.5, 0.5, "not for this network", ha="center", transform=at.transAxes)
        return
    bits = [100 * p.share for p in found.points]
    at.plot(bits, [100 * p.held for p in found.points], "o-", color=BLUE, label="held out")
    if all(p.test is not None for p in found.points):
        at.plot(bits, [100 * (p.test or 0) for p in found.points], "s--", color=ORANGE, label="test")
    if found.retrained:
        bits = [100 * p.share for p in found.retrained]
        at.plot(
            bits, [100 * p.held for p in found.retrained], "^:", color=GREEN, label="other networks (trained again)"
        )
    at.set_xscale("log")
    for axis in (at.xaxis.set_major_formatter, at.xaxis.set_minor_formatter):
        axis(lambda share, _: f"{share:g}" if f"{share:.0e}"[0] in "125" else "")
    at.legend(frameon=False)


def _dimensions(at: Axes, found: Compression) -> None:
    at.set_title("directions a layer needs", loc="left")
    rows = np.arange(len(found.layers))
    shown = (
        ("varying (95 %)", "varying", FAINT),
        ("ablation", "ablation", BLUE),
        ("interchange", "interchange", ORANGE),
    )
    for k, (label, name, colour) in enumerate(shown):
        at.barh(rows + 0.27 * (k - 1), [getattr(d, name) for d in found.layers], 0.25, color=colour, label=label)
    at.set_yticks(rows, [f"{d.node} ({d.units})" for d in found.layers])
    at.invert_yaxis()
    if found.layers:
        at.legend(frameon=False)


def _lesions(at: Axes, found: Compression) -> None:
    lost = found.redundancy
    at.set_title("units lesioned", loc="left")
    at.set_xlabel(f"% of {lost.units} units, at their mean")
    x = [0, *(100 * max(1, round(f * lost.units)) / lost.units for f in lost.fractions)]
    random = 100 * np.array([[1.0, *row] for row in lost.random])
    at.fill_between(x, random.min(0), random.max(0), color=FAINT, alpha=0.3, linewidth=0)
    at.plot(x, random.mean(0), "o-", color=FAINT, label=f"random ({len(random)} orders)")
    at.plot(x, [100, *(100 * v for v in lost.ordered)], "s-", color=GREEN, label="least important first")
    at.axhline(100 * (1 - lost.drop), color=INK, linewidth=0.6)
    at.legend(frameon=False)
