"""Pictures: matplotlib, where it is installed; colours that colour-blind readers can tell apart; vectors."""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from exegesis.ir import ExegesisError, InputError
from exegesis.ir.files import write_bytes

# matplotlib's own types, which are not there where it is not installed.
Axes: TypeAlias = Any
Figure: TypeAlias = Any

# Blue – white – orange: told apart under all common kinds of colour blindness; equally dark at both ends.
AGAINST, NEUTRAL, FOR = "#2166ac", "#f7f7f7", "#d9730d"
# Okabe and Ito (2008), black last.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#000000")
INK, FAINT = "#222222", "#8a8a8a"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "path",
    "svg.hashsalt": "exegesis",
    "image.interpolation": "nearest",
    "figure.facecolor": "white",
}


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure that is drawn when it is asked for.

    Args:
        draw: makes the matplotlib figure.
        alt: one sentence that says what is to be seen, for those who cannot see it.
    """

    draw: Callable[[], Figure]
    alt: str

    @cached_property
    def svg(self) -> str:
        """As SVG; equal figures give equal bytes."""
        return self._rendered("svg").decode("utf-8")

    @cached_property
    def png(self) -> bytes:
        """As PNG, 144 dots per inch."""
        return self._rendered("png")

    def save(self, path: str | Path) -> Path:
        """Write it as `.svg` or `.png`, whole or not at all. Raises InputError at any other ending."""
        path = Path(path)
        if path.suffix not in (".svg", ".png"):
            raise InputError(
                f"A picture is written as .svg or .png, not as {path.suffix or 'a file without an ending'}."
            )
        write_bytes(path, self.svg.encode() if path.suffix == ".svg" else self.png)
        return path

    def _repr_html_(self) -> str:
        drawing = self.svg[self.svg.index("<svg") :]
        return f'<figure role="img" aria-label="{html.escape(self.alt)}" style="margin:0">{drawing}</figure>'

    def _rendered(self, form: str) -> bytes:
        import_matplotlib()
        import matplotlib as mpl

        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "exegesis"} if form == "svg" else {"Software": "exegesis"}
        with mpl.rc_context(STYLE):
            self.draw().savefig(buffer, format=form, dpi=144, metadata=metadata, bbox_inches="tight", pad_inches=0.04)
        return buffer.getvalue()


def import_matplotlib() -> None:
    """Raises ExegesisError, naming the extra, where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ExegesisError("Pictures need matplotlib: pip install 'exegesis[plot]'.") from None


def blank(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, NDArray[Any]]:
    """A figure of so many inches with axes [rows, columns], outside of pyplot's global state."""
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as MatplotlibFigure

    figure = MatplotlibFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, axes


def diverging() -> Any:
    """The map for signed values: blue speaks against, white is nothing, orange speaks for."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("exegesis", [AGAINST, "#92c5de", NEUTRAL, "#f5b26b", FOR])


def show_map(axes: Axes, values: Float[np.ndarray, "y x"], limit: float | None = None) -> Any:
    """Draw signed values with zero in the middle of the colours; `limit` ends the scale (99.5 % of |values|)."""
    bound = limit if limit is not None else float(np.nanquantile(np.abs(values), 0.995))
    bound = bound or 1.0
    drawn = axes.imshow(values, cmap=diverging(), vmin=-bound, vmax=bound)
    bare(axes)
    return drawn


def show_image(axes: Axes, image: Float[np.ndarray, "..."]) -> None:
    """Draw an image [y, x], [1, y, x] or [3, y, x], stretched to its own range."""
    shown = as_picture(image)
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    scaled = (shown - low) / (high - low) if high > low else np.zeros_like(shown)
    axes.imshow(scaled, cmap="gray_r" if shown.ndim == 2 else None, vmin=0, vmax=1)
    bare(axes)


def as_picture(image: NDArray[Any]) -> NDArray[Any]:
    """[c, y, x] as matplotlib draws it: [y, x] for one channel, [y, x, 3] for three, else the mean over channels."""
    if image.ndim == 3 and image.shape[0] == 3:
        return np.moveaxis(image, 0, -1)
    return image if image.ndim == 2 else image[0] if image.shape[0] == 1 else image.mean(0)


def framed_image(axes: Axes, image: NDArray[Any], box: NDArray[Any]) -> None:
    """Draw an image with a frame from the first to the last row and column of a box."""
    import_matplotlib()
    from matplotlib.patches import Rectangle

    show_image(axes, image)
    top, bottom, left, right = (int(v) for v in box)
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, right - left + 1, bottom - top + 1, fill=False, ec=PALETTE[5], lw=1.2))


def bare(axes: Axes) -> None:
    """Without ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def sentence_picture(sentence: str) -> Picture:
    """A picture that is a sentence or a few: what is drawn where there is nothing to be shown."""
    lines = textwrap.wrap(sentence, 100) or [""]

    def draw() -> Figure:
        figure, axes = blank(6.4, 0.3 + 0.15 * len(lines))
        bare(axes[0, 0])
        axes[0, 0].text(0, 0.5, "\n".join(lines), va="center", transform=axes[0, 0].transAxes)
        return figure

    return Picture(draw, sentence)


def caption(figure: Figure, lines: Sequence[str], alarm: bool = False) -> None:
    """Lines under a figure; an alarm is set in the colour of warnings."""
    figure.supxlabel("\n".join(lines), fontsize=7.5, color="#b3261e" if alarm else FAINT, x=0.01, ha="left")
