"""Runs parts of the bench in float64: recognisers ask a part what it computes, instead of going by its look alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sympy
import torch
from torch import Tensor

from exegesis.lift.bench import Bench, Cell, Ref, Size, substituted

Sizes = Mapping[sympy.Symbol, int]


class NotComputable(Exception):
    """A part of the bench that cannot be run by itself."""


def promoted(value: Any) -> Any:
    """float64 in the place of any other floating precision, in a tensor or as a dtype."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.double()
    if isinstance(value, torch.dtype) and value.is_floating_point:
        return torch.float64
    return value


def resolved(size: Size, sizes: Sizes) -> int:
    """A size as a number. Raises NotComputable where a symbol has no value."""
    if isinstance(size, int):
        return size
    value = size.subs(dict(sizes))
    if not value.is_number:
        raise NotComputable(f"{size} has no value")
    return int(value)


def compute(cell: Cell, fetch: Any) -> Any:
    """The value of a tensor-level cell in float64. `fetch` gives the value of a `Ref`."""
    if cell.target is None:
        raise NotComputable(cell.op)

    def prepared(value: Any) -> Any:
        if isinstance(value, list):
            return [prepared(v) for v in value]
        return tuple(prepared(v) for v in value) if isinstance(value, tuple) else promoted(value)

    args = prepared(substituted(cell.args, fetch))
    kwargs = {k: prepared(substituted(v, fetch)) for k, v in cell.kwargs.items()}
    result = cell.target(*args, **kwargs)
    return promoted(result)


def evaluate(bench: Bench, targets: Iterable[str], given: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
    """Values of some cells in float64, given those of others: at least of every input whose values they depend on.

    Raises:
        NotComputable: a component, an input without a value, or sizes that do not fit.
    """
    wanted = list(targets)
    sizes_known = (c.id for c in bench.cells() if c.size is not None)
    needed = bench.upstream(wanted, stop={*given, *sizes_known})
    values: dict[str, Any] = {k: promoted(v) for k, v in given.items()}

    def fetch(ref: Ref) -> Any:
        cell = bench[ref.id]
        return resolved(cell.size, sizes) if cell.size is not None else values[ref.id]

    for cell in (c for c in bench.cells() if c.id in needed and c.id not in given):
        if cell.size is not None:
            continue
        if cell.value is not None:
            values[cell.id] = promoted(cell.value)
            continue
        if cell.op == "input":
            if any(u.id in needed and not u.reads_shape_only for u in bench.users(cell.id) if u.size is None):
                raise NotComputable(f"{cell.id} is not given")
            values[cell.id] = torch.zeros([resolved(s, sizes) for s in cell.shape or ()], dtype=cell.dtype)
            continue
        try:
            values[cell.id] = compute(cell, fetch)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise NotComputable(f"{cell.id}: {error}") from error
    return {t: fetch(Ref(t)) for t in wanted}
