"""Sums of what several parts write: residual streams, with biases and positions that are added to them as writers."""

from __future__ import annotations

import torch
from torch import Tensor

from exegesis.lift.affine import sample_sizes
from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.evaluate import NotComputable, evaluate
from exegesis.lift.recognise.matching import constant

MAKER = "lift.residuals"


def recognise(bench: Bench) -> int:
    """Replaces every sum of values by one flat sum of its writers."""
    count = 0
    for cell in bench.cells():
        if cell.id in bench and cell.id not in bench.keep and _is_sum(bench, cell):
            bench.replace(cell.id, bench.add(_flat(bench, cell)))
            count += 1
    bench.prune()
    return count


def _is_sum(bench: Bench, cell: Cell) -> bool:
    if cell.name != "add" or not cell.is_real or cell.shape is None or len(cell.shape) < 2:
        return False
    if cell.is_component:
        return any(bench[i].op == "component.add" for i in cell.inputs)
    operands = [a for a in cell.args if isinstance(a, Ref)]
    data = [a for a in operands if bench[a.id].op != "constant" and bench.data(a.id)]
    whole = [a for a in data if bench[a.id].shape == cell.shape]
    return len(cell.args) == 2 and len(operands) == 2 and not cell.kwargs and bool(whole)


def _flat(bench: Bench, cell: Cell) -> Cell:
    writers: list[str] = []
    for operand in cell.args:
        source = bench[operand.id]
        if source.op == "component.add" and source.shape == cell.shape:
            writers += [r.id for r in source.args]
        else:
            writers.append(_writer(bench, source, cell))
    return Cell(
        bench.fresh(cell.id.split("~")[0]),
        "component.add",
        tuple(Ref(w) for w in writers),
        shape=cell.shape,
        dtype=cell.dtype,
        reference=cell.reference,
        by=MAKER,
        out_of=(cell.id,),
    )


def _writer(bench: Bench, source: Cell, total: Cell) -> str:
    """The value as a writer: what does not depend on the data becomes a constant, or an embedding of positions."""
    if source.is_component or (bench.data(source.id) and source.op != "constant"):
        return source.id
    width = total.shape[-1] if total.shape else None
    value = constant(bench, Ref(source.id))
    if value is not None:
        while value.ndim > 1 and value.shape[0] == 1:
            value = value[0]
        if tuple(value.shape) == (width,):
            return _constant(bench, source, total, value)
        if (
            value.ndim == 2
            and total.shape is not None
            and len(total.shape) == 3
            and tuple(value.shape) == total.shape[1:]
        ):
            return _positions(bench, source, total, value, 0)
        return source.id
    return _uniform(bench, source, total) or _table(bench, source, total) or source.id


def _like(bench: Bench, total: Cell) -> str:
    """A value with the batch and position axes of a sum: an input where one has them."""
    shape = total.shape or ()
    for cell in bench.inputs:
        if cell.shape is not None and cell.shape[:2] == shape[:2] and len(shape) == 3:
            return cell.id
    return next(a.id for a in total.args if isinstance(a, Ref) and bench[a.id].shape == shape)


def _constant(bench: Bench, source: Cell, total: Cell, value: Tensor) -> str:
    made = Cell(
        bench.fresh(source.id),
        "component.constant",
        (Ref(_like(bench, total)),),
        shape=total.shape,
        dtype=source.dtype,
        tensors={"value": value},
        by=MAKER,
        out_of=(source.id,),
    )
    return bench.add(made)


def _positions(bench: Bench, source: Cell, total: Cell, table: Tensor, start: int) -> str:
    shape = total.shape or ()
    like = _like(bench, total)
    attrs = {"start": start} if start else {}
    ids = bench.add(
        Cell(
            bench.fresh("arange"),
            "component.arange",
            (Ref(like),),
            shape=shape[:2],
            dtype=torch.int64,
            attrs=attrs,
            by=MAKER,
        )
    )
    made = Cell(
        bench.fresh(source.id),
        "component.embed",
        (Ref(ids),),
        shape=shape,
        dtype=source.dtype,
        tensors={"weight": table},
        reference=source.reference,
        by=MAKER,
        out_of=(source.id,),
    )
    return bench.add(made)


def _uniform(bench: Bench, source: Cell, total: Cell) -> str | None:
    """A value that is one vector at every position of every size it is asked at (the type of a segment, say)."""
    vectors = []
    for shape in ((2, 5), (3, 4)):
        try:
            value = evaluate(bench, [source.id], {}, sample_sizes(bench, *shape))[source.id]
        except NotComputable:
            return None
        rows = value.reshape(-1, value.shape[-1])
        if not bool((rows == rows[0]).all()):
            return None
        vectors.append(rows[0])
    return _constant(bench, source, total, vectors[0]) if bool((vectors[0] == vectors[1]).all()) else None


def _table(bench: Bench, source: Cell, total: Cell) -> str | None:
    """Consecutive rows of a fixed table: `table[:s]`, `embedding(table, arange(s) + start)`."""
    if source.shape is None or total.shape is None or len(total.shape) != 3 or source.shape[-2:] != total.shape[-2:]:
        return None
    tables = [bench[i].value for i in bench.upstream([source.id]) if bench[i].op == "constant" and bench[i].is_real]
    for table in (t for t in tables if t is not None and t.ndim == 2 and t.shape[1] == source.shape[-1]):
        starts = set()
        for shape in ((2, 5), (3, 4)):
            try:
                value = evaluate(bench, [source.id], {}, sample_sizes(bench, *shape))[source.id].squeeze()
            except NotComputable:
                return None
            starts |= {_start(value, table.double())}
        if len(starts) == 1 and (start := starts.pop()) is not None:
            return _positions(bench, source, total, table, start)
    return None


def _start(value: Tensor, table: Tensor) -> int | None:
    """The row of a table at which consecutive rows equal to a value begin."""
    if value.ndim == 3 and bool((value == value[0]).all()):
        value = value[0]
    if value.ndim != 2:
        return None
    for start in range(len(table) - len(value) + 1):
        if bool((table[start : start + len(value)] == value).all()):
            return start
    return None
