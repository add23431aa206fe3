"""Operators of an export against torch's own, argument by argument."""

from typing import Any

import numpy as np
import pytest
import torch

from exegesis.primitives.aten import OPERATORS, aten

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3, 4))
P = np.abs(X) + 0.1
UNIT = np.tanh(X)
B, C = X > 0, Y > 0
K, J = RNG.integers(-5, 6, size=(2, 3, 4)), RNG.integers(1, 6, size=(2, 3, 4))
M, N = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5))
SLOT = RNG.integers(0, 4, size=(2, 3, 4))

UNARY = ["neg", "abs", "exp", "expm1", "square", "sin", "cos", "tan", "atan", "sinh", "cosh", "floor", "ceil", "round"]
UNARY += ["trunc", "sign", "isnan", "isinf", "relu", "tanh", "sigmoid", "silu", "gelu", "clone", "detach", "alias"]
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *((f"{op}.default", (X,), {}) for op in UNARY),
    *((f"{op}.default", (P,), {}) for op in ["log", "log1p", "log2", "sqrt", "rsqrt", "reciprocal"]),
    *((f"{op}.default", (UNIT,), {}) for op in ["asin", "acos"]),
    *((f"{op}.Tensor", (X, Y), {}) for op in ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"]),
    *((f"{op}.default", (X, Y), {}) for op in ["maximum", "minimum", "atan2"]),
    *((f"{op}.Scalar", (X, 2.0), {}) for op in ["add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge", "rsub"]),
    *((f"{op}.Tensor", (K, J), {}) for op in ["remainder", "fmod"]),
    *((f"{op}.default", (B, C), {}) for op in ["logical_and", "logical_or", "logical_xor"]),
    *((f"{op}.Tensor", (B, C), {}) for op in ["bitwise_and", "bitwise_or", "bitwise_xor"]),
    ("logical_not.default", (B,), {}),
    ("bitwise_not.default", (B,), {}),
    ("add.Tensor", (X, Y), {"alpha": 3}),
    ("sub.Tensor", (X, Y), {"alpha": 3}),
    ("pow.Tensor_Scalar", (X, 3), {}),
    ("pow.Scalar", (2, X), {}),
    ("div.Tensor_mode", (K, J), {"rounding_mode": "floor"}),
    ("div.Tensor_mode", (K, J), {"rounding_mode": "trunc"}),
    ("div.Tensor_mode", (X, Y), {"rounding_mode": "floor"}),
    ("floor_divide.default", (K, J), {}),
    ("clamp.default", (X, -0.5, 0.5), {}),
    ("clamp.default", (X, None, 0.5), {}),
    ("clamp_min.default", (X, 0.1), {}),
    ("clamp_max.default", (X, 0.1), {}),
    ("where.self", (B, X, Y), {}),
    ("masked_fill.Scalar", (X, B, -7.0), {}),
    ("gelu.default", (X,), {"approximate": "tanh"}),
    ("view.default", (X, [2, -1]), {}),
    ("reshape.default", (X, [4, 6]), {}),
    ("unsqueeze.default", (X, 1), {}),
    ("unsqueeze.default", (X, -1), {}),
    ("squeeze.dim", (X[:, :1], 1), {}),
    ("squeeze.dim", (X, 1), {}),
    ("squeeze.dims", (X[:1, :1], [0, 1]), {}),
    ("squeeze.default", (X[:1],), {}),
    ("expand.default", (X[:, :1], [-1, 5, 4]), {}),
    ("expand.default", (M, [2, 3, 4]), {}),
    ("permute.default", (X, [2, 0, 1]), {}),
    ("transpose.int", (X, 0, -1), {}),
    ("t.default", (M,), {}),
    ("repeat.default", (X, [2, 1, 3]), {}),
    ("flip.default", (X, [1, 2]), {}),
    ("roll.default", (X, [1], [2]), {}),
    ("cat.default", ([X, Y], -1), {}),
    ("cat.default", ([X, Y],), {}),
    ("stack.default", ([X, Y], 1), {}),
    ("slice.Tensor", (X, 1, 1, 3), {}),
    ("slice.Tensor", (X, -1, 0, 9223372036854775807, 2), {}),
    ("select.int", (X, 1, -1), {}),
    ("index.Tensor", (X, [None, np.array([2, 0])]), {}),
    ("index_select.default", (X, 1, np.array([2, 0])), {}),
    ("gather.default", (X, 2, SLOT), {}),
    ("split.Tensor", (X, 3, 2), {}),
    ("split_with_sizes.default", (X, [1, 3], 2), {}),
    ("unbind.int", (X, 1), {}),
    ("tril.default", (X,), {}),
    ("triu.default", (X, 1), {}),
    ("sum.dim_IntList", (X, [1], True), {}),
    ("sum.dim_IntList", (X, [-1]), {}),
    ("sum.default", (X,), {}),
    ("mean.dim", (X, [0, 2]), {}),
    ("mean.default", (X,), {}),
    ("amax.default", (X, [1]), {}),
    ("amin.default", (X, [], True), {}),
    ("any.dim", (B, 1), {}),
    ("all.dim", (B, 1, True), {}),
    ("argmax.default", (X, 1), {}),
    ("argmin.default", (X,), {}),
    ("max.dim", (X, 1), {}),
    ("min.dim", (X, 2, True), {}),
    ("max.default", (X,), {}),
    ("cumsum.default", (X, 1), {}),
    ("softmax.int", (X, 1), {}),
    ("_softmax.default", (X, -1, False), {}),
    ("log_softmax.int", (X, -1), {}),
    ("mm.default", (M, N), {}),
    ("bmm.default", (X, Y.swapaxes(1, 2)), {}),
    ("matmul.default", (X, N), {}),
    ("mv.default", (M, N[:, 0]), {}),
    ("dot.default", (N[0], N[1]), {}),
    ("addmm.default", (N[0], M, N), {"beta": 2, "alpha": 3}),
    ("baddbmm.default", (X[:, :, :3], X, Y.swapaxes(1, 2)), {}),
    ("linear.default", (X, N.T), {}),
    ("linear.default", (X, N.T, N[0]), {}),
    ("layer_norm.default", (X, [4], N[:, 0], N[:, 1], 1e-3), {}),
    ("layer_norm.default", (X, [3, 4]), {}),
    ("embedding.default", (N, SLOT), {}),
    ("arange.default", (5,), {}),
    ("arange.start_step", (1, 9, 3), {}),
    ("full.default", ([2, 3], 4.0), {}),
    ("zeros.default", ([2],), {}),
    ("ones.default", ([2],), {}),
    ("scalar_tensor.default", (2.5,), {}),
    ("full_like.default", (X, 3.0), {}),
    ("zeros_like.default", (X,), {}),
    ("ones_like.default", (K,), {}),
]


def to_torch(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    return [to_torch(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("op", "args", "kwargs"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_operators(op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    name, _, overload = op.partition(".")
    expected = getattr(getattr(torch.ops.aten, name), overload)(*map(to_torch, args), **kwargs)
    got = aten(name, *args, **kwargs)
    pairs = zip(got, expected, strict=True) if isinstance(expected, tuple | list) else [(got, expected)]
    for mine, theirs in pairs:
        assert np.shape(mine) == tuple(theirs.shape)
        assert np.asarray(mine).dtype.kind == theirs.numpy().dtype.kind
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-9, atol=1e-9)


def test_types_and_sizes() -> None:
    assert aten("_to_copy", X, dtype="float32").dtype == np.float32
    assert aten("to", X) is X
    assert aten("sym_size", X, 2) == 4
    assert aten("full", [2], True, dtype="bool").dtype == bool
    assert aten("sum", X, None, dtype="float32").dtype == np.float32


def test_every_operator_is_compared_with_torch() -> None:
    """But for those that only change types, copy, or have another name for the same."""
    tested = {op.partition(".")[0] for op, _, _ in CASES}
    rest = {
        "_to_copy",
        "to",
        "sym_size",
        "contiguous",
        "lift_fresh_copy",
        "true_divide",
        "_unsafe_view",
        "_log_softmax",
    }
    assert set(OPERATORS) == tested | rest


def test_an_operator_that_is_not_here() -> None:
    with pytest.raises(KeyError, match="fft_fft"):
        aten("fft_fft", X)
