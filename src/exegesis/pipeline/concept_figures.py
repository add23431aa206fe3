"""Pictures of how layers match concepts."""

from __future__ import annotations

import numpy as np

from exegesis.explain.figure import FAINT, INK, PALETTE, Axes, Figure, Picture, blank
from exegesis.pipeline.concepts import ConceptReport, LayerConcept, named_layers


def concept_picture(report: ConceptReport) -> Picture:
    """What can be read off each layer, and what it does when swapped, attribute by attribute."""
    names = ", ".join(dict.fromkeys(f.attribute for f in report.found))
    alt = f"{report.network}: {names} in each layer, by linear probe and by interchange, beside their nulls."
    return Picture(lambda: _drawn(report), alt)


def _drawn(report: ConceptReport) -> Figure:
    figure, axes = blank(8.4, 3.0, 1, 3, width_ratios=(3, 3, 2.2))
    attributes = tuple(dict.fromkeys(f.attribute for f in report.found))
    layers = named_layers(report)
    for i, name in enumerate(attributes):
        here = {f.layer: f for f in report.found if f.attribute == name}
        colour = PALETTE[i % len(PALETTE)]
        found = [here[layer] for layer in layers]
        _draw(axes[0, 0], [f.probe.accuracy for f in found], [f.probe.control for f in found], colour, name)
        _draw(axes[0, 1], [_follows(f)[0] for f in found], [_follows(f)[1] for f in found], colour, name)
    for axis, title in ((axes[0, 0], "read off by a linear probe"), (axes[0, 1], "answer follows a swapped subspace")):
        axis.set_xticks(range(len(layers)), layers, rotation=30 if len(layers) > 4 else 0)
        axis.set_ylim(-0.03, 1.03)
        axis.set_title(title, loc="left")
        axis.legend(frameon=False, fontsize=7)
    axes[0, 0].set_ylabel("share (dashed: control task)")
    axes[0, 1].set_ylabel("share (dashed: random subspaces)")
    _draw_followed(axes[0, 2], report)
    return figure


def _follows(found: LayerConcept) -> tuple[float, float]:
    return (np.nan, np.nan) if found.swap is None else (found.swap.follows, found.swap.random_follows)


def _draw(axes: Axes, own: list[float], null: list[float], colour: str, name: str) -> None:
    axes.plot(range(len(own)), own, marker="o", ms=4, color=colour, label=name)
    axes.plot(range(len(null)), null, marker="_", ms=7, ls="--", lw=0.9, color=colour)


def _draw_followed(axes: Axes, report: ConceptReport) -> None:
    """What answers follow where that can be told, else the units that match best."""
    if report.followed:
        rows = [(f.attribute, f.share, f.chance) for f in report.followed]
        axes.set_title("answers that follow", loc="left")
    else:
        matches = [(f"{m.concept}\n{f.layer}, unit {m.unit}", m.iou, m.null) for f in report.found for m in f.matches]
        rows = sorted(matches, key=lambda m: m[2] - m[1])[:6]
        axes.set_title("best units (IoU)", loc="left")
    places = np.arange(len(rows))[::-1]
    axes.barh(places, [r[1] for r in rows], color=PALETTE[0], height=0.6)
    axes.scatter([r[2] for r in rows], places, marker="|", s=120, color=INK, zorder=3, label="chance")
    axes.set_yticks(places, [r[0] for r in rows], fontsize=7)
    axes.set_xlim(0, 1.02)
    axes.legend(frameon=False, fontsize=7, labelcolor=FAINT, loc="lower right")
