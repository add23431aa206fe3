"""Rows of a table looked up by ids, and the ids 0, 1, 2 … where a network counts positions itself."""

from __future__ import annotations

import torch

from exegesis.lift.affine import sample_sizes
from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.evaluate import NotComputable, evaluate
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
            (Ref(_ids(bench, ids)),),
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
    counted = not bench.data(ids.id) and all(
        c.shape != ids.shape for c in bench.inputs
    )  # a writer of the residual stream: see there
    return (table, ids) if cell.is_real and not counted else None


def _ids(bench: Bench, ids: Cell) -> str:
    """The ids, or positions counted from a start."""
    tokens = next((c for c in bench.inputs if c.shape == ids.shape), None)
    if bench.data(ids.id) or tokens is None:
        return ids.id
    starts: set[int | None] = set()
    for shape in ((2, 5), (3, 4)):
        try:
            value = evaluate(bench, [ids.id], {}, sample_sizes(bench, *shape))[ids.id]
        except NotComputable:
            return ids.id
        start = int(value.flatten()[0])
        starts.add(start if bool((value == torch.arange(value.shape[-1]) + start).all()) else None)
    if len(starts) != 1 or (start := starts.pop()) is None:
        return ids.id
    attrs = {"start": start} if start else {}
    made = Cell(
        bench.fresh("arange"),
        "component.arange",
        (Ref(tokens.id),),
        shape=ids.shape,
        dtype=torch.int64,
        attrs=attrs,
        by=MAKER,
    )
    return bench.add(made)
