"""The curves of a compression as one picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.pipeline.compressing import Compression

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def plot(found: Compression, path: Path) -> Path:
    """Writes the picture, whole or not at all.

    Raises:
        InputError: the extra `plot` is missing, the ending is none of .svg, .png and .pdf, or the disk refuses.
    """
    check_picture(path)
    try:
        import matplotlib
    except ImportError:
        raise InputError("Pictures need matplotlib: pip install 'exegesis[plot]'.") from None
    with matplotlib.rc_context({"svg.hashsalt": "exegesis", "font.size": 9, "axes.spines.top": False}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 3.4), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _curve(left, found)
        _dimensions(middle, found)
        _lesions(right, found)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(draft, format=path.suffix[1:], metadata=metadata, dpi=150)
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def check_picture(path: Path) -> None:
    """Raises InputError where no picture can go there, before any work is done."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise InputError(f"A picture ends in .svg, .png or .pdf, not in {path.suffix or path.name!r}.")


def _curve(at: Any, found: Compression) -> None:
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
    at.set_xscale("log")
    at.legend(frameon=False)


def _dimensions(at: Any, found: Compression) -> None:
    at.set_title("directions a layer needs", loc="left")
    rows = np.arange(len(found.layers))
    shown = (
        ("varying (95 %)", "varying", GREY),
        ("ablation", "ablation", BLUE),
        ("interchange", "interchange", ORANGE),
    )
    for k, (label, name, colour) in enumerate(shown):
        at.barh(rows + 0.27 * (k - 1), [getattr(d, name) for d in found.layers], 0.25, color=colour, label=label)
    at.set_yticks(rows, [f"{d.node} ({d.units})" for d in found.layers])
    at.invert_yaxis()
    if found.layers:
        at.legend(frameon=False)


def _lesions(at: Any, found: Compression) -> None:
    lost = found.redundancy
    at.set_title("units lesioned", loc="left")
    at.set_xlabel(f"% of {lost.units} units, at their mean")
    x = [100 * f for f in lost.fractions]
    random = 100 * np.array(lost.random)
    at.fill_between(x, random.min(0), random.max(0), color=GREY, alpha=0.3, linewidth=0)
    at.plot(x, random.mean(0), "o-", color=GREY, label=f"random ({len(random)} orders)")
    at.plot(x, [100 * v for v in lost.ordered], "s-", color=GREEN, label="least important first")
    at.axhline(100 * (1 - lost.drop), color="black", linewidth=0.6)
    at.legend(frameon=False)
