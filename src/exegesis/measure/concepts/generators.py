"""Labelled images made by us, in the shape of a network's inputs: shapes, strokes, colours, places; recoloured and
patched inputs of a behaviour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import default_rng

from exegesis.behavior import ArraySplit
from exegesis.measure.concepts.labelled import Attribute, ConceptError, Labelled

SHAPES = ("disc", "ring", "square", "triangle")
STROKES = ("horizontal", "vertical", "rising", "falling")
PLACES = ("top left", "top right", "bottom left", "bottom right")
COLOURS = {
    "red": (1.0, 0.15, 0.15),
    "green": (0.15, 0.9, 0.2),
    "blue": (0.2, 0.3, 1.0),
    "yellow": (0.95, 0.9, 0.1),
}


def drawn_images(shape: Sequence[int], n: int, seed: int) -> Labelled:
    """Images of one figure each on black: a shape or a stroke, in one of four quarters, and in a colour where there are
    three channels. All of them are drawn independently of each other; the mask of each is the figure itself.

    Args:
        shape: of one input, [channels, height, width] or [height, width].
        n: how many.
        seed: of everything drawn.

    Raises:
        ConceptError: inputs that are no images of at least 6 × 6 pixels.
    """
    if len(shape) not in (2, 3) or min(shape[-2:]) < 6:
        raise ConceptError(f"Images cannot be drawn in the shape {list(shape)}; at least 6 × 6 pixels are needed.")
    rng = default_rng([seed, 31])
    figure, place, colour = rng.integers(8, size=n), rng.integers(4, size=n), rng.integers(len(COLOURS), size=n)
    least = min(0.9, max(0.55, 8 / min(shape[-2:])))  # figures of four pixels at least
    size = rng.uniform(least, 0.95, n)
    jitter = rng.uniform(-0.15, 0.15, (n, 2))
    mask = _figures(shape[-2], shape[-1], figure, place, size, jitter)
    level = rng.uniform(0.7, 1.0, n)[:, None, None] * mask
    attributes = [
        Attribute("shape", SHAPES, np.where(figure < 4, figure, -1), mask),
        Attribute("stroke", STROKES, np.where(figure >= 4, figure - 4, -1), mask),
        Attribute("place", PLACES, place, mask),
    ]
    if len(shape) == 3 and shape[0] == 3:
        paint = np.array(list(COLOURS.values()))[colour]
        x = level[:, None] * paint[:, :, None, None]
        attributes.append(Attribute("colour", tuple(COLOURS), colour, mask))
    else:
        x = level if len(shape) == 2 else np.repeat(level[:, None], shape[0], 1)
    return Labelled(x.astype(np.float32), tuple(attributes), note="drawn figures")


def _figures(
    height: int,
    width: int,
    figure: Int[np.ndarray, " n"],
    place: Int[np.ndarray, " n"],
    size: Float[np.ndarray, " n"],
    jitter: Float[np.ndarray, "n 2"],
) -> Bool[np.ndarray, "n h w"]:
    """The figures, each in coordinates from -1 to 1 around the middle of its quarter."""
    rows = np.linspace(-1, 1, height)[None, :, None] - (np.where(place < 2, -0.5, 0.5) + jitter[:, 0])[:, None, None]
    cols = np.linspace(-1, 1, width)[None, None, :] - (np.where(place % 2, 0.5, -0.5) + jitter[:, 1])[:, None, None]
    u, v = 2 * rows / size[:, None, None], 2 * cols / size[:, None, None]
    radius = np.sqrt(u**2 + v**2)
    thin = np.maximum(0.3, 3.0 / min(height, width))
    inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    kinds = (
        radius <= 1,
        (radius <= 1) & (radius >= 0.6),
        inside,
        inside & (np.abs(v) <= (u + 1) / 2),
        inside & (np.abs(u) <= thin),
        inside & (np.abs(v) <= thin),
        inside & (np.abs(u + v) <= 1.4 * thin),
        inside & (np.abs(u - v) <= 1.4 * thin),
    )
    out = np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=bool)
    for kind, drawn in enumerate(kinds):
        out |= drawn & (figure == kind)[:, None, None]
    nearest = radius == radius.min((1, 2), keepdims=True)
    return np.asarray(out | (nearest & ~out.any((1, 2), keepdims=True)))


def recoloured(split: ArraySplit, names: Sequence[str], n: int, seed: int) -> Labelled:
    """Inputs of a behaviour in the colours of others: `shape` is the class of the input that gives the brightness of
    each pixel, `colour` the class of the one that gives the colour.

    The colour of an image is the mean of its pixels, weighed by brightness and scaled to its own brightest channel.
    Both inputs are drawn independently, so that colour and shape are independent here whatever they are in the data.

    Raises:
        ConceptError: images without three channels, or without classes.
    """
    if split.stored.ndim != 4 or split.stored.shape[1] != 3:
        raise ConceptError(f"Recolouring needs images of three channels, not inputs of shape {split.stored.shape[1:]}.")
    if split.y is None or split.y.ndim != 1:
        raise ConceptError(f"Split {split.name} has no class for each input.")
    rng = default_rng([seed, 32])
    rows, donors = rng.integers(len(split), size=n), rng.integers(len(split), size=n)
    bright = split.gather(rows).x.max(1)
    giver = split.gather(donors).x
    weight = giver.max(1, keepdims=True)
    colour = (giver * weight).sum((2, 3)) / weight.sum((2, 3)).clip(1e-6)
    colour = colour / colour.max(1, keepdims=True).clip(1e-6)
    x = (bright[:, None] * colour[:, :, None, None]).astype(np.float32)
    y = split.y.astype(np.int64)
    attributes = (Attribute("colour", tuple(names), y[donors]), Attribute("shape", tuple(names), y[rows]))
    return Labelled(x, attributes, note="recoloured inputs")


def patched(
    split: ArraySplit, rows: tuple[int, int], columns: tuple[int, int], value: float, n: int, seed: int
) -> Labelled:
    """Inputs of a behaviour without and with a patch of one brightness; each pair shows the same otherwise.

    Args:
        split: where inputs come from.
        rows, columns: first and last of the patch.
        value: what its pixels become.
        n: how many inputs; twice so many are returned.
        seed: which.

    Raises:
        ConceptError: a patch outside of the picture.
    """
    shape = split.stored.shape[1:]
    if len(shape) < 2 or not (0 <= rows[0] <= rows[1] < shape[-2] and 0 <= columns[0] <= columns[1] < shape[-1]):
        raise ConceptError(f"A patch in rows {rows} and columns {columns} does not lie in inputs of shape {shape}.")
    plain = split.take(n, seed).x
    there = np.zeros(shape[-2:], dtype=bool)
    there[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
    marked = np.where(there, np.float32(value), plain).astype(np.float32)
    count = len(plain)
    labels = np.repeat([0, 1], count)
    mask = np.repeat(there[None], 2 * count, 0)
    pairs = np.concatenate([np.arange(count) + count, np.arange(count)])
    return Labelled(
        np.concatenate([plain, marked]),
        (Attribute("patch", ("absent", "present"), labels, mask),),
        pairs,
        "patched inputs",
    )
