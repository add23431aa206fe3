"""Products with weights: linear layers, projections to heads and back, however written, split, fused or reshaped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from exegesis.lift.affine import RowMap, Stretch, is_looked_at, read_map, stretch_to
from exegesis.lift.bench import Bench, Cell, Ref, Reference, Shape
from exegesis.lift.recognise.matching import like

MAKER = "lift.projections"


def recognise(bench: Bench) -> int:
    """Replaces every affine stretch with one product that ends at a value that something looks at."""
    count = 0
    for cell in reversed(bench.cells()):  # what a later map reads from is looked at then
        if cell.id not in bench or cell.shape is None or cell.target is None or not is_looked_at(bench, cell.id):
            continue
        stretch = stretch_to(bench, cell.id)
        if stretch is None or stretch.weight is None:
            continue
        count += any(_replace(bench, part) for part in _parts(bench, stretch))
    bench.prune()
    _order_heads(bench)
    return count


def _order_heads(bench: Bench) -> None:
    """Queries, keys and values of an attention are listed in this order, whichever the network computes first."""
    attentions: dict[int, list[Cell]] = {}
    for cell in bench.cells():
        if cell.op == "component.heads" and cell.role is not None:
            attentions.setdefault(cell.role[1], []).append(cell)
    for cells in attentions.values():
        ranks = sorted(c.rank for c in cells)
        for cell, rank in zip(sorted(cells, key=lambda c: "qkv".index(c.role[0]) if c.role else 0), ranks, strict=True):
            cell.rank = rank


def _parts(bench: Bench, stretch: Stretch) -> Iterator[Stretch]:
    """The stretch, then shorter ones with its product: layouts at either end may do more than map rows."""
    weight = stretch.weight or 0
    roots = (stretch.root, *stretch.cells)
    for stop in range(len(stretch.cells), weight, -1):
        for start in range(weight + 1):
            part = Stretch(roots[start], stretch.cells[start:stop], weight - start)
            if bench[part.root].shape is not None and bench[part.end].shape is not None:
                yield part


def _replace(bench: Bench, stretch: Stretch) -> bool:
    root, end = bench[stretch.root], bench[stretch.end]
    before, after = root.shape or (), end.shape or ()
    if root.op == "component.mix" and len(before) == 4 and len(after) == 3:
        return (found := read_map(bench, stretch, (0, 2), (0, 1))) is not None and _write(bench, stretch, found)
    role = bench.cuts.get(stretch.end)
    if role is not None and len(before) == 3 and len(after) == 4:
        for heads in ((0, 2), (0, 1)):
            found = read_map(bench, stretch, (0, 1), heads)
            if found is not None:
                return _heads(bench, stretch, found, heads, role)
        return False
    if len(before) != len(after) or len(before) < 2:
        return False
    rows = tuple(range(len(before) - 1))
    return (found := read_map(bench, stretch, rows, rows)) is not None and _linear(bench, stretch, found)


def _made(bench: Bench, stretch: Stretch, op: str, shape: Shape, **rest: Any) -> Cell:
    end = bench[stretch.end]
    return Cell(
        bench.fresh(end.id.split("~")[0]),
        f"component.{op}",
        (Ref(stretch.root),),
        shape=shape,
        dtype=end.dtype,
        by=MAKER,
        out_of=stretch.cells,
        **rest,
    )


def _linear(bench: Bench, stretch: Stretch, found: RowMap) -> bool:
    end = bench[stretch.end]
    tensors = {"weight": found.weight} | ({"bias": found.bias} if _adds(bench, stretch) else {})
    bench.replace(
        end.id, bench.add(_made(bench, stretch, "linear", end.shape or (), tensors=tensors, reference=end.reference))
    )
    return True


def _adds(bench: Bench, stretch: Stretch) -> bool:
    """Whether something constant is added at all (it may happen to be zero)."""
    for cell_id in stretch.cells:
        cell = bench[cell_id]
        if cell.name in ("add", "sub", "rsub", "addmm") or (cell.name == "linear" and cell.arg(2, "bias") is not None):
            return True
    return False


def _heads(bench: Bench, stretch: Stretch, found: RowMap, rows: tuple[int, int], role: tuple[str, int]) -> bool:
    end = bench[stretch.end]
    shape = end.shape or ()
    head_axis = 1 if rows == (0, 2) else 2
    heads, width, length = shape[head_axis], shape[3], shape[rows[1]]
    if not isinstance(heads, int) or not isinstance(width, int):
        return False
    tensors = {"weight": found.weight.reshape(-1, heads, width).permute(1, 0, 2)}
    if _adds(bench, stretch):
        tensors["bias"] = found.bias.reshape(heads, width)
    reference = end.reference
    if head_axis == 2 and reference is not None:
        reference = (
            Reference(reference.value, (0, 2, 1, 3)) if reference.order is None and not reference.reshape else None
        )
    whole = (shape[0], heads, length, width)
    made = bench.add(_made(bench, stretch, "heads", whole, tensors=tensors, reference=reference, role=role))
    if head_axis == 2:
        target = torch.ops.aten.transpose.int
        back = Cell(
            bench.fresh(end.id.split("~")[0]),
            "aten.transpose.int",
            (Ref(made), 1, 2),
            target=target,
            shape=shape,
            dtype=end.dtype,
            by=MAKER,
        )
        made = bench.add(back)
    bench.replace(end.id, made)
    return True


def _write(bench: Bench, stretch: Stretch, found: RowMap) -> bool:
    """What heads write, and what is added on top as a writer of its own."""
    root, end = bench[stretch.root], bench[stretch.end]
    shape = root.shape or ()
    if not isinstance(shape[1], int) or not isinstance(shape[3], int):
        return False
    attention = root.role[1] if root.role else 0
    weight = found.weight.reshape(shape[1], shape[3], -1)
    added = _adds(bench, stretch)
    reference = _before_offset(bench, stretch) if added else end.reference
    made = _made(
        bench,
        stretch,
        "write",
        end.shape or (),
        tensors={"weight": weight},
        reference=reference,
        role=("out", attention),
    )
    current = bench.add(made)
    if added:
        bias = _made(
            bench, stretch, "constant", end.shape or (), tensors={"value": found.bias}, role=("bias", attention)
        )
        bias.args = (Ref(like(bench, end.shape or ()) or current),)
        both = _made(bench, stretch, "add", end.shape or (), reference=end.reference)
        both.args = (Ref(current), Ref(bench.add(bias)))
        current = bench.add(both)
    bench.replace(end.id, current)
    return True


def _before_offset(bench: Bench, stretch: Stretch) -> Reference | None:
    """The network's value before the constant is added, where there is one."""
    last = bench[stretch.end]
    before = bench[stretch.cells[-2]] if len(stretch.cells) > 1 else None
    return before.reference if before is not None and last.name == "add" and before.shape == last.shape else None
