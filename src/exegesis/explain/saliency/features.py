"""Inputs cut into parts that are present or absent together: patches of an image, columns of a table, tokens."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from exegesis.explain.inputs import Inputs
from exegesis.ir import InputError

SIDE = 7  # images are cut into 7 × 7 patches unless told


def feature_ids(inputs: Inputs, shape: tuple[int, ...], patch: int | None = None) -> Int[Tensor, "..."]:
    """Which feature each input number belongs to, in the shape of one input.

    Args:
        inputs: the rows; tokens have one feature per position.
        shape: of one real input: [c, y, x], [y, x], [k], or [s, d] for tokens.
        patch: side of a square patch in pixels; None for a side that gives about 7 × 7.

    Raises:
        InputError: a patch that is larger than the image, or not positive.
    """
    if inputs.tokens is not None:
        return torch.arange(shape[0])[:, None].expand(shape)
    if len(shape) == 1:
        return torch.arange(shape[0])
    height, width = shape[-2:]
    side = patch if patch is not None else max(1, math.ceil(max(height, width) / SIDE))
    if not 1 <= side <= max(height, width):
        raise InputError(f"A patch of {side} pixels does not fit images of {height} × {width}.")
    columns = math.ceil(width / side)
    ids: Tensor = (torch.arange(height)[:, None] // side) * columns + torch.arange(width)[None, :] // side
    return ids.expand(shape)


def windows(inputs: Inputs, shape: tuple[int, ...], size: int, stride: int) -> Bool[Tensor, "windows ..."]:
    """Masks of the windows that slide over an image (all channels at once); features one by one for anything else.

    The last window of each row and column is moved back to the border, so that every pixel is covered.

    Raises:
        InputError: a window or a stride that does not fit.
    """
    if inputs.tokens is not None or len(shape) == 1:
        ids = feature_ids(inputs, shape)
        return torch.stack([ids == k for k in range(int(ids.max()) + 1)])
    height, width = shape[-2:]
    if not (1 <= size <= min(height, width) and 1 <= stride <= size):
        raise InputError(f"A window of {size} pixels moved by {stride} does not cover images of {height} × {width}.")

    def starts(length: int) -> Tensor:
        regular = torch.arange(0, length - size + 1, stride)
        last = torch.tensor([length - size])
        both: Tensor = torch.unique(torch.cat([regular, last]))
        return both

    def along(length: int) -> Tensor:
        at = torch.arange(length)[None, :]
        first = starts(length)[:, None]
        inside: Tensor = (at >= first) & (at < first + size)
        return inside

    masks: Tensor = along(height)[:, None, :, None] & along(width)[None, :, None, :]
    flat: Tensor = masks.flatten(0, 1)
    broad: Tensor = flat.view(len(flat), *(1,) * (len(shape) - 2), height, width)
    return broad.expand(len(flat), *shape)
