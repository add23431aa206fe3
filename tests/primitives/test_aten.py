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
IMAGE, KERNEL, QUERY = RNG.normal(size=(2, 4, 6, 7)), RNG.normal(size=(4, 4, 3, 2)), RNG.normal(size=(2, 2, 3, 5))

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
    ("celu.default", (X, 0.7), {}),
    ("elu.default", (X, 0.5, 2.0, 1.5), {}),
    ("erf.default", (X,), {}),
    ("glu.default", (X, -1), {}),
    *((f"{op}.default", (3 * X,), {}) for op in ["hardshrink", "hardsigmoid", "hardswish", "log_sigmoid", "mish"]),
    *((f"{op}.default", (3 * X,), {}) for op in ["relu6", "selu", "softshrink", "leaky_relu", "hardtanh"]),
    ("hardtanh.default", (3 * X, 0.0, 6.0), {}),
    ("leaky_relu.default", (X, 0.2), {}),
    ("lerp.Scalar", (X, Y, 0.3), {}),
    ("lerp.Tensor", (X, Y, P), {}),
    ("logit.default", (P / 4, 0.1), {}),
    ("nan_to_num.default", (np.where(B, np.nan, X), 2.0), {}),
    ("prelu.default", (X, np.array([0.1, 0.2, 0.3])), {}),
    ("rrelu.default", (X, 0.1, 0.3, False), {}),
    ("softplus.default", (9 * X,), {}),
    ("softplus.default", (9 * X, 2.0, 5.0), {}),
    ("threshold.default", (X, 0.1, -3.0), {}),
    ("addcdiv.default", (X, Y, P), {"value": 2}),
    ("addcmul.default", (X, Y, P), {"value": 2}),
    ("argsort.default", (X, 1, True), {}),
    ("bucketize.Tensor", (X, np.array([-1.0, 0.0, 1.0])), {"right": True}),
    ("cdist.default", (X, Y), {}),
    ("chunk.default", (X, 3, 2), {}),
    ("cosine_similarity.default", (X, Y, -1), {}),
    ("cumprod.default", (X, 1), {}),
    ("diagonal.default", (X, 1, 1, 2), {}),
    ("einsum.default", ("bij, bkj -> bik", [X, Y]), {}),
    ("expand_as.default", (X[:, :1], Y), {}),
    ("flatten.using_ints", (X, 1), {}),
    ("heaviside.default", (X, Y), {}),
    ("isfinite.default", (np.where(B, np.inf, X),), {}),
    *(("linalg_vector_norm.default", (X, p, [1], True), {}) for p in [2, 1, 3, float("inf"), 0]),
    ("linspace.default", (0.0, 1.0, 5), {}),
    ("logaddexp.default", (X, Y), {}),
    ("logsumexp.default", (X, [1], True), {}),
    ("logsumexp.default", (X, [1, 2]), {}),
    ("movedim.intlist", (X, [0], [2]), {}),
    ("mT.default", (X,), {}),
    ("narrow.default", (X, 2, 1, 2), {}),
    ("new_full.default", (X, [2, 2], 3.0), {}),
    ("new_ones.default", (X, [2, 2]), {}),
    ("new_zeros.default", (X, [2, 2]), {}),
    ("norm.ScalarOpt_dim", (X, 2, [1], True), {}),
    ("numpy_T.default", (M,), {}),
    ("one_hot.default", (SLOT, 5), {}),
    ("outer.default", (N[0], N[1]), {}),
    ("prod.dim_int", (X, 1), {}),
    ("repeat_interleave.self_int", (X, 2, 1), {}),
    ("scatter.src", (X, 2, SLOT[:, :, :1], Y), {}),
    ("scatter.value", (X, 2, SLOT[:, :, :1], 7.0), {}),
    ("scatter_add.default", (X, 2, SLOT, Y), {}),
    ("searchsorted.Tensor", (np.array([-1.0, 0.0, 1.0]), X), {}),
    ("sort.default", (X, 1, True), {}),
    ("std.correction", (X, [1]), {"correction": 1}),
    (
        "var.correction",
        (
            X,
            [1],
        ),
        {"correction": 0, "keepdim": True},
    ),
    ("swapaxes.default", (X, 0, 2), {}),
    ("topk.default", (X, 2, 2), {}),
    ("topk.default", (X, 2, 1, False), {}),
    ("type_as.default", (K, X), {}),
    ("unflatten.int", (X, 2, [2, 2]), {}),
    ("view_as.default", (X, X.reshape(4, 6)), {}),
    ("conv1d.default", (IMAGE[:, :, 0], KERNEL[:, :, 0], N[0, :4]), {}),
    ("conv2d.default", (IMAGE, KERNEL, None, [2, 1], [1, 2], [1, 2]), {}),
    ("conv2d.default", (IMAGE, KERNEL[:, :2], None, [1, 1], [1, 1], [1, 1], 2), {}),
    ("conv3d.default", (IMAGE[:, :, None], KERNEL[:, :, None]), {}),
    ("conv_transpose1d.default", (IMAGE[:, :, 0], KERNEL[:, :, 0], None, [2]), {}),
    ("conv_transpose2d.input", (IMAGE, KERNEL, N[0, :4], [2, 3], [1, 0], [1, 2], 1, [2, 1]), {}),
    ("conv_transpose2d.input", (IMAGE, KERNEL[:, :2], None, [2, 2], [1, 1], [1, 0], 2), {}),
    ("conv_transpose3d.input", (IMAGE[:, :, None], KERNEL[:, :, None]), {}),
    ("max_pool1d.default", (IMAGE[:, :, 0], [3], [2], [1], [1], True), {}),
    ("max_pool2d.default", (IMAGE, [3, 2], [2, 2], [1, 1], [1, 2]), {}),
    ("max_pool2d.default", (IMAGE, [2, 2], [2, 2], [1, 1], [1, 1], True), {}),
    ("max_pool3d.default", (IMAGE[:, :, None], [1, 2, 2]), {}),
    ("avg_pool1d.default", (IMAGE[:, :, 0], [2]), {}),
    ("avg_pool2d.default", (IMAGE, [3, 3], [2, 2], [1, 1], False, False), {}),
    ("avg_pool2d.default", (IMAGE, [3, 3], [2, 2], [1, 1]), {}),
    ("avg_pool2d.default", (IMAGE, [2, 2], [3, 3], [0, 0], True), {}),
    ("avg_pool3d.default", (IMAGE[:, :, None], [1, 2, 2]), {}),
    ("adaptive_avg_pool1d.default", (IMAGE[:, :, 0], [3]), {}),
    ("adaptive_avg_pool2d.default", (IMAGE, [3, 2]), {}),
    ("adaptive_avg_pool3d.default", (IMAGE[:, :, None], [1, 3, 2]), {}),
    ("upsample_nearest1d.vec", (IMAGE[:, :, 0], None, [2.0]), {}),
    ("upsample_nearest2d.vec", (IMAGE, [9, 11], None), {}),
    ("upsample_nearest2d.vec", (IMAGE, None, [1.5, 2.0]), {}),
    ("upsample_nearest3d.vec", (IMAGE[:, :, None], None, [1.0, 2.0, 2.0]), {}),
    ("upsample_linear1d.vec", (IMAGE[:, :, 0], None, False, [2.0]), {}),
    ("upsample_bilinear2d.vec", (IMAGE, [9, 11], False, None), {}),
    ("upsample_bilinear2d.vec", (IMAGE, [9, 11], True, None), {}),
    ("batch_norm.default", (IMAGE, N[0, :4], N[1, :4], N[2, :4], P[0, 0], False, 0.1, 1e-3, False), {}),
    ("group_norm.default", (IMAGE, 2, N[0, :4], N[1, :4], 1e-3), {}),
    ("instance_norm.default", (IMAGE, N[0, :4], N[1, :4], None, None, True, 0.1, 1e-3, False), {}),
    ("instance_norm.default", (IMAGE, N[0, :4], N[1, :4], N[2, :4], P[0, 0], False, 0.1, 1e-3, False), {}),
    ("rms_norm.default", (X, [4], N[:, 0], 1e-3), {}),
    ("rms_norm.default", (X, [3, 4]), {}),
    ("constant_pad_nd.default", (IMAGE, [1, 2, -1, 0], 3.0), {}),
    *(("pad.default", (IMAGE, [1, 2, 1, 0], mode), {}) for mode in ["constant", "reflect", "replicate", "circular"]),
    ("pixel_shuffle.default", (IMAGE, 2), {}),
    ("scaled_dot_product_attention.default", (QUERY, QUERY[:, ::-1], QUERY), {"is_causal": True}),
    ("scaled_dot_product_attention.default", (QUERY, QUERY, QUERY, B[0, :3, :3]), {"scale": 0.7}),
    ("scaled_dot_product_attention.default", (QUERY, QUERY[:, :1], QUERY[:, :1], X[0, :3, :3]), {"enable_gqa": True}),
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
