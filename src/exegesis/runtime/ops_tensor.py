"""The tensor level in torch: core operators by name, and the few Python builtins that an export holds.

A program may come from a file, so only functional `aten` operators run: nothing that writes into its operands, and
nothing that touches the file system.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from exegesis.ir import GraphError, Node
from exegesis.ir.arguments import decode_argument
from exegesis.runtime.binding import Binding, Compute, Value

BUILTINS: Mapping[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "neg": operator.neg,
    "abs": operator.abs,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and_": operator.and_,
    "or_": operator.or_,
    "not_": operator.not_,
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "trunc": math.trunc,
    "int": int,
    "float": float,
    "sym_max": torch.sym_max,
    "sym_min": torch.sym_min,
    "sym_int": torch.sym_int,
    "sym_float": torch.sym_float,
    "sym_not": torch.sym_not,
    "sym_sum": torch.sym_sum,
}
_REFUSED = ("from_file",)  # maps a file of the user's choice into memory, and may create it


def _operator(node: Node) -> Callable[..., Any]:
    """The function that an op's name means.

    Raises:
        GraphError: there is no such operator, or it would change its operands.
    """
    kind, _, name = node.op.removeprefix("tensor.").partition(".")
    if kind == "builtin":
        if name not in BUILTINS:
            raise GraphError(f"Node {node.id!r} has op {node.op!r}, which is no builtin that a program may use.")
        return BUILTINS[name]
    name, _, overload = name.partition(".")
    try:
        found: Callable[..., Any] = getattr(getattr(torch.ops.aten, name), overload or "default")
    except AttributeError:
        raise GraphError(f"Node {node.id!r} has op {node.op!r}, which this version of torch does not have.") from None
    if not isinstance(found, torch._ops.OpOverload) or name in _REFUSED or found._schema.is_mutable:
        raise GraphError(f"Node {node.id!r} has op {node.op!r}, which is no pure operator, so no program may use it.")
    return found


def _torch_object(device: torch.device, real: torch.dtype | None, kind: str, name: str) -> object:
    if kind == "device":
        return device
    found = getattr(torch, name, None)
    if type(found) is not {"dtype": torch.dtype, "layout": torch.layout, "memory_format": torch.memory_format}[kind]:
        raise GraphError(f"{name!r} is no {kind} of torch.")
    return real if isinstance(found, torch.dtype) and found.is_floating_point and real is not None else found


def bind_tensor(at: Binding, real: torch.dtype | None) -> Compute:
    """The function of a tensor-level node. `real`, unless None, replaces every floating dtype in its arguments."""
    if at.node.op == "tensor.constant":
        value = at.tensors["value"]
        return lambda: value
    function = _operator(at.node)
    args, kwargs, index = at.attr("args"), at.attr("kwargs") or {}, at.attr("index")
    objects = partial(_torch_object, at.device, real)

    def compute(*inputs: Value) -> Value:
        positional = list(inputs) if args is None else [decode_argument(a, inputs.__getitem__, objects) for a in args]
        named = {k: decode_argument(v, inputs.__getitem__, objects) for k, v in kwargs.items()}
        result = function(*positional, **named)
        return result if index is None else result[index]

    return compute
