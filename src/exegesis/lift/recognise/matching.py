"""Small questions that recognisers ask about cells."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from exegesis.lift.bench import Bench, Cell, Ref, Shape


def source(bench: Bench, cell: Cell, index: int) -> Cell | None:
    """The cell behind a positional argument, unless it is a constant, a number or absent."""
    if index >= len(cell.args) or not isinstance(cell.args[index], Ref):
        return None
    found = bench[cell.args[index].id]
    return None if found.op == "constant" or found.size is not None else found


def constant(bench: Bench, argument: Any) -> Tensor | None:
    """The tensor that an argument is, where it is fixed."""
    return bench[argument.id].value if isinstance(argument, Ref) else None


def number(bench: Bench, argument: Any) -> float | None:
    """The number that an argument is: a literal, or a fixed tensor with one entry."""
    if isinstance(argument, bool):
        return None
    if isinstance(argument, int | float):
        return float(argument)
    value = constant(bench, argument)
    return float(value) if value is not None and value.numel() == 1 and value.ndim == 0 else None


def other_operand(cell: Cell, than: str) -> Any:
    """The other of two operands."""
    first = cell.args[0]
    return cell.args[1] if isinstance(first, Ref) and first.id == than else first


def is_last_axis(axes: Any, rank: int) -> bool:
    """Whether an axis argument names the last axis alone."""
    if isinstance(axes, list | tuple):
        return len(axes) == 1 and is_last_axis(axes[0], rank)
    return isinstance(axes, int) and axes in (-1, rank - 1)


def like(bench: Bench, shape: Shape) -> str | None:
    """The input with the batch and position axes of a stream [b, s, d], where there is one."""
    return next((c.id for c in bench.inputs if c.shape and len(shape) == 3 and c.shape[:2] == shape[:2]), None)
