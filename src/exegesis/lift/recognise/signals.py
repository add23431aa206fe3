"""One-dimensional convolutions and pooling, as those of pictures that are one row high.

A signal [b, c, l] becomes a picture [b, c, 1, l] before its first convolution, and stays one through activations,
normalisation, pooling and sums, for as long as what reads it can. Whatever else reads it gets the signal back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from exegesis.lift.bench import Bench, Cell, Ref, Reference
from exegesis.lift.recognise.matching import constant, number

MAKER = "lift.signals"
ATEN = torch.ops.aten


def recognise(bench: Bench) -> int:
    """Rewrites signals of a fixed length as pictures; `images` recognises those."""
    pictures = dict[str, str]()  # signal → the same as a picture
    count = 0
    for cell in bench.cells():
        if cell.target is None and cell.op != "component.activation":
            continue
        if cell.shape is not None and len(cell.shape) == 3:
            made = _as_picture(bench, cell, pictures)
            if made is not None:
                pictures[cell.id] = bench.add(made)
                count += 1
        elif (flat := _flattened(bench, cell, pictures)) is not None:
            bench.replace(cell.id, flat.id)
    for signal, picture in pictures.items():
        back = _cell(bench, bench[signal], ATEN.squeeze.dim, (Ref(picture), 2), bench[signal].shape)
        back.reference = bench[signal].reference
        bench.replace(signal, bench.add(back))
    bench.prune()
    return count


def _cell(bench: Bench, like: Cell, target: Any, args: tuple[Any, ...], shape: Any) -> Cell:
    """A cell in the place of another, without the reference."""
    return Cell(
        bench.fresh(like.id),
        f"aten.{target.__name__}",
        args,
        target=target,
        shape=shape,
        dtype=like.dtype,
        by=MAKER,
        out_of=(like.id,),
        rank=like.rank,
    )


def _as_picture(bench: Bench, cell: Cell, pictures: Mapping[str, str]) -> Cell | None:
    """The same value as a picture, if a cell computes it from signals in a way that has one."""
    assert cell.shape is not None
    if not isinstance(cell.shape[2], int):
        return None
    if cell.name == "conv1d":
        return _convolution(bench, cell, pictures)
    sources = [i for i in cell.inputs if bench[i].op != "constant"]
    if not sources or any(i not in pictures for i in sources):
        return None
    shape = (*cell.shape[:2], 1, cell.shape[2])
    if cell.name in _POOLS:
        target, args = _POOLS[cell.name](cell)
        made = _cell(bench, cell, target, (Ref(pictures[sources[0]]), *args), shape)
    elif cell.op == "aten.mean.dim" and cell.args[1:] in (([-1], True), ([2], True)):
        made = _cell(bench, cell, ATEN.mean.dim, (Ref(pictures[sources[0]]), [2, 3], True), shape)
    elif _is_pointwise(bench, cell, sources):
        args = tuple(Ref(pictures[a.id]) if isinstance(a, Ref) and a.id in pictures else a for a in cell.args)
        made = replace(
            cell, id=bench.fresh(cell.id), args=args, shape=shape, by=MAKER, out_of=(cell.id,), reference=None
        )
    else:
        return None
    return _compared(made, cell)


def _compared(made: Cell, cell: Cell) -> Cell:
    """A picture that must equal the signal of the export."""
    if cell.reference is not None and cell.reference.order is None:
        made.reference = Reference(cell.reference.value, reshape=True)
    return made


def _convolution(bench: Bench, cell: Cell, pictures: Mapping[str, str]) -> Cell | None:
    x = bench[cell.args[0].id]
    weight, bias = constant(bench, cell.args[1]), cell.arg(2, "bias")
    if weight is None or len(x.shape or ()) != 3 or not isinstance((x.shape or ())[2], int):
        return None
    assert x.shape is not None
    assert cell.shape is not None
    padding = cell.arg(4, "padding", 0)
    if x.id in pictures:
        picture = pictures[x.id]
    else:
        picture = bench.add(_cell(bench, x, ATEN.unsqueeze.default, (Ref(x.id), 2), (*x.shape[:2], 1, x.shape[2])))
    kernel = bench.add(
        Cell(
            bench.fresh("kernel"),
            "constant",
            value=weight.unsqueeze(2),
            shape=(*weight.shape[:2], 1, weight.shape[2]),
            dtype=weight.dtype,
            rank=cell.rank,
        )
    )
    args = (
        Ref(picture),
        Ref(kernel),
        bias,
        [1, *_ints(cell.arg(3, "stride", 1))],
        padding if isinstance(padding, str) else [0, *_ints(padding)],
        [1, *_ints(cell.arg(5, "dilation", 1))],
        cell.arg(6, "groups", 1),
    )
    target = ATEN.conv2d.padding if isinstance(padding, str) else ATEN.conv2d.default
    return _compared(_cell(bench, cell, target, args, (*cell.shape[:2], 1, cell.shape[2])), cell)


def _ints(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _max_pool(cell: Cell) -> tuple[Any, tuple[Any, ...]]:
    size = _ints(cell.args[1])
    stride, padding, dilation = (
        _ints(cell.arg(2, "stride") or size),
        _ints(cell.arg(3, "padding", 0)),
        _ints(cell.arg(4, "dilation", 1)),
    )
    rest = ([1, *stride], [0, *padding], [1, *dilation], cell.arg(5, "ceil_mode", False))
    return ATEN.max_pool2d.default, ([1, *size], *rest)


def _mean_pool(cell: Cell) -> tuple[Any, tuple[Any, ...]]:
    size = _ints(cell.args[1])
    stride, padding = _ints(cell.arg(2, "stride") or size), _ints(cell.arg(3, "padding", 0))
    rest = ([1, *stride], [0, *padding], cell.arg(4, "ceil_mode", False), cell.arg(5, "count_include_pad", True))
    return ATEN.avg_pool2d.default, ([1, *size], *rest)


def _adaptive_pool(cell: Cell) -> tuple[Any, tuple[Any, ...]]:
    return ATEN.adaptive_avg_pool2d.default, ([1, *_ints(cell.args[1])],)


_POOLS: Mapping[str, Callable[[Cell], tuple[Any, tuple[Any, ...]]]] = {
    "max_pool1d": _max_pool,
    "avg_pool1d": _mean_pool,
    "adaptive_avg_pool1d": _adaptive_pool,
}


def _is_pointwise(bench: Bench, cell: Cell, sources: list[str]) -> bool:
    """Whether a cell does the same at every place, and nothing that depends on how many axes there are."""
    if cell.op == "component.activation" or cell.name == "batch_norm":
        return True
    if cell.name in ("add", "sub") and len(sources) == 2 and not cell.kwargs:
        return all(bench[i].shape == cell.shape for i in sources)
    scaled = cell.name in ("add", "sub", "mul", "div", "neg") and not cell.kwargs
    others = [a for a in cell.args if not (isinstance(a, Ref) and a.id in sources)]
    return scaled and all(number(bench, a) is not None for a in others)


def _flattened(bench: Bench, cell: Cell, pictures: Mapping[str, str]) -> Cell | None:
    """A matrix [b, n] read off a picture: laid flat, or the mean or maximum along its length."""
    if cell.shape is None or len(cell.shape) != 2 or not cell.args or not isinstance(cell.args[0], Ref):
        return None
    x = bench[cell.args[0].id]
    if x.id not in pictures or x.shape is None or cell.shape[0] != x.shape[0]:
        return None
    picture = Ref(pictures[x.id])
    made = None
    along = cell.args[1] if len(cell.args) > 1 else None
    if cell.name in ("flatten", "view", "reshape", "squeeze"):
        made = _cell(bench, cell, ATEN.flatten.using_ints, (picture, 1, -1), cell.shape)
    elif cell.op == "aten.mean.dim" and along in ([-1], [2]):
        made = _cell(bench, cell, ATEN.mean.dim, (picture, [2, 3]), cell.shape)
    elif cell.op == "aten.amax.default" and along in ([-1], [2]):
        window = [1, x.shape[2]]
        args = (picture, window, window, [0, 0], [1, 1], False)
        pooled = _cell(bench, cell, ATEN.max_pool2d.default, args, (*x.shape[:2], 1, 1))
        made = _cell(bench, cell, ATEN.flatten.using_ints, (Ref(bench.add(pooled)), 1, -1), cell.shape)
    if made is None:
        return None
    made.reference = cell.reference
    bench.add(made)
    return made
