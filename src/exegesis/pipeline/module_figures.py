"""Pictures of a network's modules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from exegesis.explain.figure import INK, PALETTE, Axes, Figure, Picture, bare, blank
from exegesis.pipeline.modules import ModuleReport

_WIDEST = 12


def module_picture(report: ModuleReport, shape: tuple[int, ...] | None = None) -> Picture:
    """N-cuts beside their nulls, what lesions cost by class, and where modules look, where inputs are a picture.

    Args:
        report: what was found.
        shape: of one input; None where it is none that could be drawn.
    """
    alt = f"{report.says()} {len(report.modules)} modules and what their lesions cost by class."
    return Picture(lambda: _drawn(report, shape), alt)


def _drawn(report: ModuleReport, shape: tuple[int, ...] | None) -> Figure:
    roles = () if report.roles is None else report.roles.roles
    looks = _looks(report, shape)
    columns = 1 + bool(roles) + bool(looks)
    ratios = [4.0, 4.6, 2.6][: 1 + bool(roles)] + ([2.6] if looks else [])
    figure, axes = blank(sum(ratios), 3.4, 1, columns, width_ratios=ratios)
    _draw_cuts(axes[0, 0], report)
    if roles:
        _draw_lesions(axes[0, 1], report)
    if looks:
        axes[0, -1].imshow(looks[0], cmap=_colours(len(report.modules)), vmin=-0.5, vmax=len(report.modules) - 0.5)
        for i, module in enumerate(report.modules):
            if len(module.inputs):
                row, place = _inside(looks[0] == i)
                mark = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
                axes[0, -1].text(place, row, str(i), ha="center", va="center", fontsize=7, bbox=mark)
        axes[0, -1].set_title("which module each input\npixel belongs to", loc="left")
        bare(axes[0, -1])
    return figure


def _draw_cuts(axes: Axes, report: ModuleReport) -> None:
    test = report.picked.tests[0]
    for i, at in enumerate(test.at):
        gain = (at.null - at.null.mean()) / at.k
        axes.scatter(np.full(len(gain), i), gain, s=6, color=PALETTE[6], alpha=0.5, label=test.null if not i else None)
        own = (at.partition.ncut - at.null.mean()) / at.k
        axes.scatter(i, own, s=34, marker="D", color=PALETTE[5], label="network" if not i else None, zorder=3)
        axes.annotate(f"{at.z:.0f}", (i, own), textcoords="offset points", xytext=(6, -3), fontsize=7)
    axes.axhline(0, color=INK, lw=0.5)
    axes.set_xticks(range(len(test.at)), [str(a.k) for a in test.at])
    axes.set_xlabel("clusters k (numbers: z)")
    axes.set_ylabel("n-cut less mean of nulls, per cluster")
    axes.set_title(f"{'modular' if test.modular else 'not modular'} (p = {test.p:.3f})", loc="left")
    axes.margins(x=0.08)
    axes.legend(frameon=False, fontsize=7)


def _draw_lesions(axes: Axes, report: ModuleReport) -> None:
    assert report.roles is not None
    roles = report.roles.roles
    lost = np.stack([r.lost for r in roles])
    drawn = axes.imshow(lost, cmap="cividis", vmin=0, vmax=max(0.2, float(np.nanmax(lost))), aspect="auto")
    called = {n.module: n.name for n in report.names}
    rows = [f"{r.module.name.removeprefix('module ')}: {called.get(r.module.name) or 'unnamed'}" for r in roles]
    axes.set_yticks(range(len(roles)), [f"{row} {_marks(r)}" for row, r in zip(rows, roles, strict=True)])
    names = list(report.labels[: lost.shape[1]])
    axes.set_xticks(range(lost.shape[1]), names, rotation=0 if max(map(len, names), default=1) < 4 else 60)
    axes.set_xlabel("class")
    axes.set_title("answers lost without each module\n(* important, ◆ coherent, p ≤ 0.05)", loc="left")
    axes.figure.colorbar(drawn, ax=axes, shrink=0.8, label="share lost")


def _marks(role: Any) -> str:
    return ("*" if role.important else "") + ("◆" if role.coherent else "")


def _looks(report: ModuleReport, shape: tuple[int, ...] | None) -> list[Any]:
    """The module of each input unit as a picture, where every number of the input is a unit."""
    count = report.picked.graph.layers[0].size
    if not report.modules or shape is None or report.picked.graph.layers[0].hidden is not None:
        return []
    side = math.isqrt(count)
    size = shape[-2:] if len(shape) > 1 else (side, side)
    if math.prod(size) != count:
        return []
    labels = np.full(count, np.nan)
    for i, module in enumerate(report.modules):
        labels[module.inputs] = i
    return [labels.reshape(size)]


def _inside(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The place of a mask that has most of it around: where a label is read as belonging to it."""
    near = uniform_filter(mask.astype(np.float64), 5, mode="constant") * mask
    row, place = np.unravel_index(int(near.argmax()), mask.shape)
    return int(row), int(place)


def _colours(count: int) -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if count <= len(PALETTE):
        return ListedColormap(list(PALETTE[:count]))
    return colormaps["cividis"].resampled(min(count, 2 * _WIDEST))
