"""Does an optimised input predict which natural inputs excite a unit? It is used as a matched filter."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from exegesis.explain.features.layer import Layer

Box = tuple[int, int, int, int]


def receptive_field(layer: Layer, x: Float[Tensor, "n ..."], place: tuple[int, int] | None) -> Box | None:
    """First and last row, first and last column that one place of a layer depends on, seen by gradients.

    Args:
        layer: of a convolution.
        x: some inputs.
        place: (y, x) among the layer's values; None for the middle.

    Returns:
        The box, or None where inputs are no images or the layer has no places (then all of the input counts).
    """
    if x.ndim != 4:
        return None
    low, high = float(x.min()), float(x.max())
    noise = low + (high - low) * torch.rand((8, *x.shape[1:]), generator=torch.Generator().manual_seed(0))
    noise.requires_grad_()
    with torch.enable_grad():
        values = layer(noise)
        if values.ndim != 4:
            return None
        at = place or (values.shape[2] // 2, values.shape[3] // 2)
        (slope,) = torch.autograd.grad(values[:, :, at[0], at[1]].sum(), noise)
    seen = slope.abs().sum((0, 1)) > 0
    rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def agreement(
    images: Float[Tensor, "k ..."],
    natural: Float[Tensor, "n ..."],
    mean: Float[Tensor, "..."],
    box: Box | None,
    place: tuple[int, int] | None,
    chunk: int = 128,
) -> Float[np.ndarray, "n k signs"]:
    """Ways in which natural inputs are like images.

    One is the inner product, both without the data's mean, on what the unit looks at. Where it looks at all places
    through a small field, the image's most marked field is moved over the input too, and the mean and the largest of
    what agrees are two more.

    Args:
        images: optimised inputs.
        natural: inputs.
        mean: the data's mean input.
        box: the field (`receptive_field`).
        place: the one place that counts, or None.
    """
    centred, others = images - mean, natural - mean
    if box is not None and place is not None:
        field = (..., slice(box[0], box[1] + 1), slice(box[2], box[3] + 1))
        centred, others = centred[field], others[field]
    whole = others.flatten(1) @ centred.flatten(1).T
    if box is None or place is not None:
        return whole[..., None].numpy().astype(np.float64)
    filters = _most_marked(centred, box[1] - box[0] + 1, box[3] - box[2] + 1)
    moved = [F.conv2d(part, filters).clamp_min(0) for part in torch.split(others, chunk)]
    signs = [whole, torch.cat([m.mean((2, 3)) for m in moved]), torch.cat([m.amax((2, 3)) for m in moved])]
    return torch.stack(signs, -1).numpy().astype(np.float64)


def prediction_scores(
    told: Float[np.ndarray, "n k signs"],
    true: Float[np.ndarray, "n units"],
    held_out_told: Float[np.ndarray, "m k signs"],
    held_out_true: Float[np.ndarray, "m units"],
) -> Float[np.ndarray, "k units"]:
    """How well likeness to each image foretells each unit: Spearman's correlation on held-out inputs.

    The signs are weighed by least squares on other inputs; a single one counts as it is, since likeness should speak
    for a unit, not against it.
    """
    scores = np.full((told.shape[1], true.shape[1]), np.nan)
    for k in range(told.shape[1]):
        if told.shape[2] == 1:
            scores[k] = rank_correlations(held_out_told[:, k], held_out_true)[0]
            continue
        mean, spread = told[:, k].mean(0), told[:, k].std(0) + 1e-9
        design = np.column_stack([(told[:, k] - mean) / spread, np.ones(len(told))])
        ridge = design.T @ design + 1e-3 * len(told) * np.eye(design.shape[1])
        weights = np.linalg.solve(ridge, design.T @ true)
        fitted = np.column_stack([(held_out_told[:, k] - mean) / spread, np.ones(len(held_out_told))]) @ weights
        scores[k] = np.diag(rank_correlations(fitted, held_out_true))
    return scores


def _most_marked(images: Float[Tensor, "k channels height width"], rows: int, columns: int) -> Float[Tensor, "k ..."]:
    """The window of each image that holds most of its energy, of unit length."""
    energy = F.avg_pool2d(images.square().sum(1, keepdim=True), (rows, columns), 1)[:, 0]
    at = energy.flatten(1).argmax(1)
    top, left = at // energy.shape[2], at % energy.shape[2]
    windows = [
        image[:, int(t) : int(t) + rows, int(c) : int(c) + columns]
        for image, t, c in zip(images, top, left, strict=True)
    ]
    stacked = torch.stack(windows)
    unit: Tensor = stacked / stacked.flatten(1).norm(dim=1).clamp_min(1e-9)[:, None, None, None]
    return unit


def rank_correlations(left: Float[np.ndarray, "n k"], right: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "k m"]:
    """Spearman's correlation of every column with every other; NaN where a column is constant."""
    ranks: list[NDArray[np.float64]] = []
    for values in (left, right):
        ranked = rankdata(values, axis=0)
        ranked = ranked - ranked.mean(0)
        norms = np.linalg.norm(ranked, axis=0)
        ranks.append(ranked / np.where(norms > 0, norms, np.nan))
    found: Float[np.ndarray, "k m"] = ranks[0].T @ ranks[1]
    return found
