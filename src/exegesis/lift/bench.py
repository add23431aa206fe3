"""The workbench: an exported graph that recognisers may change, cell by cell, until it is frozen into a program.

Cells are named by the values of the export they compute. Parts of the export that say nothing about the computation
are gone before the first recogniser looks: assertions, copies, dropout, casts between floating precisions, and
everything that depends on no input, which is folded.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import sympy
import torch
from torch import Tensor

Size: TypeAlias = int | sympy.Expr
Shape: TypeAlias = tuple[Size, ...]


_SHAPE_ONLY = ("new_ones", "new_zeros", "new_full", "new_empty", "ones_like", "zeros_like", "full_like", "empty_like")


@dataclass(frozen=True)
class Ref:
    """Stands for the value of a cell in the arguments of another."""

    id: str


@dataclass(frozen=True)
class Reference:
    """The value of the export that a cell must equal.

    Attributes:
        value: name of the export's node.
        order: the axes of the cell in the order in which the export's value has them; None where they agree.
        reshape: the cell's own shape where the export has some of its axes merged or missing; such a value has no site.
    """

    value: str
    order: tuple[int, ...] | None = None
    reshape: bool = False


@dataclass
class Cell:
    """One value on the workbench.

    Attributes:
        id: its name; the name of the export's node where it came from there.
        op: `input`, `constant`, an op of the component level, or the rest of a tensor-level op (`aten.view.default`).
        args, kwargs: as in the export, with `Ref` for other cells.
        target: what computes a tensor-level cell.
        shape, dtype: of a tensor; None for sizes and tuples.
        size: the expression that a cell of kind size stands for.
        value: of a constant, in its own precision; folded ones are float64.
        attrs, tensors: of a component.
        reference: what it must equal.
        rank: where in the export it stands: that of the cell whose place it took.
        role: what a recogniser knows about its place, for naming: (part, which attention).
        by, out_of: which recogniser made it out of which cells.
    """

    id: str
    op: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    target: Callable[..., Any] | None = None
    shape: Shape | None = None
    dtype: torch.dtype | None = None
    size: Size | None = None
    value: Tensor | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    reference: Reference | None = None
    rank: int = -1
    role: tuple[str, int] | None = None
    by: str = "lift.export"
    out_of: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Ids of the cells it reads, each once, in order."""
        return tuple(dict.fromkeys(r.id for r in refs((self.args, tuple(self.kwargs.values())))))

    @property
    def name(self) -> str:
        """The bare name of its operator: `view` for `aten.view.default`."""
        parts = self.op.split(".")
        return parts[1] if len(parts) > 1 else parts[0]

    @property
    def is_component(self) -> bool:
        """Whether it is at component level."""
        return self.op.startswith("component.")

    @property
    def reads_shape_only(self) -> bool:
        """Whether it depends on the size of its input, not on what is in it."""
        return self.op == "component.arange" or self.name in _SHAPE_ONLY

    @property
    def is_real(self) -> bool:
        """Whether it is a tensor of real numbers."""
        return self.dtype is not None and self.dtype.is_floating_point

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by position or keyword."""
        return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)


def refs(value: Any) -> Iterator[Ref]:
    """All references in nested arguments, in order."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs(item)


def substituted(value: Any, of: Callable[[Ref], Any]) -> Any:
    """Nested arguments with every reference replaced."""
    if isinstance(value, Ref):
        return of(value)
    if isinstance(value, list | tuple):
        return (
            tuple(substituted(v, of) for v in value)
            if isinstance(value, tuple)
            else [substituted(v, of) for v in value]
        )
    return value


class Bench:
    """Cells by id, who reads whom, and the one output."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._users: dict[str, dict[str, None]] = {}
        self._order: list[str] | None = None
        self._fresh = 0
        self.output = ""
        self.assumptions: dict[str, None] = {}
        self.cuts: dict[str, tuple[str, int]] = {}  # values that must be seen by themselves, with the role they have
        self.keep: set[str] = set()  # cells between recognised parts that no later recogniser may touch

    def __getitem__(self, cell_id: str) -> Cell:
        return self._cells[cell_id]

    def __contains__(self, cell_id: object) -> bool:
        return cell_id in self._cells

    def __len__(self) -> int:
        return len(self._cells)

    def cells(self) -> list[Cell]:
        """All cells, each after what it reads."""
        if self._order is None:
            self._order = self._sorted()
        return [self._cells[i] for i in self._order]

    def positions(self) -> dict[str, int]:
        """Each cell's place in `cells`."""
        return {c.id: i for i, c in enumerate(self.cells())}

    @property
    def inputs(self) -> list[Cell]:
        """The cells a caller supplies."""
        return [c for c in self._cells.values() if c.op == "input"]

    def users(self, cell_id: str) -> list[Cell]:
        """Cells that read a cell."""
        return [self._cells[u] for u in self._users.get(cell_id, {})]

    def sole_user(self, cell_id: str) -> Cell | None:
        """The one cell that reads a cell, or None; the output counts as a reader."""
        users = self.users(cell_id)
        return users[0] if len(users) == 1 and cell_id != self.output else None

    def fresh(self, stem: str) -> str:
        """An id that is never given twice."""
        self._fresh += 1
        return f"{stem.split('~')[0]}~{self._fresh}"

    def add(self, cell: Cell) -> str:
        """Puts a cell on the bench; returns its id."""
        if cell.id in self._cells:
            raise KeyError(cell.id)
        if cell.rank < 0:
            taken = [self._cells[i].rank for i in cell.out_of if i in self._cells]
            cell.rank = max(taken, default=len(self._cells))
        self._cells[cell.id] = cell
        for source in cell.inputs:
            self._users.setdefault(source, {})[cell.id] = None
        self._order = None
        return cell.id

    def twin(self, cell: Cell) -> Ref | None:
        """The cell that computes the same from the same, where there is one already."""
        source = next(iter(cell.inputs), None)
        if (
            source is None
            or cell.target is None
            or torch.Tag.nondeterministic_seeded in getattr(cell.target, "tags", ())
        ):
            return None
        same = (u for u in self.users(source) if (u.op, u.args, u.kwargs) == (cell.op, cell.args, cell.kwargs))
        return next((Ref(u.id) for u in same if u.op != "constant"), None)

    def replace(self, old: str, new: str, except_for: Iterable[str] = ()) -> None:
        """Makes every reader of `old` read `new` instead, but for `new` itself and the cells named."""
        kept = {new, *except_for}
        for user in self.users(old):
            if user.id in kept:
                continue
            swap = lambda r: Ref(new) if r.id == old else r  # noqa: E731
            user.args = substituted(user.args, swap)
            user.kwargs = {k: substituted(v, swap) for k, v in user.kwargs.items()}
            del self._users[old][user.id]
            self._users.setdefault(new, {})[user.id] = None
        if self.output == old:
            self.output = new
        self._order = None

    def compute_instead(
        self, cell: Cell, name: str, target: Callable[..., Any], args: tuple[Any, ...], by: str
    ) -> None:
        """Puts what a tensor-level operation computes from other cells in the place of a cell of the same value."""
        made = Cell(
            self.fresh(name),
            str(target),
            args,
            target=target,
            shape=cell.shape,
            dtype=cell.dtype,
            reference=cell.reference,
            by=by,
            out_of=(cell.id,),
            rank=cell.rank,
        )
        self.replace(cell.id, self.add(made))

    def prune(self) -> None:
        """Drops what the output does not need; inputs stay."""
        alive = self.upstream([self.output]) | {c.id for c in self.inputs}
        for cell_id in [i for i in self._cells if i not in alive]:
            for source in self._cells[cell_id].inputs:
                self._users.get(source, {}).pop(cell_id, None)
        self._cells = {i: c for i, c in self._cells.items() if i in alive}
        self._users = {i: u for i, u in self._users.items() if i in alive}
        self._order = None

    def upstream(self, targets: Sequence[str], stop: Iterable[str] = ()) -> set[str]:
        """Ids of what the targets depend on, themselves included; nothing beyond `stop`."""
        ends, seen, stack = set(stop), set[str](), list(targets)
        while stack:
            current = stack.pop()
            if current not in seen:
                seen.add(current)
                if current not in ends:
                    stack.extend(self._cells[current].inputs)
        return seen

    def data(self, cell_id: str) -> frozenset[str]:
        """Ids of the inputs whose *values* a cell depends on (their sizes do not count)."""
        found, seen, stack = set[str](), set[str](), [cell_id]
        while stack:
            current = stack.pop()
            cell = self._cells[current]
            if current in seen or cell.size is not None:
                continue
            seen.add(current)
            if cell.op == "input":
                found.add(current)
            elif not cell.reads_shape_only:
                stack.extend(cell.inputs)
        return frozenset(found)

    def _sorted(self) -> list[str]:
        """Topological order; of the cells that are ready, the one with the lowest rank comes first."""
        waiting = {i: len(c.inputs) for i, c in self._cells.items()}
        ready = [(c.rank, n, c.id) for n, c in enumerate(self._cells.values()) if not waiting[c.id]]
        number = {i: n for n, i in enumerate(self._cells)}
        heapq.heapify(ready)
        order: list[str] = []
        while ready:
            current = heapq.heappop(ready)[2]
            order.append(current)
            for user in self._users.get(current, {}):
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, (self._cells[user].rank, number[user], user))
        return order
