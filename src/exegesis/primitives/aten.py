"""Operators of an exported network that nobody recognised, in numpy: the same names, arguments and axes as in torch.

Unlike everything else here, their arrays have the batch axis that the network has (of size 1 when a program runs).
Data types are given by name; what only torch needs (devices, memory layouts) is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from exegesis.primitives import components
from exegesis.primitives._types import Array
from exegesis.primitives.aten_activations import ACTIVATIONS
from exegesis.primitives.aten_arrays import ARRAYS
from exegesis.primitives.aten_layers import LAYERS

_Axes = int | Sequence[int] | None

_UNARY: Mapping[str, Callable[[Any], Any]] = {
    "neg": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "square": np.square,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "trunc": np.trunc,
    "sign": np.sign,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "logical_not": np.logical_not,
    "bitwise_not": np.invert,
    **{kind: partial(components.activation, kind=kind) for kind in ("relu", "tanh", "sigmoid", "silu")},
    **dict.fromkeys(("clone", "detach", "alias", "contiguous", "lift_fresh_copy"), lambda x: x),
}
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "mul": np.multiply,
    "pow": np.power,
    "remainder": np.remainder,
    "fmod": np.fmod,
    "floor_divide": np.floor_divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "atan2": np.arctan2,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "mm": np.matmul,
    "bmm": np.matmul,
    "mv": np.matmul,
    "dot": np.matmul,
    "matmul": np.matmul,
    "sym_size": lambda x, axis: x.shape[axis],
}


def _add(x: Any, y: Any, alpha: float | int = 1) -> Any:
    return x + alpha * y if alpha != 1 else np.add(x, y)


def _sub(x: Any, y: Any, alpha: float | int = 1) -> Any:
    return np.subtract(x, alpha * y if alpha != 1 else y)


def _div(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return np.true_divide(x, y)
    rounded = (np.floor if rounding_mode == "floor" else np.trunc)(np.true_divide(x, y))
    return rounded.astype(int) if np.issubdtype(np.result_type(x, y), np.integer) else rounded


def _clamp(x: Array, min: float | int | None = None, max: float | int | None = None) -> Any:
    return np.clip(x, min, max)


def _masked_fill(x: Array, mask: Array, value: Any) -> Any:
    return np.where(mask, np.asarray(value, dtype=x.dtype), x)


def _gelu(x: Array, approximate: str = "none") -> Any:
    return components.activation(x, "gelu_tanh" if approximate == "tanh" else "gelu")


def _view(x: Array, shape: Sequence[int]) -> Any:
    return x.reshape(tuple(shape))


def _unsqueeze(x: Array, dim: int) -> Any:
    return np.expand_dims(x, dim)


def _squeeze(x: Array, dim: _Axes = None) -> Any:
    axes = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, axis=tuple(a for a in axes if x.shape[a] == 1))


def _expand(x: Array, size: Sequence[int], implicit: bool = False) -> Any:
    known = (1,) * (len(size) - x.ndim) + x.shape
    return np.broadcast_to(x, tuple(k if s == -1 else s for s, k in zip(size, known, strict=True)))


def _transpose(x: Array, dim0: int, dim1: int) -> Any:
    return np.swapaxes(x, dim0, dim1)


def _slice(x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _select(x: Array, dim: int, index: int) -> Any:
    return np.take(x, index, axis=dim)


def _index(x: Array, indices: Sequence[Array | None]) -> Any:
    return x[tuple(slice(None) if i is None else i for i in indices)]


def _split(x: Array, size: int | Sequence[int], dim: int = 0) -> list[Array]:
    sizes = [size] * -(-x.shape[dim] // size) if isinstance(size, int) else list(size)
    return np.split(x, np.cumsum(sizes)[:-1], axis=dim)


def _unbind(x: Array, dim: int = 0) -> list[Array]:
    return list(np.moveaxis(x, dim, 0))


def _reduced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction over some axes, all of them when none are given."""

    def reduce(x: Array, dim: _Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Any:
        axes = None if dim is None or dim == [] else dim if isinstance(dim, int) else tuple(dim)
        return function(x if dtype is None else x.astype(dtype), axis=axes, keepdims=keepdim)

    return reduce


def _extreme(best: Callable[..., Any], where: Callable[..., Any]) -> Callable[..., Any]:
    """The largest or smallest entry: alone, of two arrays, or along an axis together with its place."""

    def extreme(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            return best(x)
        return best(x, axis=dim, keepdims=keepdim), where(x, axis=dim, keepdims=keepdim)

    return extreme


def _cumsum(x: Array, dim: int, *, dtype: str | None = None) -> Any:
    return np.cumsum(x, axis=dim, dtype=dtype)


def _softmax(x: Array, dim: int, dtype: str | bool | None = None) -> Any:
    raised = np.exp(x - x.max(axis=dim, keepdims=True))
    return raised / raised.sum(axis=dim, keepdims=True)


def _addmm(x: Array, a: Array, b: Array, *, beta: float | int = 1, alpha: float | int = 1) -> Any:
    return beta * x + alpha * (a @ b)


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Any:
    return components.linear(x, weight.T, bias)


def _layer_norm(
    x: Array,
    shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Any:
    axes = tuple(range(-len(shape), 0))
    centred = x - x.mean(axis=axes, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps)
    normed = normed if weight is None else normed * weight
    return normed if bias is None else normed + bias


def _embedding(weight: Array, indices: Array, *_: object) -> Any:
    return weight[indices]


def _arange(*ends: float | int, dtype: str | None = None, **_: object) -> Any:
    return np.arange(*ends, dtype=dtype)


def _full(size: Sequence[int], value: Any, *, dtype: str | None = None, **_: object) -> Any:
    return np.full(tuple(size), value, dtype=dtype or (None if isinstance(value, bool | int) else np.float32))


def _like(value: Any) -> Callable[..., Any]:
    return lambda x, *, dtype=None, **_: np.full_like(x, value, dtype=dtype)


def _cast(x: Array, *_: object, dtype: str | None = None, **__: object) -> Any:
    return x if dtype is None else x.astype(dtype)


_NAMED: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _sub,
    "rsub": lambda x, y, alpha=1: _sub(y, x, alpha),
    "div": _div,
    "true_divide": _div,
    "clamp": _clamp,
    "clamp_min": lambda x, min: _clamp(x, min=min),
    "clamp_max": lambda x, max: _clamp(x, max=max),
    "where": np.where,
    "masked_fill": _masked_fill,
    "gelu": _gelu,
    "view": _view,
    "reshape": _view,
    "_unsafe_view": _view,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "permute": lambda x, dims: np.transpose(x, dims),
    "transpose": _transpose,
    "t": lambda x: x.T,
    "repeat": lambda x, repeats: np.tile(x, repeats),
    "flip": lambda x, dims: np.flip(x, tuple(dims)),
    "roll": lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    "cat": lambda parts, dim=0: np.concatenate(parts, axis=dim),
    "stack": lambda parts, dim=0: np.stack(parts, axis=dim),
    "slice": _slice,
    "select": _select,
    "index": _index,
    "index_select": lambda x, dim, index: np.take(x, index, axis=dim),
    "gather": lambda x, dim, index: np.take_along_axis(x, index, axis=dim),
    "split": _split,
    "split_with_sizes": _split,
    "unbind": _unbind,
    "tril": np.tril,
    "triu": np.triu,
    "sum": _reduced(np.sum),
    "mean": _reduced(np.mean),
    "amax": _reduced(np.max),
    "amin": _reduced(np.min),
    "any": _reduced(np.any),
    "all": _reduced(np.all),
    "argmax": _reduced(np.argmax),
    "argmin": _reduced(np.argmin),
    "max": _extreme(np.max, np.argmax),
    "min": _extreme(np.min, np.argmin),
    "cumsum": _cumsum,
    "softmax": _softmax,
    "_softmax": _softmax,
    "log_softmax": lambda x, dim, *_: np.log(_softmax(x, dim)),
    "_log_softmax": lambda x, dim, *_: np.log(_softmax(x, dim)),
    "addmm": _addmm,
    "baddbmm": _addmm,
    "linear": _linear,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "arange": _arange,
    "full": _full,
    "zeros": lambda size, *, dtype=None, **_: _full(size, 0.0, dtype=dtype),
    "ones": lambda size, *, dtype=None, **_: _full(size, 1.0, dtype=dtype),
    "scalar_tensor": lambda value, *, dtype=None, **_: np.asarray(value, dtype=dtype or np.float32),
    "full_like": lambda x, value, *, dtype=None, **_: np.full_like(x, value, dtype=dtype),
    "zeros_like": _like(0),
    "ones_like": _like(1),
    "_to_copy": _cast,
    "to": _cast,
}
OPERATORS: Mapping[str, Callable[..., Any]] = {**_UNARY, **_BINARY, **_NAMED, **ACTIVATIONS, **ARRAYS, **LAYERS}


def aten(name: str, *args: Any, **kwargs: Any) -> Any:
    """An operator by its name in torch (without overload) on arrays, numbers and lists of them.

    Raises:
        KeyError: numpy has no such operator here.
    """
    return OPERATORS[name](*args, **kwargs)
