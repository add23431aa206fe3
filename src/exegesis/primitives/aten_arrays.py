"""Operators of an exported network that choose, sort, place and reduce, in numpy: as `aten` calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exegesis.primitives._types import Array, Number

_Axes = int | Sequence[int] | None


def _axes(dim: _Axes) -> int | tuple[int, ...] | None:
    return dim if dim is None or isinstance(dim, int) else tuple(dim) or None


def _chunk(x: Array, chunks: int, dim: int = 0) -> list[Array]:
    size = max(1, -(-x.shape[dim] // chunks))
    return np.split(x, range(size, x.shape[dim], size), axis=dim)


def _einsum(equation: str, operands: Sequence[Array], **_: object) -> Any:
    return np.einsum(equation.replace(" ", ""), *operands, optimize=True)


def _one_hot(x: Array, num_classes: int = -1) -> Any:
    size = int(x.max()) + 1 if num_classes < 0 else num_classes
    return (x[..., None] == np.arange(size)).astype(np.int64)


def _ranked(x: Array, dim: int, descending: bool) -> Array:
    """Places in order, the first of equals first."""
    order: Array = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return order


def _sort(x: Array, dim: int = -1, descending: bool = False) -> Any:
    order = _ranked(x, dim, descending)
    return np.take_along_axis(x, order, axis=dim), order


def _sort_stable(x: Array, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    return _sort(x, dim, descending)


def _topk(x: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    order = np.take(_ranked(x, dim, largest), range(k), axis=dim)
    return np.take_along_axis(x, order, axis=dim), order


def _scatter(x: Array, dim: int, index: Array, src: Any) -> Any:
    """A copy in which the places along one axis hold `src`."""
    found = np.array(x)
    given = src[tuple(slice(n) for n in index.shape)] if isinstance(src, np.ndarray) and src.ndim else src
    np.put_along_axis(found, index, given, axis=dim)
    return found


def _scatter_add(x: Array, dim: int, index: Array, src: Array) -> Any:
    found = np.array(x)
    places: list[Array] = [*np.indices(index.shape)]
    places[dim] = index
    np.add.at(found, tuple(places), src[tuple(slice(n) for n in index.shape)])
    return found


def _flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Any:
    first, last = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


def _unflatten(x: Array, dim: int, sizes: Sequence[int]) -> Any:
    at = dim % x.ndim
    return x.reshape(*x.shape[:at], *sizes, *x.shape[at + 1 :])


def _narrow(x: Array, dim: int, start: int, length: int) -> Any:
    return np.take(x, range(start, start + length), axis=dim)


def _repeat_interleave(x: Array, repeats: int, dim: int | None = None, **_: object) -> Any:
    return np.repeat(x, repeats, axis=dim)


def _prod(x: Array, dim: int | None = None, keepdim: bool = False, *, dtype: str | None = None) -> Any:
    return np.prod(x, axis=dim, keepdims=keepdim, dtype=dtype)


def _spread(root: bool) -> Callable[..., Any]:
    """Variance or standard deviation; `correction` is taken from the number of entries."""

    def spread(
        x: Array,
        dim: _Axes = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Number | None = None,
    ) -> Any:
        away = correction if correction is not None else (1 if unbiased is None else int(unbiased))
        found = np.var(x, axis=_axes(dim), keepdims=keepdim, ddof=int(away))
        return np.sqrt(found) if root else found

    return spread


def _logsumexp(x: Array, dim: _Axes, keepdim: bool = False) -> Any:
    axes = _axes(dim)
    top = x.max(axis=axes, keepdims=True)
    total = np.log(np.exp(x - top).sum(axis=axes, keepdims=True)) + top
    return total if keepdim else np.squeeze(total, axis=axes)


def _vector_norm(x: Array, ord: Number = 2, dim: _Axes = None, keepdim: bool = False, **_: object) -> Any:
    size, axes = np.abs(x), _axes(dim)
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(size, axis=axes, keepdims=keepdim)
    if ord == 0:
        return (size > 0).sum(axis=axes, keepdims=keepdim).astype(x.dtype)
    return (size**ord).sum(axis=axes, keepdims=keepdim) ** (1 / ord)


def _norm(x: Array, p: Number | None = 2, dim: _Axes = None, keepdim: bool = False, **_: object) -> Any:
    return _vector_norm(x, 2 if p is None else p, dim, keepdim)


def _cosine(x: Array, y: Array, dim: int = 1, eps: float = 1e-8) -> Any:
    lengths = [np.maximum(np.sqrt((v**2).sum(axis=dim, keepdims=True)), eps) for v in (x, y)]
    return ((x / lengths[0]) * (y / lengths[1])).sum(axis=dim)


def _distances(x: Array, y: Array, p: Number = 2, *_: object) -> Any:
    return _vector_norm(x[..., :, None, :] - y[..., None, :, :], p, -1)


def _made(value: Number) -> Callable[..., Any]:
    return lambda x, size, *, dtype=None, **_: np.full(tuple(size), value, dtype=dtype or x.dtype)


def _linspace(start: Number, end: Number, steps: int, *, dtype: str | None = None, **_: object) -> Any:
    return np.linspace(start, end, steps, dtype=dtype or np.float32)


def _searched(boundaries: Array, x: Any, *, right: bool = False) -> Any:
    return np.searchsorted(boundaries, x, side="right" if right else "left")


def _bucketize(x: Any, boundaries: Array, *, out_int32: bool = False, right: bool = False) -> Any:
    return _searched(boundaries, x, right=right)


ARRAYS: Mapping[str, Callable[..., Any]] = {
    "addcdiv": lambda x, a, b, *, value=1: x + value * a / b,
    "addcmul": lambda x, a, b, *, value=1: x + value * a * b,
    "argsort": lambda x, dim=-1, descending=False: _ranked(x, dim, descending),
    "bucketize": _bucketize,
    "cdist": _distances,
    "chunk": _chunk,
    "cosine_similarity": _cosine,
    "cumprod": lambda x, dim, *, dtype=None: np.cumprod(x, axis=dim, dtype=dtype),
    "diagonal": lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    "einsum": _einsum,
    "expand_as": lambda x, other: np.broadcast_to(x, other.shape),
    "flatten": _flatten,
    "heaviside": np.heaviside,
    "isfinite": np.isfinite,
    "linalg_vector_norm": _vector_norm,
    "linspace": _linspace,
    "logaddexp": np.logaddexp,
    "logsumexp": _logsumexp,
    "movedim": lambda x, source, destination: np.moveaxis(x, source, destination),
    "mT": lambda x: np.swapaxes(x, -1, -2),
    "narrow": _narrow,
    "new_full": lambda x, size, value, *, dtype=None, **_: np.full(tuple(size), value, dtype=dtype or x.dtype),
    "new_ones": _made(1),
    "new_zeros": _made(0),
    "norm": _norm,
    "numpy_T": np.transpose,
    "one_hot": _one_hot,
    "outer": np.outer,
    "prod": _prod,
    "repeat_interleave": _repeat_interleave,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "searchsorted": _searched,
    "sort": _sort,
    "std": _spread(True),
    "swapaxes": lambda x, axis0, axis1: np.swapaxes(x, axis0, axis1),
    "topk": _topk,
    "type_as": lambda x, other: x.astype(other.dtype),
    "unflatten": _unflatten,
    "var": _spread(False),
    "view_as": lambda x, other: x.reshape(other.shape),
}
