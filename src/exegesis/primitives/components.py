"""What networks are made of, for the parts of a program that nobody could explain yet.

Shapes are without a batch axis: s query positions, t key positions, d d_model, h heads, g groups of heads, e d_head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from exegesis.primitives._types import Array, Number


def embed(ids: Array | np.generic, weight: Array) -> Array:
    """Row `weight[id]` for every id: `[s]`, `[n, d]` → `[s, d]`. The id -1 (none) gives zeros."""
    ids = np.asarray(ids).astype(int)
    return np.where((ids >= 0)[..., None], weight[ids], 0)


def constant(like: Array, value: Array) -> Array:
    """The same `value` at every position of `like`: `[s, …]`, `[d]` → `[s, d]`."""
    return np.broadcast_to(value, (len(like), *value.shape[-1:]))


def norm(
    x: Array, *, kind: Literal["layer", "rms"], eps: Number, weight: Array | None = None, bias: Array | None = None
) -> Array:
    """Layer norm (centred) or RMS norm over the last axis: x / sqrt(mean(x²) + eps) · weight + bias."""
    x = x - x.mean(axis=-1, keepdims=True) if kind == "layer" else x
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def heads(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Every head's projection of the stream: `[s, d]`, `[h, d, e]` → `[h, s, e]`, plus `bias` `[h, e]`."""
    projected: Array = x[..., None, :, :] @ weight
    return projected if bias is None else projected + bias[:, None, :]


def scores(q: Array, k: Array, *, scale: Number) -> Array:
    """scale · q·k for every pair of positions: `[h, s, e]`, `[g, t, e]` → `[h, s, t]`; h is a multiple of g."""
    product: Array = scale * (q @ _per_head(k, q.shape[-3]).swapaxes(-1, -2))
    return product


def mask(
    scores: Array,
    keep: Array | None = None,
    *,
    causal: bool,
    fill: Number,
    add: bool = False,
    window: int | None = None,
) -> Array:
    """Scores with `fill` (with `add`: plus `fill`) where a key may not be seen.

    That is where the key is later than the query (`causal`), more than `window` positions back, or not in `keep`
    (`[t]` or `[s, t]`).
    """
    behind = np.arange(scores.shape[-2])[:, None] - np.arange(scores.shape[-1])
    hidden = (behind < 0) if causal else np.zeros(behind.shape, dtype=bool)
    if window is not None:
        hidden = hidden | (behind > window)
    if keep is not None:
        hidden = hidden | ~keep.astype(bool)
    return np.where(hidden, scores + fill if add else fill, scores)


def softmax(scores: Array) -> Array:
    """Attention pattern: scores normalised over keys, the last axis."""
    pattern: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    pattern /= pattern.sum(axis=-1, keepdims=True)
    return pattern


def mix(pattern: Array, v: Array) -> Array:
    """Values averaged by an attention pattern: `[h, s, t]`, `[g, t, e]` → `[h, s, e]`; h is a multiple of g."""
    mixed: Array = pattern @ _per_head(v, pattern.shape[-3])
    return mixed


def write(z: Array, weight: Array) -> Array:
    """What heads write into the stream, summed over heads: `[h, s, e]`, `[h, e, d]` → `[s, d]`."""
    written: Array = (z @ weight).sum(axis=-3)
    return written


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x @ weight + bias over the last axis: `[…, in]`, `[in, out]` → `[…, out]`."""
    product: Array = x @ weight
    return product if bias is None else product + bias


def activation(x: Array, kind: str, *, slope: Number | None = None) -> Array:
    """An elementwise nonlinearity; `slope` is that of `leaky_relu` below zero (0.01) and the scale of `elu` (1)."""
    if kind == "leaky_relu":
        return np.where(x > 0, x, (0.01 if slope is None else slope) * x)
    if kind == "elu":
        return np.where(x > 0, x, (1.0 if slope is None else slope) * np.expm1(np.minimum(x, 0)))
    return _ACTIVATIONS[kind](x)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Array:
    """Two-dimensional cross-correlation: `[c, y, x]` with `weight` `[out, c/groups, kh, kw]` → `[out, y', x']`."""
    size = [(k - 1) * by + 1 for k, by in zip(weight.shape[-2:], dilation, strict=True)]
    patches = _windows(x, size, stride, padding, 0.0)[..., :: dilation[0], :: dilation[1]]
    patches = patches.reshape(groups, -1, *patches.shape[1:])
    kernels = weight.reshape(groups, -1, *weight.shape[1:])
    image: Array = np.einsum("gcyxij,gocij->goyx", patches, kernels, optimize=True)
    image = image.reshape(-1, *image.shape[2:])
    return image if bias is None else image + bias[:, None, None]


def pool2d(
    x: Array,
    *,
    kind: Literal["max", "mean"],
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int] = (0, 0),
) -> Array:
    """Maximum or mean over windows of an image `[c, y, x]`; padding is -∞ to a maximum and 0 to a mean."""
    if kind == "max":
        return np.asarray(_windows(x, size, stride, padding, -np.inf).max(axis=(-2, -1)))
    return np.asarray(_windows(x, size, stride, padding, 0.0).mean(axis=(-2, -1)))


def _per_head(grouped: Array, n_heads: int) -> Array:
    """`[g, t, e]` → `[h, t, e]`: every head its group's keys or values."""
    n_groups = grouped.shape[-3]
    return grouped if n_groups == n_heads else np.repeat(grouped, n_heads // n_groups, axis=-3)


def _windows(x: Array, size: Sequence[int], stride: Sequence[int], padding: Sequence[int], fill: Number) -> Array:
    """All windows of an image: `[c, y, x]` → `[c, y', x', size_y, size_x]`."""
    if any(padding):
        x = np.pad(x, [(0, 0), (padding[0], padding[0]), (padding[1], padding[1])], constant_values=fill)
    windows: Array = sliding_window_view(x, tuple(size), axis=(-2, -1))[..., :: stride[0], :: stride[1], :, :]
    return windows


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))


@cache
def _erf_grid() -> Array:
    """erf at every 1/64 of [0, 6]; beyond 6 it is 1 to double precision."""
    return np.array([math.erf(k / 64) for k in range(6 * 64 + 1)])


def error_function(x: Array) -> Array:
    """The error function, which numpy lacks: a Taylor series around the nearest grid point, to 1e-12 in float64."""
    size = np.minimum(np.abs(x), 6.0)
    nearest = np.rint(size * 64).astype(int)
    at = nearest / 64
    off = size - at
    # erf' = 2/√π · exp(-x²); its derivatives divide by the factorials to the coefficients below.
    series = off * (1 + off * (-at + off * ((2 * at**2 - 1) / 3 + off * (at / 2 - at**3 / 3))))
    height = _erf_grid()[nearest] + 2 / math.sqrt(math.pi) * np.exp(-(at**2)) * series
    return np.asarray(np.copysign(height, x))


_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "gelu": lambda x: 0.5 * x * (1 + error_function(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x: np.logaddexp(0, x),
}
