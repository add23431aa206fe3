"""Elementwise operators of an exported network that `activation` has no word for, in numpy: as `aten` calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from exegesis.primitives import components
from exegesis.primitives._types import Array, Number

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _softplus(x: Array, beta: Number = 1, threshold: Number = 20) -> Any:
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def _elu(x: Array, alpha: Number = 1, scale: Number = 1, input_scale: Number = 1) -> Any:
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * input_scale))


def _celu(x: Array, alpha: Number = 1) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _prelu(x: Array, weight: Array) -> Any:
    """A slope below zero for each channel, axis 1."""
    slope = weight.reshape(1, -1, *[1] * (x.ndim - 2)) if x.ndim > 1 else weight
    return np.where(x > 0, x, slope * x)


def _leaky_relu(x: Array, negative_slope: Number = 0.01) -> Any:
    return np.where(x > 0, x, negative_slope * x)


def _hardtanh(x: Array, min_val: Number = -1, max_val: Number = 1) -> Any:
    return np.clip(x, min_val, max_val)


def _softshrink(x: Array, lambd: Number = 0.5) -> Any:
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, 0.0))


def _hardshrink(x: Array, lambd: Number = 0.5) -> Any:
    return np.where(np.abs(x) > lambd, x, 0.0)


def _threshold(x: Array, threshold: Number, value: Number) -> Any:
    return np.where(x > threshold, x, value)


def _glu(x: Array, dim: int = -1) -> Any:
    value, gate = np.split(x, 2, axis=dim)
    return value * components.activation(gate, "sigmoid")


def _logit(x: Array, eps: Number | None = None) -> Any:
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x) - np.log1p(-x)


def _lerp(x: Array, y: Array, weight: Any) -> Any:
    return x + weight * (y - x)


def _nan_to_num(x: Array, nan: Number | None = None, posinf: Number | None = None, neginf: Number | None = None) -> Any:
    return np.nan_to_num(x, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


ACTIVATIONS: Mapping[str, Callable[..., Any]] = {
    "celu": _celu,
    "elu": _elu,
    "erf": components.error_function,
    "glu": _glu,
    "hardshrink": _hardshrink,
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky_relu,
    "lerp": _lerp,
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "logit": _logit,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "nan_to_num": _nan_to_num,
    "prelu": _prelu,
    "relu6": lambda x: np.clip(x, 0, 6),
    "rrelu": lambda x, lower=1 / 8, upper=1 / 3, *_: _leaky_relu(x, (lower + upper) / 2),
    "selu": lambda x: _elu(x, _SELU_ALPHA, _SELU_SCALE),
    "softplus": _softplus,
    "softshrink": _softshrink,
    "threshold": _threshold,
}
