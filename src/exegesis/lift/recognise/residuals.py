"""Sums of what several parts write: residual streams, with biases and positions that are added to them as writers."""

from __future__ import annotations

import torch
from torch import Tensor

from exegesis.lift.affine import sample_sizes
from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.evaluate import NotComputable, evaluate
from exegesis.lift.recognise.matching import constant, like

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
    writers.sort(key=lambda w: bench[w].rank)  # in the order in which the network computes them
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
    """A value with the batch and position axes of a sum: an input, or one of the sum's own."""
    shape = total.shape or ()
    found = like(bench, shape)
    return found or next(a.id for a in total.args if isinstance(a, Ref) and bench[a.id].shape == shape)


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
        rank=total.rank if source.op == "constant" else source.rank,
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
        rank=total.rank if source.op == "constant" else source.rank,
    )
    return bench.add(made)


def _uniform(bench: Bench, source: Cell, total: Cell) -> str | None:
    """A value that is one vector at every position of every size it is asked at (the type of a segment, say)."""
    values = [_asked(bench, source, *shape) for shape in ((2, 5), (3, 4), (1, 64), (1, 512))]
    if values[0] is None or values[1] is None:  # longer sequences may be more than a table has rows for
        return None
    vector = values[0].reshape(-1, values[0].shape[-1])[0]
    same = all(bool((v == vector).all()) for v in values if v is not None)
    return _constant(bench, source, total, vector) if same else None


def _asked(bench: Bench, source: Cell, batch: int, length: int) -> Tensor | None:
    """A value that depends on no input, at some size."""
    try:
        value: Tensor = evaluate(bench, [source.id], {}, sample_sizes(bench, batch, length))[source.id]
    except NotComputable:
        return None
    return value


def _table(bench: Bench, source: Cell, total: Cell) -> str | None:
    """Consecutive rows of a fixed table: `table[:s]`, `embedding(table, arange(s) + start)`."""
    if source.shape is None or total.shape is None or len(total.shape) != 3 or source.shape[-2:] != total.shape[-2:]:
        return None
    tables = [bench[i].value for i in bench.upstream([source.id]) if bench[i].op == "constant" and bench[i].is_real]
    for table in (t for t in tables if t is not None and t.ndim == 2 and t.shape[1] == source.shape[-1]):
        start = _start(_asked(bench, source, 2, 5), table.double())
        whole = None if start is None else _asked(bench, source, 2, len(table) - start)
        if start is not None and _start(whole, table.double()) == start:
            return _positions(bench, source, total, table, start)
    return None


def _start(value: Tensor | None, table: Tensor) -> int | None:
    """The row of a table at which consecutive rows equal to a value begin."""
    if value is None or bool((value.reshape(-1, *value.shape[-2:]) != value.reshape(-1, *value.shape[-2:])[0]).any()):
        return None
    rows = value.reshape(-1, *value.shape[-2:])[0]
    for start in range(len(table) - len(rows) + 1):
        if bool((table[start : start + len(rows)] == rows).all()):
            return start
    return None
