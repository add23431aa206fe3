"""Pictures of lesions: dose and response, and which classes are hit."""

from __future__ import annotations

import numpy as np

from exegesis.explain.figure import FAINT, INK, PALETTE, Axes, Figure, Picture, blank
from exegesis.pipeline.lesion import LesionReport


def lesion_picture(report: LesionReport) -> Picture:
    """Answers kept (and marks that still work) at each dose, and what is lost by class, beside random parts."""
    alt = f"{report.part} of {report.network} at several strengths, beside random parts of equal size."
    return Picture(lambda: _drawn(report), alt)


def _drawn(report: LesionReport) -> Figure:
    figure, axes = blank(7.4, 3.0, 1, 2, width_ratios=(3.2, 3))
    _draw_doses(axes[0, 0], report)
    _draw_classes(axes[0, 1], report)
    return figure


def _draw_doses(axes: Axes, report: LesionReport) -> None:
    by = [d.by for d in report.doses]
    _draw_line(
        axes, by, [d.kept for d in report.doses], [d.random_kept for d in report.doses], PALETTE[0], "answers kept"
    )
    marked = [(d.turned, d.random_turned) for d in report.doses if d.turned is not None and d.random_turned is not None]
    if marked:
        _draw_line(
            axes, by, [m[0] for m in marked], [m[1] for m in marked], PALETTE[5], f"answers turned by {report.marked}"
        )
    axes.axvline(1, color=FAINT, lw=0.6)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("dose (0 silenced, 1 untouched, above: driven)")
    axes.set_ylabel("share (bands: random parts of equal size)")
    axes.set_title(f"{report.part}: {report.size} numbers", loc="left")
    axes.legend(frameon=False, fontsize=7)


def _draw_line(
    axes: Axes, by: list[float], own: list[float], random: list[np.ndarray], colour: str, label: str
) -> None:
    low, high = (np.array([np.quantile(r, q) for r in random]) for q in (0.05, 0.95))
    axes.fill_between(by, low, high, color=colour, alpha=0.18, lw=0)
    axes.plot(by, [float(np.mean(r)) for r in random], color=colour, ls="--", lw=0.9)
    axes.plot(by, own, color=colour, marker="o", ms=4, label=label)


def _draw_classes(axes: Axes, report: LesionReport) -> None:
    dose = report.silenced
    places = np.arange(len(dose.lost))
    axes.bar(places, np.nan_to_num(dose.lost), color=PALETTE[0], width=0.7)
    usual = np.nan_to_num(np.quantile(dose.random_lost, 0.95, axis=0))
    axes.scatter(places, usual, marker="_", s=90, color=INK, label="95 % of random parts", zorder=3)
    axes.set_xticks(places, list(report.labels[: len(places)]))
    axes.set_ylim(0, max(0.1, 1.1 * float(max(np.nanmax(dose.lost), usual.max()))))
    axes.set_title(f"answers lost by class at dose {dose.by:g}", loc="left")
    axes.legend(frameon=False, fontsize=7)
