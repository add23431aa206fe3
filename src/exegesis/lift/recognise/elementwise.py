"""What is left between recognised parts: scaling by a number, products of streams of neurons, picks, vectors joined."""

from __future__ import annotations

from typing import Any

from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.recognise.matching import number, source

MAKER = "lift.elementwise"


def recognise(bench: Bench) -> int:
    """Replaces scalings, gates, picks and joins of values that depend on the data."""
    count = 0
    for cell in bench.cells():
        if cell.id not in bench or cell.id in bench.keep or cell.target is None or cell.shape is None:
            continue
        if not bench.data(cell.id) - {"positions"}:
            continue
        made = _scaling(bench, cell) or _gate(bench, cell) or _pick(bench, cell) or _join(bench, cell)
        if made is not None:
            bench.replace(cell.id, bench.add(made))
            count += 1
    bench.prune()
    return count


def _made(bench: Bench, cell: Cell, inputs: tuple[Cell, ...], op: str, attrs: dict[str, Any]) -> Cell:
    return Cell(
        bench.fresh(cell.id),
        f"component.{op}",
        tuple(Ref(x.id) for x in inputs),
        shape=cell.shape,
        dtype=cell.dtype,
        attrs=attrs,
        reference=cell.reference,
        by=MAKER,
        out_of=(cell.id,),
    )


def _scaling(bench: Bench, cell: Cell) -> Cell | None:
    """a · x + b for numbers a and b; several in a row become one."""
    affine = _number_affine(bench, cell)
    if affine is None:
        return None
    x, by, plus = affine
    if x.op == "component.scale" and bench.sole_user(x.id) is cell:
        inner = x
        x, plus = bench[inner.args[0].id], plus + by * inner.attrs.get("plus", 0.0)
        by = by * inner.attrs["by"]
    if not x.is_real or x.shape != cell.shape:
        return None
    return _made(bench, cell, (x,), "scale", {"by": by} | ({"plus": plus} if plus else {}))


def _number_affine(bench: Bench, cell: Cell) -> tuple[Cell, float, float] | None:
    if cell.kwargs or len(cell.args) not in (1, 2):
        return None
    x = source(bench, cell, 0)
    if cell.name == "neg" and x is not None:
        return x, -1.0, 0.0
    if len(cell.args) != 2:
        return None
    other = number(bench, cell.args[1])
    if x is None and cell.name in ("mul", "add"):
        x, other = source(bench, cell, 1), number(bench, cell.args[0])
    if x is None or other is None:
        return None
    match cell.name:
        case "mul":
            return x, other, 0.0
        case "div" if other != 0:
            return x, 1.0 / other, 0.0
        case "add":
            return x, 1.0, other
        case "sub":
            return x, 1.0, -other
    return None


def _gate(bench: Bench, cell: Cell) -> Cell | None:
    """The product of two streams of neurons, one of which went through a nonlinearity."""
    a, b = source(bench, cell, 0), source(bench, cell, 1)
    if cell.name != "mul" or a is None or b is None or a.shape != b.shape:
        return None
    ends = {a.op, b.op}
    if "component.activation" not in ends or not ends <= {"component.activation", "component.linear"}:
        return None
    return _made(bench, cell, (a, b), "gate", {})


def _pick(bench: Bench, cell: Cell) -> Cell | None:
    x = source(bench, cell, 0)
    if cell.op != "aten.select.int" or x is None or x.shape is None or not isinstance(cell.args[2], int):
        return None
    axis = cell.args[1] % len(x.shape)
    return _made(bench, cell, (x,), "pick", {"axis": axis, "at": cell.args[2]}) if axis > 0 else None


def _join(bench: Bench, cell: Cell) -> Cell | None:
    """Vectors of an input one after another: those that a component gives, which have no other axis than the batch."""
    if cell.op != "aten.cat.default" or len(cell.shape or ()) != 2 or cell.arg(1, "dim", 0) not in (1, -1):
        return None
    parts = [bench[r.id] for r in cell.args[0]]
    if not all(p.is_real and p.is_component and p.shape and len(p.shape) == 2 for p in parts):
        return None
    return _made(bench, cell, tuple(parts), "join", {"axis": 1})
