"""Convolutions, pooling and flattening of images."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.recognise.matching import constant, source

MAKER = "lift.images"


def recognise(bench: Bench) -> int:
    """Replaces two-dimensional convolutions (normalised by fixed statistics or not), pooling, and flattening."""
    count = 0
    for cell in bench.cells():
        if (
            cell.id in bench
            and cell.target is not None
            and (made := _convolution(bench, cell) or _pooling(bench, cell) or _flattening(bench, cell))
        ):
            bench.replace(cell.id, bench.add(made))
            count += 1
    bench.prune()
    return count


def _made(bench: Bench, cell: Cell, x: Cell, op: str, attrs: dict[str, Any], **rest: Any) -> Cell:
    return Cell(
        bench.fresh(cell.id),
        f"component.{op}",
        (Ref(x.id),),
        shape=cell.shape,
        dtype=cell.dtype,
        attrs=attrs,
        reference=cell.reference,
        by=MAKER,
        out_of=(cell.id,),
        **rest,
    )


def _pair(value: Any) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values


def _convolution(bench: Bench, cell: Cell) -> Cell | None:
    x = source(bench, cell, 0)
    if cell.op != "aten.conv2d.default" or x is None or len(x.shape or ()) != 4:
        return None
    weight, bias = constant(bench, cell.args[1]), constant(bench, cell.arg(2, "bias"))
    if weight is None or (cell.arg(2, "bias") is not None and bias is None):
        return None
    attrs = {
        "stride": _pair(cell.arg(3, "stride", 1)),
        "padding": _pair(cell.arg(4, "padding", 0)),
        "dilation": _pair(cell.arg(5, "dilation", 1)),
        "groups": cell.arg(6, "groups", 1),
    }
    after = bench.sole_user(cell.id)
    if after is not None and (folded := _normalised(bench, after, weight, bias)) is not None:
        bench.replace(after.id, cell.id)
        cell.reference = after.reference
        weight, bias = folded
    return _made(bench, cell, x, "conv2d", attrs, tensors={"weight": weight} | ({} if bias is None else {"bias": bias}))


def _normalised(bench: Bench, after: Cell, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Weight and bias with the batch normalisation behind a convolution folded in, float64."""
    if after.name != "batch_norm" or after.args[5] is not False:
        return None
    scale, shift, mean, variance = (constant(bench, a) for a in after.args[1:5])
    if mean is None or variance is None:
        return None
    factor = (variance.double() + float(after.args[7])).rsqrt() * (1 if scale is None else scale.double())
    moved = ((0 if bias is None else bias.double()) - mean.double()) * factor
    return weight.double() * factor[:, None, None, None], moved + (0 if shift is None else shift.double())


def _pooling(bench: Bench, cell: Cell) -> Cell | None:
    x = source(bench, cell, 0)
    if cell.op == "aten.adaptive_avg_pool2d.default" and x is not None and _pair(cell.args[1]) == [1, 1]:
        whole = [s for s in (x.shape or ())[2:] if isinstance(s, int)]
        attrs: dict[str, Any] = {"kind": "mean", "size": whole, "stride": whole, "padding": [0, 0]}
        return _made(bench, cell, x, "pool2d", attrs) if len(whole) == 2 else None
    if cell.op not in ("aten.max_pool2d.default", "aten.avg_pool2d.default") or x is None or len(x.shape or ()) != 4:
        return None
    size = _pair(cell.args[1])
    attrs = {
        "kind": "max" if cell.name == "max_pool2d" else "mean",
        "size": size,
        "stride": _pair(cell.arg(2, "stride") or size),
        "padding": _pair(cell.arg(3, "padding", 0)),
    }
    if cell.name == "max_pool2d":
        usual = _pair(cell.arg(4, "dilation", 1)) == [1, 1] and not cell.arg(5, "ceil_mode", False)
    else:
        counts = cell.arg(5, "count_include_pad", True) or attrs["padding"] == [0, 0]
        usual = not cell.arg(4, "ceil_mode", False) and counts and cell.arg(6, "divisor_override") is None
    return _made(bench, cell, x, "pool2d", attrs) if usual else None


def _flattening(bench: Bench, cell: Cell) -> Cell | None:
    x = source(bench, cell, 0)
    if (
        cell.name not in ("flatten", "view", "reshape")
        or x is None
        or not x.is_real
        or x.shape is None
        or cell.shape is None
    ):
        return None
    flat = len(cell.shape) == 2 and len(x.shape) > 2 and cell.shape[0] == x.shape[0]
    return _made(bench, cell, x, "flatten", {}) if flat else None
