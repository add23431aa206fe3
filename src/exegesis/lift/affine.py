"""Which values are affine in which others, and the maps read off by running them on a basis.

Layouts, scalings, constant offsets and products with constant weights are affine whatever order they come in. A
stretch of such cells between two values that matter is therefore one affine map, and a map that acts on every row
alike is known once it has been run on a basis: no list of the ways in which people write projections is needed. What
is read off is compared with the stretch on random rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sympy
import torch
from torch import Tensor

from exegesis.lift.bench import Bench, Cell, Ref, Shape, refs
from exegesis.lift.evaluate import NotComputable, Sizes, evaluate, resolved

Kind = Literal["layout", "scale", "offset", "weight"]

LAYOUT = (
    "view", "reshape", "_unsafe_view", "transpose", "swapaxes", "permute", "movedim", "t", "mT", "numpy_T",
    "unsqueeze", "squeeze", "expand", "split", "split_with_sizes", "chunk", "slice", "select", "narrow", "unbind",
    "flatten", "unflatten", "getitem", "repeat", "repeat_interleave", "contiguous", "clone", "expand_as", "view_as",
)  # fmt: skip
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Step:
    """One affine cell: what it does to which other cell's value."""

    kind: Kind
    source: str


def step(bench: Bench, cell_id: str) -> Step | None:
    """How a cell is affine in one other, or None where it is not. Only tensor-level cells are."""
    cell = bench[cell_id]
    if cell.target is None or cell_id in bench.keep:
        return None
    moving = [
        r.id
        for r in refs((cell.args, tuple(cell.kwargs.values())))
        if bench[r.id].op != "constant" and bench[r.id].size is None
    ]
    if len(moving) != 1 or (bench[moving[0]].dtype is not None and not bench[moving[0]].is_real):
        return None
    source = moving[0]
    kind = _kind(bench, cell, source)
    return Step(kind, source) if kind else None


def _kind(bench: Bench, cell: Cell, source: str) -> Kind | None:
    first = cell.args[0] if cell.args else None
    is_first = isinstance(first, Ref) and first.id == source
    if cell.name in LAYOUT:
        return "layout" if is_first else None
    if cell.name in ("mul", "neg") or (cell.name == "div" and is_first and not cell.kwargs):
        return "scale"
    if cell.name in ("add", "sub", "rsub"):
        return "offset"
    if cell.name == "addmm":
        added = cell.args[0]
        return "weight" if not (isinstance(added, Ref) and added.id == source) and not cell.kwargs else None
    if cell.name in ("linear", "mm", "matmul", "bmm", "einsum", "mv"):
        return "weight" if not (cell.name == "linear" and not is_first) else None
    return None


def is_looked_at(bench: Bench, cell_id: str) -> bool:
    """Whether some reader of a value is not affine in it, so that the value matters by itself."""
    if cell_id == bench.output or cell_id in bench.cuts:
        return True
    return any(_looks(bench, u.id) for u in bench.users(cell_id))


def _looks(bench: Bench, user: str) -> bool:
    """Whether a reader is not affine, or scales a value for itself (the scaling of queries and keys is folded in)."""
    one = step(bench, user)
    return one is None or (one.kind == "scale" and not _leads_to_cut(bench, user))


def _leads_to_cut(bench: Bench, cell_id: str) -> bool:
    stack = [cell_id]
    while stack:
        current = stack.pop()
        if current in bench.cuts:
            return True
        stack += [u.id for u in bench.users(current) if (one := step(bench, u.id)) is not None and one.kind == "layout"]
    return False


@dataclass(frozen=True)
class Stretch:
    """Cells from a root (not part of it) to a value, in order, and where among them the product with weights stands."""

    root: str
    cells: tuple[str, ...]
    weight: int | None

    @property
    def end(self) -> str:
        """The value it computes."""
        return self.cells[-1]


def stretch_to(bench: Bench, cell_id: str) -> Stretch | None:
    """The longest stretch that ends at a value: one product with weights at most, and only layouts before it."""
    found: list[str] = []
    weight: int | None = None
    current = cell_id
    while (one := step(bench, current)) is not None:
        if found and is_looked_at(bench, current) and not _splits(bench, current):
            break
        if one.kind != "layout" and (weight is not None or (one.kind == "scale" and not _leads_to_cut(bench, current))):
            break
        if one.kind == "weight":
            weight = len(found)
        found.append(current)
        current = one.source
    if not found:
        return None
    cells = tuple(reversed(found))
    return Stretch(current, cells, None if weight is None else len(cells) - 1 - weight)


def _splits(bench: Bench, cell_id: str) -> bool:
    """A tuple of parts is never looked at by itself."""
    return bench[cell_id].shape is None


def symbols(*shapes: Shape) -> list[sympy.Symbol]:
    """The symbols of some shapes, in the order of their names."""
    found = {s for shape in shapes for size in shape if not isinstance(size, int) for s in size.free_symbols}
    return sorted(found, key=str)


def sample_sizes(bench: Bench, *values: int) -> Sizes:
    """Values for the symbols of the inputs in the order in which they occur; the last one for all that remain."""
    found: list[sympy.Symbol] = []
    for cell in bench.inputs:
        for size in cell.shape or ():
            found += [s for s in symbols((size,)) if s not in found]
    return {s: values[min(i, len(values) - 1)] for i, s in enumerate(found)}


@dataclass(frozen=True)
class RowMap:
    """What every row is mapped by: x @ weight + bias, features flattened. `weight` [in, out], `bias` [out], float64."""

    weight: Tensor
    bias: Tensor


def read_map(bench: Bench, stretch: Stretch, root_rows: Sequence[int], end_rows: Sequence[int]) -> RowMap | None:
    """The map of a stretch that acts on every row alike.

    Args:
        bench: the bench.
        stretch: the cells.
        root_rows: the axes of the root that count rows (the others are features).
        end_rows: the axes of the end that count the same rows.

    Returns:
        The map, or None where the stretch does not act on every row alike with these axes.
    """
    root, end = bench[stretch.root].shape, bench[stretch.end].shape
    if root is None or end is None or not _same_rows([root[i] for i in root_rows], [end[i] for i in end_rows]):
        return None
    try:
        width = math.prod(resolved(root[i], {}) for i in range(len(root)) if i not in root_rows)
        many = (
            sample_sizes(bench, min(width, 512), 3)
            if len(root_rows) == 1
            else sample_sizes(bench, 3, max(2, math.ceil(width / 3)))
        )
        basis = _Probe(bench, stretch, tuple(root_rows), tuple(end_rows), many)
        bias = basis.run(torch.zeros(1, width, dtype=torch.float64))[0]
        found = RowMap(basis.run(torch.eye(width, dtype=torch.float64)) - bias, bias)
        for sizes in (sample_sizes(bench, 2, 5), sample_sizes(bench, 3, 4)):
            probe = _Probe(bench, stretch, tuple(root_rows), tuple(end_rows), sizes)
            rows = torch.randn(probe.rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
            wanted = rows @ found.weight + found.bias
            if not torch.allclose(
                probe.run(rows), wanted, rtol=_TOLERANCE, atol=_TOLERANCE * float(1 + wanted.abs().max())
            ):
                return None
    except NotComputable:
        return None
    return found


def _same_rows(a: Sequence[object], b: Sequence[object]) -> bool:
    return len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True))


class _Probe:
    """A stretch as a function of rows [n, in] to rows [n, out], at given sizes."""

    def __init__(
        self, bench: Bench, stretch: Stretch, root_rows: tuple[int, ...], end_rows: tuple[int, ...], sizes: Sizes
    ) -> None:
        self._bench, self._stretch, self._sizes = bench, stretch, sizes
        shape = tuple(resolved(s, sizes) for s in bench[stretch.root].shape or ())
        features = tuple(i for i in range(len(shape)) if i not in root_rows)
        self._order = (*root_rows, *features)
        self._shape = tuple(shape[i] for i in self._order)
        self._end_rows = end_rows
        self.rows = math.prod(shape[i] for i in root_rows)

    def run(self, rows: Tensor) -> Tensor:
        """Rows through the stretch, as many at a time as the sizes hold; missing ones are zero."""
        parts = []
        for start in range(0, len(rows), self.rows):
            chunk = rows[start : start + self.rows]
            padded = torch.cat([chunk, chunk.new_zeros(self.rows - len(chunk), chunk.shape[1])])
            parts.append(self._whole(padded)[: len(chunk)])
        return torch.cat(parts)

    def _whole(self, rows: Tensor) -> Tensor:
        inverse = [self._order.index(i) for i in range(len(self._order))]
        x = rows.reshape(self._shape).permute(inverse)
        end = self._stretch.end
        y: Tensor = evaluate(self._bench, [end], {self._stretch.root: x}, self._sizes)[end]
        features = tuple(i for i in range(y.ndim) if i not in self._end_rows)
        y = y.permute(*self._end_rows, *features).flatten(0, len(self._end_rows) - 1)
        if len(y) != self.rows:
            raise NotComputable("rows are lost")
        return y.reshape(self.rows, -1)
