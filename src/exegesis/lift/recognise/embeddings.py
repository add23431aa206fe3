"""Rows of a table looked up by ids."""

from __future__ import annotations

import torch

from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.recognise.matching import constant, source

MAKER = "lift.embeddings"


def recognise(bench: Bench) -> int:
    """Replaces `embedding(table, ids)` and `table[ids]` for every fixed table."""
    count = 0
    for cell in bench.cells():
        if cell.id not in bench or (found := _lookup(bench, cell)) is None:
            continue
        table, ids = found
        made = Cell(
            bench.fresh(cell.id),
            "component.embed",
            (Ref(ids.id),),
            shape=cell.shape,
            dtype=cell.dtype,
            tensors={"weight": table},
            reference=cell.reference,
            by=MAKER,
            out_of=(cell.id,),
        )
        bench.replace(cell.id, bench.add(made))
        count += 1
    bench.prune()
    return count


def _lookup(bench: Bench, cell: Cell) -> tuple[torch.Tensor, Cell] | None:
    if cell.name == "embedding":
        table, ids = constant(bench, cell.args[0]), source(bench, cell, 1)
    elif cell.name == "index" and len(cell.args[1]) == 1 and isinstance(cell.args[1][0], Ref):
        table, ids = constant(bench, cell.args[0]), bench[cell.args[1][0].id]
    else:
        return None
    if (
        table is None
        or table.ndim != 2
        or ids is None
        or ids.shape is None
        or ids.dtype in (torch.bool, None)
        or ids.op == "constant"
    ):
        return None
    counted = not bench.data(ids.id)  # a writer of the residual stream that depends on no input: see there
    return (table, ids) if cell.is_real and not counted else None
