"""Elementwise nonlinearities: torch's own, and formulas that compute the same function (asked on a grid of points)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from exegesis.lift.bench import Bench, Cell, Ref
from exegesis.lift.evaluate import NotComputable, evaluate
from exegesis.lift.recognise.matching import number, source

MAKER = "lift.activations"

_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
}
_ELEMENTWISE = (
    "add", "sub", "rsub", "mul", "div", "neg", "pow", "square", "sqrt", "exp", "log1p", "tanh", "sigmoid", "erf",
    "relu", "gelu", "silu", "clamp", "clamp_min", "maximum", "minimum", "where", "gt", "ge", "lt", "le", "abs",
    "reciprocal", "softplus", "elu", "leaky_relu", "_to_copy", "to", "type_as",
)  # fmt: skip
_TOLERANCE = 1e-9


def recognise(bench: Bench) -> int:
    """Replaces every formula that is a known function of one value, longest first, and torch's own functions."""
    count = 0
    bases = _bases(bench)
    for cell in reversed(bench.cells()):
        base = bases.get(cell.id)
        if cell.id in bench and base is not None and base != cell.id and (found := _formula(bench, cell, base, bases)):
            bench.replace(cell.id, bench.add(_activation(bench, cell, *found)))
            bench.prune()
            count += 1
    return count


def _bases(bench: Bench) -> dict[str, str]:
    """For each real cell the one value that it is an elementwise function of; else itself."""
    bases: dict[str, str] = {}
    for cell in bench.cells():
        if cell.op == "constant" or cell.shape is None:
            continue
        found = {bases[i] for i in cell.inputs if i in bases}
        elementwise = cell.name in _ELEMENTWISE and cell.target is not None and len(found) == 1
        fixed = all(_is_number(bench, i) for i in cell.inputs if i not in bases)
        base = next(iter(found)) if found else cell.id
        same = elementwise and fixed and cell.shape == bench[base].shape and bench[base].is_real
        bases[cell.id] = base if same else cell.id
    return bases


def _is_number(bench: Bench, cell_id: str) -> bool:
    cell = bench[cell_id]
    return cell.value is not None and cell.value.numel() == 1


def _formula(bench: Bench, cell: Cell, base: str, bases: Mapping[str, str]) -> tuple[str, str, float | None] | None:
    """What a cell is an activation of, its kind, and its slope."""
    if not cell.is_real:
        return None
    between = {i for i in bench.upstream([cell.id], stop=[base]) if bases.get(i) == base and i != base}
    if len(between) > 1:
        grid = torch.cat(
            [torch.linspace(-12, 12, 481, dtype=torch.float64), torch.tensor([-0.013, 1e-3], dtype=torch.float64)]
        )
        try:
            value = evaluate(bench, [cell.id], {base: grid}, {})[cell.id]
        except NotComputable:
            value = grid[:0]
        for kind, function in _FUNCTIONS.items():
            if value.shape == grid.shape and torch.allclose(value, function(grid), rtol=_TOLERANCE, atol=_TOLERANCE):
                return base, kind, None
    first, named = source(bench, cell, 0), _by_name(bench, cell)
    return (first.id, *named) if first is not None and named is not None else None


def _by_name(bench: Bench, cell: Cell) -> tuple[str, float | None] | None:
    """Torch's own functions."""
    match cell.name:
        case "relu" | "silu" | "tanh" | "sigmoid":
            return cell.name, None
        case "gelu":
            return ("gelu_tanh" if cell.kwargs.get("approximate") == "tanh" else "gelu"), None
        case "leaky_relu":
            return "leaky_relu", number(bench, cell.arg(1, "negative_slope", 0.01))
        case "elu" if len(cell.args) <= 2 and not cell.kwargs:
            return "elu", number(bench, cell.arg(1, "alpha", 1.0))
        case "softplus" if len(cell.args) == 1 and not cell.kwargs:
            return "softplus", None
        case "clamp_min" if number(bench, cell.args[1]) == 0:
            return "relu", None
    return None


def _activation(bench: Bench, cell: Cell, base: str, kind: str, slope: float | None) -> Cell:
    return Cell(
        bench.fresh(cell.id),
        "component.activation",
        (Ref(base),),
        shape=cell.shape,
        dtype=cell.dtype,
        attrs={"kind": kind} if slope is None else {"kind": kind, "slope": slope},
        reference=cell.reference,
        by=MAKER,
        out_of=(cell.id,),
    )
