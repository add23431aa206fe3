"""Convolutions, batch normalisation by fixed statistics, pooling and flattening of images."""

from __future__ import annotations

from typing import Any

import torch
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
    count += sum(_normalisation(bench, c) for c in bench.cells() if c.id in bench and c.name == "batch_norm")
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
    if cell.op not in ("aten.conv2d.default", "aten.conv2d.padding") or x is None or len(x.shape or ()) != 4:
        return None
    weight, bias = constant(bench, cell.args[1]), constant(bench, cell.arg(2, "bias"))
    if weight is None or (cell.arg(2, "bias") is not None and bias is None):
        return None
    attrs = {
        "stride": _pair(cell.arg(3, "stride", 1)),
        "padding": cell.arg(4, "padding", 0),
        "dilation": _pair(cell.arg(5, "dilation", 1)),
        "groups": cell.arg(6, "groups", 1),
    }
    padding = _padding(attrs["padding"], weight, attrs["dilation"])
    if padding is None:
        return None
    attrs["padding"] = padding
    after = bench.sole_user(cell.id)
    if after is not None and (folded := _normalised(bench, after, weight, bias)) is not None:
        bench.replace(after.id, cell.id)
        cell.reference = after.reference
        weight, bias = folded
    return _made(bench, cell, x, "conv2d", attrs, tensors={"weight": weight} | ({} if bias is None else {"bias": bias}))


def _padding(given: Any, weight: Tensor, dilation: list[int]) -> list[int] | None:
    """Padding in numbers; None where it is not the same on both sides."""
    if given == "valid":
        return [0, 0]
    if given != "same":
        return _pair(given)
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    return None if any(t % 2 for t in total) else [t // 2 for t in total]


def _normalised(bench: Bench, after: Cell, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Weight and bias with the batch normalisation behind a convolution folded in, float64."""
    affine = _fixed_statistics(bench, after)
    if affine is None:
        return None
    factor, moved = affine
    plus = moved if bias is None else bias.double() * factor + moved
    return weight.double() * factor[:, None, None, None], plus


def _fixed_statistics(bench: Bench, cell: Cell) -> tuple[Tensor, Tensor] | None:
    """What a batch normalisation multiplies each channel by, and what it adds; None unless its statistics are fixed."""
    if cell.name != "batch_norm" or cell.args[5] is not False:
        return None
    scale, shift, mean, variance = (constant(bench, a) for a in cell.args[1:5])
    if mean is None or variance is None:
        return None
    factor = (variance.double() + float(cell.args[7])).rsqrt() * (1 if scale is None else scale.double())
    return factor, (0 if shift is None else shift.double()) - mean.double() * factor


def _normalisation(bench: Bench, cell: Cell) -> bool:
    """A batch normalisation behind no convolution: one weight per channel of an image.

    Elsewhere it goes into the linear map before or after it, or becomes a product and a sum."""
    x, affine = source(bench, cell, 0), _fixed_statistics(bench, cell)
    if x is None or affine is None or x.shape is None or len(x.shape) not in (2, 4):
        return False
    factor, shift = affine
    if len(x.shape) == 4:
        attrs = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": len(factor)}
        held = {"weight": factor[:, None, None, None], "bias": shift}
        bench.replace(cell.id, bench.add(_made(bench, cell, x, "conv2d", attrs, tensors=held)))
        return True
    if (folded := _into_linear(bench, cell, x, factor, shift)) is not None:
        old, new = folded
        bench.replace(old.id, bench.add(new))
        return True
    scaled = _by_feature(bench, cell, x, torch.ops.aten.mul.Tensor, factor)
    moved = _by_feature(bench, cell, scaled, torch.ops.aten.add.Tensor, shift)
    moved.reference = cell.reference
    bench.replace(cell.id, moved.id)
    return True


def _into_linear(bench: Bench, cell: Cell, x: Cell, factor: Tensor, shift: Tensor) -> tuple[Cell, Cell] | None:
    """The linear map before or after a normalisation with it inside, and the cell whose place it takes."""
    after = bench.sole_user(cell.id)
    if (before := _plain_linear(bench, x)) is not None and bench.sole_user(x.id) is cell:
        weight, bias = before
        held = {"weight": (weight * factor[:, None]).T, "bias": bias * factor + shift}
        return cell, _made(bench, cell, bench[x.args[0].id], "linear", {}, tensors=held)
    if after is not None and after.args[:1] == (Ref(cell.id),) and (then := _plain_linear(bench, after)) is not None:
        weight, bias = then
        held = {"weight": (weight * factor).T, "bias": bias + weight @ shift}
        return after, _made(bench, after, x, "linear", {}, tensors=held)
    return None


def _plain_linear(bench: Bench, cell: Cell) -> tuple[Tensor, Tensor] | None:
    """Weight [out, in] and bias of a linear map with fixed numbers, float64."""
    if cell.op != "aten.linear.default" or not isinstance(cell.args[0], Ref):
        return None
    weight, bias = constant(bench, cell.args[1]), constant(bench, cell.arg(2, "bias"))
    if weight is None or (cell.arg(2, "bias") is not None and bias is None):
        return None
    weight = weight.double()
    return weight, weight.new_zeros(len(weight)) if bias is None else bias.double()


def _by_feature(bench: Bench, cell: Cell, x: Cell, target: Any, numbers: Tensor) -> Cell:
    """x times, or plus, one number per feature; the affine map beside it takes it in later."""
    held = Cell(
        bench.fresh("numbers"), "constant", value=numbers, shape=tuple(numbers.shape), dtype=x.dtype, rank=cell.rank
    )
    bench.add(held)
    made = Cell(
        bench.fresh(cell.id),
        f"aten.{target.__name__}",
        (Ref(x.id), Ref(held.id)),
        target=target,
        shape=cell.shape,
        dtype=cell.dtype,
        by=MAKER,
        out_of=(cell.id,),
    )
    bench.add(made)
    return made


def _pooling(bench: Bench, cell: Cell) -> Cell | None:
    x = source(bench, cell, 0)
    if cell.op == "aten.adaptive_avg_pool2d.default" and x is not None:
        return _whole_windows(bench, cell, x, _pair(cell.args[1]))
    if cell.op == "aten.mean.dim" and x is not None and len(x.shape or ()) == 4:
        return _mean_of_image(bench, cell, x)
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


def _whole_windows(bench: Bench, cell: Cell, x: Cell, out: list[int]) -> Cell | None:
    """The mean over windows that divide an image into so many, where they do."""
    sizes = [s for s in (x.shape or ())[2:] if isinstance(s, int)]
    if len(sizes) != 2 or any(s % o for s, o in zip(sizes, out, strict=True)):
        return None
    window = [s // o for s, o in zip(sizes, out, strict=True)]
    attrs: dict[str, Any] = {"kind": "mean", "size": window, "stride": window, "padding": [0, 0]}
    return _made(bench, cell, x, "pool2d", attrs)


def _mean_of_image(bench: Bench, cell: Cell, x: Cell) -> Cell | None:
    """The mean over both axes of an image, kept as axes of size 1 or not."""
    assert x.shape is not None
    axes = sorted(a % 4 for a in cell.args[1]) if isinstance(cell.args[1], list | tuple) else []
    if axes != [2, 3] or cell.kwargs.get("dtype") is not None:
        return None
    pooled = _whole_windows(bench, cell, x, [1, 1])
    if pooled is None or cell.arg(2, "keepdim", False):
        return pooled
    pooled.shape, pooled.reference = (*x.shape[:2], 1, 1), None
    bench.add(pooled)
    return _made(bench, cell, pooled, "flatten", {})


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
