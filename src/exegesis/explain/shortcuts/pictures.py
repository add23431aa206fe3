"""Pictures of shortcuts: held-out inputs before and after, with what the network says of each."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from exegesis.explain.core import Status
from exegesis.explain.figure import FAINT, PALETTE, Figure, Picture, as_picture, bare, blank, caption, sentence_picture

if TYPE_CHECKING:
    from exegesis.explain.shortcuts.hunt import Hunt
    from exegesis.explain.shortcuts.shortcut import Shortcut


def shortcut_picture(shortcut: Shortcut, *, anyway: bool = False) -> Picture:
    """Two rows of images: held-out inputs, and the same with the artefact put in; flat inputs are drawn as strips."""
    if shortcut.status is Status.WITHHELD and not anyway:
        return sentence_picture(f"{shortcut.sentence} {shortcut.why}")
    before, after = shortcut.raw["inputs"], shortcut.raw["changed"]
    said, then = shortcut.raw["said"], shortcut.raw["then"]
    if not len(before):
        return sentence_picture(shortcut.sentence)
    low, high = float(min(before.min(), after.min())), float(max(before.max(), after.max()))

    def draw() -> Figure:
        columns = len(before)
        figure, axes = blank(1.05 * columns + 0.3, 2.9, 2, columns)
        for row, (images, answers) in enumerate(((before, said), (after, then))):
            for column in range(columns):
                at = axes[row, column]
                image = as_picture(images[column]) if images.ndim == 4 else _strip(images[column])
                at.imshow((image - low) / (high - low), cmap="gray_r", vmin=0, vmax=1)
                bare(at)
                changed = row == 1 and then[column] != said[column]
                at.set_title(f"class {int(answers[column])}", color="#d55e00" if changed else "#222222")
        figure.suptitle("held-out inputs, and the same with the artefact", x=0.01, ha="left", fontsize=9)
        caption(figure, textwrap.wrap(shortcut.sentence, 22 * columns), alarm=shortcut.status is not Status.SHOWN)
        return figure

    return Picture(draw, shortcut.sentence)


def hunt_picture(hunt: Hunt) -> Picture:
    """Bars of how large the smallest trigger of each class is; classes for which something was found stand out."""
    names, sizes = list(hunt.trigger_sizes), list(hunt.trigger_sizes.values())
    decided = {shortcut.label for shortcut in hunt.found}
    kinds = ", ".join(f"a {shortcut.artefact} for {shortcut.label}" for shortcut in hunt.found)
    title = f"Found in {hunt.network}: {kinds}" if kinds else f"Nothing found in {hunt.network}"
    lines = [shortcut.sentence for shortcut in hunt.found]
    lines.append(f"{len(hunt.withheld)} candidates withheld, since a test spoke against them.")

    def draw() -> Figure:
        figure, axes = blank(max(4.6, 0.42 * len(names) + 1.4), 2.7)
        at, places = axes[0, 0], np.arange(len(names))
        found = np.array([name in decided for name in names], dtype=bool)
        bars = at.bar(places, sizes, width=0.66, color=np.where(found, PALETTE[5], PALETTE[4]))
        for bar, marked in zip(bars, found, strict=True):
            bar.set_hatch("//" if marked else "")
            bar.set_edgecolor("white")
        if len(sizes) > 1:
            at.axhline(float(np.median(sizes)), color=FAINT, lw=0.8, ls="--")
            at.text(1.005, float(np.median(sizes)), "median", color=FAINT, fontsize=7, va="center",
                    transform=at.get_yaxis_transform())  # fmt: skip
        at.set_xticks(places, names, rotation=0 if max(map(len, names), default=0) < 4 else 30)
        at.set(xlabel="class (hatched: something was found)", ylabel="size of the smallest trigger")
        width = int(17 * figure.get_figwidth())
        figure.suptitle("\n".join(textwrap.wrap(title, int(0.8 * width))), x=0.01, ha="left", fontsize=9.5)
        caption(figure, [row for line in lines for row in textwrap.wrap(line, width)])
        return figure

    return Picture(draw, " ".join((f"{title}.", *lines)))


def _strip(values: np.ndarray) -> np.ndarray:
    """Flat features as a block of rows, square where their number is."""
    flat = values.reshape(-1)
    width = int(np.ceil(np.sqrt(flat.size)))
    block = np.full(width * int(np.ceil(flat.size / width)), np.nan)
    block[: flat.size] = flat
    return block.reshape(-1, width)
