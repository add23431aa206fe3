"""Networks as ONNX files, read with the `onnx` package and rebuilt as a module that torch can export.

Each operator becomes the torch function that computes the same; one that is not in the table is refused by name. The
meaning of the operators is that of the ONNX operator reference (opset 13 and later).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.ir import InputError
from exegesis.runtime.onnx_recurrent import RECURRENT

Attrs: TypeAlias = Mapping[str, Any]
Op: TypeAlias = Callable[..., Any]
_STARTS = (5, 6)  # inputs of a recurrent operator that are starting states
OLDEST = 13  # before it, axes of Squeeze, Unsqueeze and the like were attributes, and Softmax flattened its input


class OnnxNetwork(nn.Module):
    """The network of an ONNX file. `forward(x)` takes its one input and gives its first output.

    Args:
        path: a `.onnx` file.

    Raises:
        InputError: no such file, not an ONNX model, several inputs, weights kept elsewhere, or an operator that is not
            supported (which one).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = _read(path)
        held = {t.name for t in graph.initializer}
        inputs = [i.name for i in graph.input if i.name not in held]
        if len(inputs) != 1 or not graph.output:
            raise InputError(f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs; one of each is needed.")
        self._input, self._output = inputs[0], graph.output[0].name
        self._names: dict[str, str] = {}
        self._fixed: dict[str, list[Any]] = {}
        for tensor in graph.initializer:
            self._hold(tensor.name, _array(tensor, path))
        self._steps: list[tuple[str, Attrs, tuple[str, ...], tuple[str, ...]]] = []
        for node in graph.node:
            self._step(node, path)

    def _hold(self, name: str, array: np.ndarray) -> None:
        """Keeps a tensor: one of reals as a weight, one of integers also as numbers (shapes and axes)."""
        key = f"value_{len(self._names)}"
        self._names[name] = key
        value = torch.from_numpy(np.array(array))
        if array.dtype.kind == "f" and array.ndim:
            self.register_parameter(key, nn.Parameter(value, requires_grad=False))
        else:
            self.register_buffer(key, value)
        if array.ndim == 0 or (array.dtype.kind in "iu" and array.ndim == 1):
            self._fixed[name] = np.atleast_1d(array).tolist()

    def _step(self, node: Any, path: Path) -> None:
        attrs = _attributes(node, path)
        if node.op_type == "Constant":
            value = attrs.get("value", attrs.get("value_float", attrs.get("value_int", attrs.get("value_ints"))))
            self._hold(node.output[0], np.asarray(value))
            return
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPS:
            raise InputError(f"{path} uses the operator {node.op_type}, which is not supported.")
        known = {str(k): self._fixed[i] for k, i in enumerate(node.input) if i in self._fixed}
        inputs = tuple(node.input)
        if node.op_type in RECURRENT:
            inputs = tuple("" if k in _STARTS and self._is_zero(i) else i for k, i in enumerate(inputs))
        self._steps.append((node.op_type, {**attrs, "known": known}, inputs, tuple(node.output)))

    def _is_zero(self, name: str) -> bool:
        """Whether a tensor of the file holds nothing but zeros: a starting state of zeros fits any number of inputs."""
        held = getattr(self, self._names[name]) if name in self._names else None
        return held is not None and not bool(held.any())

    def forward(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {self._input: x}
        for op, attrs, inputs, outputs in self._steps:
            given = [None if not i else values[i] if i in values else getattr(self, self._names[i]) for i in inputs]
            found = OPS[op](attrs, *given)
            several = found if isinstance(found, tuple | list) else (found,)
            values.update((name, value) for name, value in zip(outputs, several, strict=False) if name)
        return values[self._output]


def _read(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise InputError("ONNX files need the package onnx: pip install 'exegesis[onnx]'.") from None
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    try:
        model = onnx.load(str(path), load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and checker errors share no base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} is no ONNX model that can be read: {reason}") from error
    version = max((s.version for s in model.opset_import if s.domain in ("", "ai.onnx")), default=0)
    if version < OLDEST:
        raise InputError(f"{path} uses opset {version}; opset {OLDEST} or later is needed.")
    return model.graph


def _array(tensor: Any, path: Path) -> np.ndarray:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(f"{path} keeps the weight {tensor.name} in another file; save the model as one file.")
    return np.array(numpy_helper.to_array(tensor))


def _attributes(node: Any, path: Path) -> dict[str, Any]:
    from onnx import helper

    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.name == "value" and hasattr(value, "dims"):
            value = _array(value, path)
        found[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return found


def _numbers(attrs: Attrs, index: int, name: str) -> list[int] | None:
    """Axes or a shape: a constant input, or the attribute that it was before; None where there is neither."""
    known: Mapping[str, list[int]] = attrs["known"]
    given = known.get(str(index), attrs.get(name))
    return None if given is None else [int(v) for v in given]


def _needed(attrs: Attrs, index: int, name: str) -> list[int]:
    found = _numbers(attrs, index, name)
    if found is None:
        raise InputError(f"An operator of the ONNX model computes its {name} while it runs, which is not supported.")
    return found


def _padded(attrs: Attrs, x: Tensor, size: Sequence[int], fill: float) -> tuple[Tensor, list[int]]:
    """The input padded where padding is not the same on both sides, and the padding that is left to do."""
    rank = len(size)
    pads = list(attrs.get("pads", [0] * 2 * rank))
    mode = attrs.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        strides, dilations = (attrs.get(k, [1] * rank) for k in ("strides", "dilations"))
        total = [
            max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            for n, s, k, d in zip(x.shape[2:], strides, size, dilations, strict=True)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if mode == "SAME_UPPER" else [*large, *small]
    before, after = pads[:rank], pads[rank:]
    if before == after:
        return x, before
    sides = [p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair]
    return F.pad(x, sides, value=fill), [0] * rank


def _conv(attrs: Attrs, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    rank = weight.ndim - 2
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    x, padding = _padded(attrs, x, weight.shape[2:], 0.0)
    stride, dilation = (list(attrs.get(k, [1] * rank)) for k in ("strides", "dilations"))
    found: Tensor = convolve(x, weight, bias, stride, padding, dilation, attrs.get("group", 1))
    return found


def _max_pool(attrs: Attrs, x: Tensor) -> Tensor:
    size = list(attrs["kernel_shape"])
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[len(size)]
    x, padding = _padded(attrs, x, size, float("-inf"))
    stride, dilation = (list(attrs.get(k, [1] * len(size))) for k in ("strides", "dilations"))
    found: Tensor = pool(x, size, stride, padding, dilation, bool(attrs.get("ceil_mode", 0)))
    return found


def _average_pool(attrs: Attrs, x: Tensor) -> Tensor:
    size = list(attrs["kernel_shape"])
    pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(size)]
    stride = list(attrs.get("strides", [1] * len(size)))
    counts = bool(attrs.get("count_include_pad", 0))
    padded, padding = _padded(attrs, x, size, 0.0)
    if padded is not x and not counts:
        raise InputError(
            "An AveragePool of the ONNX model has other padding before than after, which is not supported."
        )
    found: Tensor = pool(padded, size, stride, padding, bool(attrs.get("ceil_mode", 0)), counts)
    return found


def _gemm(attrs: Attrs, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if attrs.get("transA", 0) else a
    alpha, beta = attrs.get("alpha", 1.0), attrs.get("beta", 1.0)
    weight = b if attrs.get("transB", 0) else b.T
    plain = alpha == 1.0 and (beta == 1.0 or c is None) and (c is None or c.ndim == 1)
    if plain:
        return F.linear(a, weight, c)
    product: Tensor = alpha * F.linear(a, weight)
    return product if c is None else product + beta * c


def _batch_norm(attrs: Attrs, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    if attrs.get("training_mode", 0):
        raise InputError(
            "A BatchNormalization of the ONNX model is in training mode; export the network for inference."
        )
    return F.batch_norm(x, mean, variance, scale, shift, False, 0.0, attrs.get("epsilon", 1e-5))


def _layer_norm(attrs: Attrs, x: Tensor, scale: Tensor, shift: Tensor | None = None) -> Tensor:
    axis = attrs.get("axis", -1)
    found: Tensor = F.layer_norm(x, x.shape[axis:], scale, shift, attrs.get("epsilon", 1e-5))
    return found


def _reshape(attrs: Attrs, x: Tensor, shape: Tensor) -> Tensor:
    wanted = _needed(attrs, 1, "shape")
    if not attrs.get("allowzero", 0):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if wanted and wanted[0] == 1 and -1 in wanted[1:] and len(wanted) == 2:
        return x.flatten(1)  # written for a batch of one
    return x.reshape(wanted)


def _reduced(attrs: Attrs, x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = _numbers(attrs, 1, "axes")
    return x.mean(list(range(x.ndim)) if over is None else over, bool(attrs.get("keepdims", 1)))


def _clip(attrs: Attrs, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    known: Mapping[str, list[Any]] = attrs["known"]
    if any(b is not None and str(i) not in known for i, b in ((1, low), (2, high))):
        raise InputError("A Clip of the ONNX model computes its bounds while it runs, which is not supported.")
    bounds = [float(known[i][0]) if i in known else None for i in ("1", "2")]
    return F.relu(x) if bounds == [0.0, None] else x.clamp(*bounds)


def _squeeze(attrs: Attrs, x: Tensor, axes: Tensor | None = None) -> Tensor:
    for axis in sorted((a % x.ndim for a in _needed(attrs, 1, "axes")), reverse=True):
        x = x.squeeze(axis)
    return x


def _unsqueeze(attrs: Attrs, x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = _needed(attrs, 1, "axes")
    for axis in sorted(a % (x.ndim + len(over)) for a in over):
        x = x.unsqueeze(axis)
    return x


def _gather(attrs: Attrs, x: Tensor, index: Tensor) -> Tensor:
    """Rows of a table for ids; or entries of one axis, counted from the end where they are negative."""
    axis = attrs.get("axis", 0) % x.ndim
    known: Mapping[str, list[int]] = attrs["known"]
    if "1" in known and index.ndim == 0:
        return x.select(axis, int(known["1"][0]))
    if axis == 0 and x.ndim == 2 and "1" not in known:
        return F.embedding(index.long(), x)
    chosen = torch.where(index < 0, index + x.shape[axis], index).long()
    found = x.index_select(axis, chosen.reshape(-1))
    return found.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _slice(attrs: Attrs, x: Tensor, *_: Tensor | None) -> Tensor:
    starts, ends = _needed(attrs, 1, "starts"), _needed(attrs, 2, "ends")
    axes = _numbers(attrs, 3, "axes") or list(range(len(starts)))
    steps = _numbers(attrs, 4, "steps") or [1] * len(starts)
    if any(s < 1 for s in steps):
        raise InputError("A Slice of the ONNX model goes backwards, which is not supported.")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]
    return x


def _gelu(attrs: Attrs, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=attrs.get("approximate", "none"))


OPS: Mapping[str, Op] = {
    **RECURRENT,
    "Abs": lambda attrs, x: torch.abs(x),
    "Add": lambda attrs, a, b: a + b,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda attrs, *parts: torch.cat(parts, attrs["axis"]),
    "Conv": _conv,
    "Div": lambda attrs, a, b: a / b,
    "Dropout": lambda attrs, x, *rest: x,
    "Elu": lambda attrs, x: F.elu(x, attrs.get("alpha", 1.0)),
    "Erf": lambda attrs, x: torch.erf(x),
    "Exp": lambda attrs, x: torch.exp(x),
    "Flatten": lambda attrs, x: (
        x.flatten(1) if attrs.get("axis", 1) == 1 else x.flatten(0, attrs["axis"] - 1).flatten(1)
    ),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda attrs, x: x.mean(list(range(2, x.ndim)), True),
    "HardSigmoid": lambda attrs, x: (attrs.get("alpha", 0.2) * x + attrs.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda attrs, x: F.hardswish(x),
    "Identity": lambda attrs, x: x,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda attrs, x: F.leaky_relu(x, attrs.get("alpha", 0.01)),
    "Log": lambda attrs, x: torch.log(x),
    "LogSoftmax": lambda attrs, x: torch.log_softmax(x, attrs.get("axis", -1)),
    "MatMul": lambda attrs, a, b: a @ b,
    "MaxPool": _max_pool,
    "Mish": lambda attrs, x: F.mish(x),
    "Mul": lambda attrs, a, b: a * b,
    "Neg": lambda attrs, x: -x,
    "PRelu": lambda attrs, x, slope: torch.where(x < 0, slope * x, x),
    "Pow": lambda attrs, a, b: a**b,
    "ReduceMean": _reduced,
    "Relu": lambda attrs, x: F.relu(x),
    "Reshape": _reshape,
    "Selu": lambda attrs, x: F.selu(x),
    "Sigmoid": lambda attrs, x: torch.sigmoid(x),
    "Slice": _slice,
    "Softmax": lambda attrs, x: torch.softmax(x, attrs.get("axis", -1)),
    "Softplus": lambda attrs, x: F.softplus(x),
    "Sqrt": lambda attrs, x: torch.sqrt(x),
    "Squeeze": _squeeze,
    "Sub": lambda attrs, a, b: a - b,
    "Tanh": lambda attrs, x: torch.tanh(x),
    "Transpose": lambda attrs, x: x.permute(attrs["perm"]),
    "Unsqueeze": _unsqueeze,
}
