"""Layers of an exported network that nobody recognised, in numpy: as `aten` calls them, batch axis first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from exegesis.primitives._types import Array, Number

_Sizes = int | Sequence[int]


def _each(value: _Sizes, rank: int) -> tuple[int, ...]:
    """One size per axis."""
    sizes = (value,) if isinstance(value, int) else tuple(value)
    return sizes * rank if len(sizes) == 1 else sizes


def _padded(x: Array, padding: Sequence[int], fill: Number = 0.0) -> Array:
    """The last axes with as many entries more on both sides."""
    around = [(0, 0)] * (x.ndim - len(padding)) + [(p, p) for p in padding]
    return np.pad(x, around, constant_values=fill) if any(padding) else x


def _windows(x: Array, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """Windows over the last axes: `[n, c, …]` → `[n, c, …', *size]`."""
    rank = len(size)
    wide = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    found = sliding_window_view(x, wide, axis=tuple(range(-rank, 0)))
    inside = tuple(slice(None, None, d) for d in dilation)
    places = tuple(slice(None, None, s) for s in stride)
    windows: Array = found[(slice(None), slice(None), *places, *inside)]
    return windows


def _convolution(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation in any number of dimensions: `[n, c, …]`, `[out, c/groups, …]` → `[n, out, …]`."""
    rank = weight.ndim - 2
    stride, padding, dilation = (_each(v, rank) for v in (stride, padding, dilation))
    patches = _windows(_padded(x, padding), weight.shape[2:], stride, dilation)
    n, places = len(x), patches.shape[2 : 2 + rank]
    rows = patches.reshape(n, groups, weight.shape[1], math.prod(places), -1)
    kernels = weight.reshape(groups, -1, weight.shape[1], math.prod(weight.shape[2:]))
    found = np.einsum("ngcpk,gock->ngop", rows, kernels, optimize=True).reshape(n, -1, *places)
    return found if bias is None else found + bias.reshape(1, -1, *[1] * rank)


def _transposed(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
) -> Any:
    """Transposed convolution, `weight` `[c, out/groups, …]`: entries `stride` apart, and the kernel turned."""
    rank = weight.ndim - 2
    stride, padding, output_padding, dilation = (_each(v, rank) for v in (stride, padding, output_padding, dilation))
    spread = np.zeros((*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.shape[2:], stride, strict=True))), x.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in stride))] = x
    reach = [(k - 1) * d for k, d in zip(weight.shape[2:], dilation, strict=True)]
    sides = [(r, r + more) for r, more in zip(reach, output_padding, strict=True)]
    spread = np.pad(spread, [(0, 0), (0, 0), *sides])
    turned = np.flip(weight, tuple(range(2, weight.ndim)))
    turned = turned.reshape(groups, -1, *turned.shape[1:]).swapaxes(1, 2)
    found = _convolution(spread, turned.reshape(-1, *turned.shape[2:]), None, 1, 0, dilation, groups)
    inside = (slice(p, n - p) for p, n in zip(padding, found.shape[2:], strict=True))
    found = found[(slice(None), slice(None), *inside)]
    return found if bias is None else found + bias.reshape(1, -1, *[1] * rank)


def _max_pool(rank: int) -> Callable[..., Any]:
    def pool(
        x: Array,
        size: _Sizes,
        stride: _Sizes | None = None,
        padding: _Sizes = 0,
        dilation: _Sizes = 1,
        ceil_mode: bool = False,
    ) -> Any:
        size, step, padding, dilation = (_each(v, rank) for v in (size, stride or size, padding, dilation))
        x = _padded(x, padding, -np.inf)
        wide = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
        x = _for_last_window(x, wide, step, padding, -np.inf) if ceil_mode else x
        return _windows(x, size, step, dilation).max(axis=tuple(range(-rank, 0)))

    return pool


def _average_pool(rank: int) -> Callable[..., Any]:
    def pool(
        x: Array,
        size: _Sizes,
        stride: _Sizes | None = None,
        padding: _Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        """A mean over windows; entries that padding added count where `count_include_pad` says so."""
        size, step, padding = (_each(v, rank) for v in (size, stride or size, padding))
        ones = (1,) * rank
        counted = np.ones((1, 1, *x.shape[-rank:]))
        counted = _padded(counted, padding, 1.0 if count_include_pad else 0.0)
        x = _padded(x, padding)
        if ceil_mode:
            x, counted = (_for_last_window(v, size, step, padding, 0.0) for v in (x, counted))
        total = _windows(x, size, step, ones).sum(axis=tuple(range(-rank, 0)))
        number = _windows(counted, size, step, ones).sum(axis=tuple(range(-rank, 0)))
        return total / (number if divisor_override is None else divisor_override)

    return pool


def _for_last_window(x: Array, size: Sequence[int], step: Sequence[int], padding: Sequence[int], fill: Number) -> Array:
    """More entries at the end, so that the last window fits; one that would begin in the padding is no window."""
    more = []
    for n, k, s, p in zip(x.shape[-len(size) :], size, step, padding, strict=True):
        steps = -(-(n - k) // s)
        steps -= steps * s >= n - p
        more.append((0, max(steps * s + k - n, 0)))
    return np.pad(x, [(0, 0)] * (x.ndim - len(size)) + more, constant_values=fill)


def _adaptive(rank: int, best: Callable[..., Any]) -> Callable[..., Any]:
    """Pools of as many windows as there are wanted: from floor(i·n/m) to ceil((i+1)·n/m)."""

    def pool(x: Array, output_size: _Sizes) -> Any:
        for axis, wanted in zip(range(-rank, 0), _each(output_size, rank), strict=True):
            n = x.shape[axis]
            ends = [(i * n // wanted, -(-(i + 1) * n // wanted)) for i in range(wanted)]
            parts = [best(np.take(x, range(a, b), axis=axis), axis=axis, keepdims=True) for a, b in ends]
            x = np.concatenate(parts, axis=axis)
        return x

    return pool


def _normed(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    centred = x - x.mean(axis=axes, keepdims=True)
    normed: Array = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    return normed


def _by_channel(x: Array, weight: Array | None, bias: Array | None) -> Array:
    shape = (1, -1, *[1] * (x.ndim - 2))
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _group_norm(
    x: Array, groups: int, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5, *_: object
) -> Any:
    parts = x.reshape(len(x), groups, -1)
    return _by_channel(_normed(parts, (2,), eps).reshape(x.shape), weight, bias)


def _instance_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array | None,
    variance: Array | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Any:
    if not use_input_stats and mean is not None and variance is not None:
        return _batch_norm(x, weight, bias, mean, variance, False, momentum, eps)
    return _by_channel(_normed(x, tuple(range(2, x.ndim)), eps), weight, bias)


def _batch_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    variance: Array,
    training: bool,
    momentum: float,
    eps: float,
    *_: object,
) -> Any:
    shape = (1, -1, *[1] * (x.ndim - 2))
    normed = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps)
    return _by_channel(normed, weight, bias)


def _rms_norm(x: Array, shape: Sequence[int], weight: Array | None = None, eps: float | None = None) -> Any:
    axes = tuple(range(-len(shape), 0))
    smallest = float(np.finfo(x.dtype).eps) if eps is None else eps
    normed = x / np.sqrt((x**2).mean(axis=axes, keepdims=True) + smallest)
    return normed if weight is None else normed * weight


def _nearest(rank: int) -> Callable[..., Any]:
    """Every entry of a larger picture is that at floor(place · old size / new size)."""

    def upsample(x: Array, size: Sequence[int] | None, scales: Sequence[float] | None = None) -> Any:
        for at in range(rank):
            n = x.shape[2 + at]
            wanted = int(n * scales[at]) if size is None and scales is not None else (size or x.shape[2:])[at]
            by = 1 / scales[at] if scales else n / wanted
            x = np.take(x, np.minimum((np.arange(wanted) * by).astype(int), n - 1), axis=2 + at)
        return x

    return upsample


def _linearly(rank: int) -> Callable[..., Any]:
    """Between the two entries around each place, axis by axis."""

    def upsample(
        x: Array, size: Sequence[int] | None, align_corners: bool, scales: Sequence[float] | None = None
    ) -> Any:
        for at in range(rank):
            n = x.shape[2 + at]
            wanted = int(n * scales[at]) if size is None and scales is not None else (size or x.shape[2:])[at]
            if align_corners:
                place = np.arange(wanted) * ((n - 1) / max(wanted - 1, 1))
            else:
                by = 1 / scales[at] if scales else n / wanted
                place = np.maximum((np.arange(wanted) + 0.5) * by - 0.5, 0)
            low = np.minimum(place.astype(int), n - 1)
            high = np.minimum(low + 1, n - 1)
            part = (place - low).reshape([-1 if i == 2 + at else 1 for i in range(x.ndim)])
            x = np.take(x, low, axis=2 + at) * (1 - part) + np.take(x, high, axis=2 + at) * part
        return x

    return upsample


def _pad(x: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """From the last axis to earlier ones, before and after each; a negative number cuts entries off."""
    sides = [(0, 0)] * x.ndim
    for at in range(len(pad) // 2):
        sides[-1 - at] = (pad[2 * at], pad[2 * at + 1])
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(sides, x.shape, strict=True))]
    around = [(max(a, 0), max(b, 0)) for a, b in sides]
    if mode == "constant":
        return np.pad(x, around, constant_values=0 if value is None else value)
    named: Mapping[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(x, around, mode=named[mode])


def _attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa and k.shape[-3] != q.shape[-3]:
        k, v = (np.repeat(t, q.shape[-3] // t.shape[-3], axis=-3) for t in (k, v))
    scores = q @ k.swapaxes(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = np.tril(np.ones(scores.shape[-2:], dtype=bool))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    top = scores.max(axis=-1, keepdims=True)
    pattern = np.exp(scores - np.where(np.isfinite(top), top, 0.0))  # a row that sees nothing reads zeros
    total = pattern.sum(axis=-1, keepdims=True)
    return pattern / np.where(total > 0, total, 1.0) @ v


def _shuffle(x: Array, by: int) -> Any:
    """Channels become places: `[n, c·by², h, w]` → `[n, c, h·by, w·by]`."""
    n, c, h, w = x.shape
    return x.reshape(n, c // by**2, by, by, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * by, w * by)


LAYERS: Mapping[str, Callable[..., Any]] = {
    **{f"conv{r}d": _convolution for r in (1, 2, 3)},
    **{f"conv_transpose{r}d": _transposed for r in (1, 2, 3)},
    **{f"max_pool{r}d": _max_pool(r) for r in (1, 2, 3)},
    **{f"avg_pool{r}d": _average_pool(r) for r in (1, 2, 3)},
    **{f"adaptive_avg_pool{r}d": _adaptive(r, np.mean) for r in (1, 2, 3)},
    **{f"upsample_nearest{r}d": _nearest(r) for r in (1, 2, 3)},
    "upsample_linear1d": _linearly(1),
    "upsample_bilinear2d": _linearly(2),
    "batch_norm": _batch_norm,
    "constant_pad_nd": lambda x, pad, value=0: _pad(x, pad, value=value),
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "pad": _pad,
    "pixel_shuffle": _shuffle,
    "rms_norm": _rms_norm,
    "scaled_dot_product_attention": _attention,
}
