"""Removed pixels are filled in from their neighbours, so that a hole is neither a shape of its own nor unlike all data.

Noisy linear imputation: every removed pixel is the weighted mean of its eight neighbours, removed ones included, which
is one sparse linear system (Rong et al. 2022, *A consistent and efficient evaluation strategy for attribution methods*,
arXiv 2202.00449, section 4.2).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu
from torch import Tensor

NOISE = 0.01  # in shares of the range of the data
_SIDES = tuple((dy, dx, 1 / 6) for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)))
_CORNERS = tuple((dy, dx, 1 / 12) for dy in (-1, 1) for dx in (-1, 1))
_PULL = 1e-6  # towards the image's mean, which decides only where nothing of an image is left


def imputed(
    x: Float[Tensor, "n channels height width"],
    removed: Bool[np.ndarray, "n height width"],
    draws: np.random.Generator,
    noise: float = NOISE,
) -> Float[Tensor, "n channels height width"]:
    """Images with some pixels filled in from what is left.

    Args:
        x: images.
        removed: which pixels are gone, in all channels.
        draws: of the noise on pixels that are filled in.
        noise: its standard deviation, in shares of the range of the images.
    """
    images = x.detach().cpu().double().numpy()
    height, width = images.shape[2:]
    unknown = np.full(removed.shape, -1)
    image, row, column = np.nonzero(removed)
    count = len(image)
    unknown[removed] = np.arange(count)
    weights = np.full(count, _PULL)
    right = _PULL * images.mean((2, 3))[image]
    entries = [(np.arange(count), np.arange(count), weights)]
    for dy, dx, weight in (*_SIDES, *_CORNERS):
        inside = (row + dy >= 0) & (row + dy < height) & (column + dx >= 0) & (column + dx < width)
        here = np.flatnonzero(inside)
        at = (image[here], row[here] + dy, column[here] + dx)
        weights[here] += weight
        other = unknown[at]
        known = other < 0
        right[here[known]] += weight * images[at[0][known], :, at[1][known], at[2][known]]
        entries.append((here[~known], other[~known], np.full(int((~known).sum()), -weight)))
    filled = images.copy()
    if count:
        places, others, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        system = coo_array((values, (places, others)), shape=(count, count)).tocsc()
        span = float(images.max() - images.min())
        found = splu(system).solve(right) + noise * span * draws.standard_normal(right.shape)
        filled[image, :, row, column] = found
    return torch.from_numpy(filled).to(x)
