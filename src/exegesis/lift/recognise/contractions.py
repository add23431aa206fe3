"""Products of two computed values, whatever they are written with, as one einsum."""

from __future__ import annotations

from dataclasses import dataclass

from exegesis.lift.bench import Bench, Cell, Ref


@dataclass(frozen=True)
class Contraction:
    """`a`, `b`: the cells; `a_axes`, `b_axes`, `out_axes`: a letter for each of their axes."""

    a: str
    b: str
    a_axes: str
    b_axes: str
    out_axes: str

    def flipped(self) -> Contraction:
        """With the operands exchanged."""
        return Contraction(self.b, self.a, self.b_axes, self.a_axes, self.out_axes)


def contraction(bench: Bench, cell: Cell) -> Contraction | None:
    """The einsum that a cell is, where it multiplies two values and neither is fixed."""
    if cell.name == "einsum":
        return _from_einsum(bench, cell)
    if cell.name not in ("matmul", "bmm") or not all(isinstance(a, Ref) for a in cell.args[:2]):
        return None
    a, b = cell.args[0].id, cell.args[1].id
    if any(bench[i].op == "constant" for i in (a, b)):
        return None
    first, second = bench[a].shape or (), bench[b].shape or ()
    if len(first) != len(second) or len(first) < 3 or first[:-2] != second[:-2]:
        return None
    batch = "abcd"[: len(first) - 2]
    return Contraction(a, b, f"{batch}sx", f"{batch}xt", f"{batch}st")


def _from_einsum(bench: Bench, cell: Cell) -> Contraction | None:
    equation, operands = cell.args[0].replace(" ", ""), cell.args[1]
    if len(operands) != 2 or "." in equation or "->" not in equation:
        return None
    a, b = operands[0].id, operands[1].id
    if any(bench[i].op == "constant" for i in (a, b)):
        return None
    left, out = equation.split("->")
    first, second = left.split(",")
    if any(len(set(axes)) != len(axes) for axes in (first, second, out)):
        return None
    return Contraction(a, b, first, second, out)
