"""Layer norms and RMS norms: torch's own, and those written out as mean, square and square root."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.recognise.matching import constant, is_last_axis, number, other_operand, source

MAKER = "lift.norms"


@dataclass(frozen=True)
class _Core:
    """x over the root of its mean square: what is normalised, whether it is centred first, and eps."""

    x: str
    centred: bool
    eps: float


def recognise(bench: Bench) -> int:
    """Replaces every norm over the last axis; an affine part that follows becomes its weight and bias."""
    count = 0
    for cell in bench.cells():
        if cell.id not in bench:
            continue
        found = _fused(bench, cell) or _written_out(bench, cell)
        if found is not None:
            last, norm = found
            bench.replace(last, bench.add(norm))
            count += 1
    bench.prune()
    return count


def _fused(bench: Bench, cell: Cell) -> tuple[str, Cell] | None:
    """`layer_norm` and `rms_norm` of torch."""
    if cell.name not in ("layer_norm", "rms_norm") or not isinstance(cell.args[0], Ref):
        return None
    x = bench[cell.args[0].id]
    if len(cell.args[1]) != 1:
        return None
    layer = cell.name == "layer_norm"
    weight = constant(bench, cell.arg(2, "weight"))
    bias = constant(bench, cell.arg(3, "bias")) if layer else None
    eps = cell.arg(4, "eps", 1e-5) if layer else cell.arg(3, "eps")
    if eps is None or (cell.arg(2, "weight") is not None and weight is None):
        return None
    return cell.id, _norm(bench, cell, _Core(x.id, layer, float(eps)), weight, bias, (cell.id,))


def _norm(
    bench: Bench, last: Cell, core: _Core, weight: Tensor | None, bias: Tensor | None, out_of: tuple[str, ...]
) -> Cell:
    tensors = {k: v for k, v in (("weight", weight), ("bias", bias)) if v is not None}
    return Cell(
        bench.fresh(last.id),
        "component.norm",
        (Ref(core.x),),
        shape=last.shape,
        dtype=last.dtype,
        attrs={"kind": "layer" if core.centred else "rms", "eps": core.eps},
        tensors=tensors,
        reference=last.reference,
        by=MAKER,
        out_of=out_of,
    )


def _written_out(bench: Bench, cell: Cell) -> tuple[str, Cell] | None:
    core = _core(bench, cell)
    if core is None:
        return None
    last, weight, bias = cell, None, None
    taken = [cell.id]
    width = cell.shape[-1] if cell.shape else None
    after = bench.sole_user(last.id)
    w = constant(bench, other_operand(after, last.id)) if after is not None and after.name == "mul" else None
    if after is not None and w is not None and tuple(w.shape) == (width,):
        last, weight = after, w
        taken.append(after.id)
        after = bench.sole_user(last.id)
    if core.centred and after is not None and after.name == "add" and not after.kwargs:
        b = constant(bench, other_operand(after, last.id))
        if b is not None and tuple(b.shape) == (width,):
            last, bias = after, b
            taken.append(after.id)
    return last.id, _norm(bench, last, core, weight, bias, tuple(taken))


def _core(bench: Bench, cell: Cell) -> _Core | None:
    """x · rsqrt(…), x / sqrt(…) and their like."""
    if cell.name == "div" and not cell.kwargs and (top := source(bench, cell, 0)) and (root := source(bench, cell, 1)):
        inside = _under_root(bench, root, 0.5)
        return _mean_square(bench, top, inside) if inside else None
    if cell.name == "mul" and len(cell.args) == 2:
        for top_index in (0, 1):
            top, root = source(bench, cell, top_index), source(bench, cell, 1 - top_index)
            inside = _under_root(bench, root, -0.5) if top and root else None
            if top and inside and (core := _mean_square(bench, top, inside)):
                return core
    return None


def _under_root(bench: Bench, cell: Cell | None, power: float) -> Cell | None:
    """What the root (power ½) or the inverse root (−½) is taken of."""
    if cell is None:
        return None
    if cell.name == "pow" and number(bench, cell.args[1]) == power:
        return source(bench, cell, 0)
    if power > 0:
        return source(bench, cell, 0) if cell.name == "sqrt" else None
    if cell.name == "rsqrt":
        return source(bench, cell, 0)
    inverted = cell.name == "reciprocal" or (cell.name == "pow" and number(bench, cell.args[1]) == -1.0)
    return _under_root(bench, source(bench, cell, 0), 0.5) if inverted else None


def _mean_square(bench: Bench, top: Cell, inside: Cell) -> _Core | None:
    """mean(top²) + eps, or var(x) + eps with top = x − mean(x)."""
    eps, mean = 0.0, inside
    if inside.name == "add" and not inside.kwargs:
        for index in (0, 1):
            added, rest = number(bench, inside.args[1 - index]), source(bench, inside, index)
            if added is not None and rest is not None:
                eps, mean = added, rest
    centre = _centred_on(bench, top)
    if mean.name == "mean" and _over_last(bench, mean):
        square = source(bench, mean, 0)
        if square is not None and _is_square_of(bench, square, top):
            return _Core(centre or top.id, centre is not None, eps)
    if mean.name == "var" and centre is not None and _is_population_variance(bench, mean):
        spread = source(bench, mean, 0)
        if spread is not None and spread.id in (centre, top.id):
            return _Core(centre, True, eps)
    return None


def _over_last(bench: Bench, cell: Cell) -> bool:
    x = source(bench, cell, 0)
    axes = cell.arg(1, "dim")
    return (
        x is not None
        and x.shape is not None
        and is_last_axis(axes, len(x.shape))
        and cell.arg(2, "keepdim", False) is True
    )


def _centred_on(bench: Bench, cell: Cell) -> str | None:
    """x where the cell is x − mean(x)."""
    if cell.name != "sub" or cell.kwargs:
        return None
    x, mean = source(bench, cell, 0), source(bench, cell, 1)
    if x is None or mean is None or mean.name != "mean" or not _over_last(bench, mean):
        return None
    averaged = source(bench, mean, 0)
    return x.id if averaged is not None and averaged.id == x.id else None


def _is_square_of(bench: Bench, square: Cell, top: Cell) -> bool:
    base = source(bench, square, 0)
    if base is None:
        return False
    again = source(bench, square, 1) if len(square.args) > 1 else None
    squared = square.name == "square" or (square.name == "pow" and number(bench, square.args[1]) == 2.0)
    product = square.name == "mul" and again is not None and again.id == base.id
    if not (squared or product):
        return False
    if base.id == top.id:
        return True
    # the same centring written twice
    return _centred_on(bench, base) is not None and _centred_on(bench, base) == _centred_on(bench, top)


def _is_population_variance(bench: Bench, cell: Cell) -> bool:
    if not cell.op.endswith((".dim", ".correction")):
        return False
    x = source(bench, cell, 0)
    if x is None or x.shape is None or not is_last_axis(cell.arg(1, "dim"), len(x.shape)):
        return False
    if cell.op.endswith(".dim"):
        return cell.arg(2, "unbiased", True) is False and cell.arg(3, "keepdim", False) is True
    return cell.kwargs.get("correction") == 0 and cell.kwargs.get("keepdim", False) is True
