"""Values of attention in the axes of the language ([batch, head, position, …]), however the network lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch

from exegesis.lift.bench import Bench, Cell, Ref, Reference, Shape, Size


@dataclass(frozen=True)
class Layout:
    """How a value with axes (batch axes…, x, y) is laid out in the network.

    Attributes:
        order: for each axis of the network's value, which of the canonical axes before `heads` it is.
        heads: `given` where batch and head are two axes, `merged` where they are one, `absent` where one head has none.
        count: how many heads there are.
    """

    order: tuple[int, ...]
    heads: str
    count: int


def head_layout(axes: str, wanted: str, shape: Shape, batch: Size) -> Layout | None:
    """The layout of a value with these axes that should read as `wanted` (batch axes first, then two more)."""
    order = tuple(wanted.index(a) for a in axes)
    if len(wanted) == 4:
        count = shape[order.index(1)]
        return Layout(order, "given", count) if isinstance(count, int) else None
    if len(wanted) != 3:
        return None
    size = shape[order.index(0)]
    if size == batch:
        return Layout(order, "absent", 1)
    count = sympy.sympify(size) / batch
    return Layout(order, "merged", int(count)) if count.is_number and count.is_integer else None


def to_canonical(bench: Bench, cell_id: str, layout: Layout) -> str:
    """A cell [b, h, x, y] with the value of a cell in some layout."""
    current = _permuted(bench, cell_id, _inverse(layout.order))
    shape = bench[current].shape or ()
    cell = bench[cell_id]
    if layout.heads == "absent":
        current = _tensor(bench, current, torch.ops.aten.unsqueeze.default, (1,), (shape[0], 1, *shape[1:]))
    elif layout.heads == "merged":
        batch = sympy.sympify(shape[0]) / layout.count
        whole = (int(batch) if batch.is_number else batch, layout.count, *shape[1:])
        current = _tensor(bench, current, torch.ops.aten.unflatten.int, (0, [-1, layout.count]), whole)
    if current != cell_id:
        bench[current].reference = reference_to(cell, layout)
    return current


def from_canonical(bench: Bench, cell_id: str, layout: Layout) -> str:
    """A cell in some layout with the value of a cell [b, h, x, y]."""
    current, shape = cell_id, bench[cell_id].shape or ()
    if layout.heads == "absent":
        current = _tensor(bench, current, torch.ops.aten.squeeze.dim, (1,), (shape[0], *shape[2:]))
    elif layout.heads == "merged":
        current = _tensor(bench, current, torch.ops.aten.flatten.using_ints, (0, 1), (shape[0] * shape[1], *shape[2:]))
    return _permuted(bench, current, layout.order)


def reference_to(cell: Cell, layout: Layout) -> Reference | None:
    """How a canonical cell corresponds to the network's value of this one."""
    if cell.reference is None or cell.reference.order is not None or cell.reference.reshape:
        return None
    if layout.heads != "given":
        in_place = layout.order == tuple(range(len(layout.order)))
        return Reference(cell.reference.value, None, reshape=True) if in_place else None
    plain = layout.order == tuple(range(len(layout.order)))
    return Reference(cell.reference.value, None if plain else layout.order)


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    return tuple(list(order).index(i) for i in range(len(order)))


def _permuted(bench: Bench, cell_id: str, order: tuple[int, ...]) -> str:
    if order == tuple(range(len(order))):
        return cell_id
    shape = bench[cell_id].shape or ()
    return _tensor(bench, cell_id, torch.ops.aten.permute.default, (list(order),), tuple(shape[i] for i in order))


def _tensor(bench: Bench, source: str, target: Any, rest: tuple[Any, ...], shape: Shape) -> str:
    name = target._schema.name.split("::")[-1]
    cell = Cell(
        bench.fresh(source.split("~")[0]),
        f"aten.{name}.{target._overloadname}",
        (Ref(source), *rest),
        target=target,
        shape=shape,
        dtype=bench[source].dtype,
        by="lift.attention",
        out_of=(source,),
    )
    return bench.add(cell)
