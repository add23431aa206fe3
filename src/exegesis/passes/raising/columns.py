"""What is known of every position on the bench: one column of values per variable, laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.ir import Array, Graph
from exegesis.measure import Bench
from exegesis.passes.raising.clusters import Codes, codes_of

Mask = NDArray[np.bool_]
ColumnKind = Literal["category", "bool", "int", "real"]


@dataclass(frozen=True, eq=False)
class Column:
    """A variable of the program, or one class of it, at every position.

    Attributes:
        node: the variable.
        cls: which class, where it has a class axis.
        kind: `real` numbers, whole numbers (`int`), `bool`, or a `category`. A count is whole, though its node is real.
        values: [n].
        axis: the axis whose categories it holds.
    """

    node: str
    cls: int | None
    kind: ColumnKind
    values: Array
    axis: str | None = None

    @cached_property
    def codes(self) -> Codes:
        """The values as 0, 1, 2 … in their order."""
        return codes_of(self.values)

    @property
    def is_number(self) -> bool:
        """Whether one may compute with it."""
        return self.kind in ("int", "real")

    def at(self, where: Mask) -> Column:
        """The column where a mask holds."""
        return replace(self, values=self.values[where])


class Positions:
    """The positions of a bench, batch after batch, row after row, and the columns known of them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.shapes = [tuple(b.scored.shape) for b in bench.batches]
        self.scored: Mask = np.concatenate([b.scored.numpy().reshape(-1) for b in bench.batches])
        self.columns: list[Column] = []

    def __len__(self) -> int:
        return len(self.scored)

    def values(self, graph: Graph, nodes: Sequence[str]) -> dict[str, Array]:
        """Values of nodes whose first axes are batch and position: [n, …]."""
        parts: dict[str, list[Array]] = {n: [] for n in nodes}
        for seen, got in self.bench.each(graph, list(nodes)):
            for n in nodes:
                value = got[n].expand(*seen.scored.shape, *got[n].shape[2:])
                parts[n].append(value.reshape(-1, *value.shape[2:]).numpy())
        return {n: np.concatenate(p) for n, p in parts.items()}

    def learn(self, graph: Graph, node: str, classes: Iterable[int] = ()) -> list[Column]:
        """Adds the columns of a variable that is not known yet: of the given classes, where it has a class axis."""
        type, value = graph[node].type, self.values(graph, [node])[node]
        known = {(c.node, c.cls) for c in self.columns}
        if value.ndim == 2:
            whole = graph[node].op == "symbolic.count" and not np.mod(value, 1).any()
            kind: ColumnKind = "int" if whole else "real"
            made = [Column(node, c, kind, value[:, c].astype(np.int64 if whole else np.float64)) for c in classes]
        else:
            assert type.kind in ("category", "bool", "int", "real"), f"{node} is a {type.kind}, which is no variable"
            dtype = np.float64 if type.kind == "real" else np.int64
            made = [Column(node, None, type.kind, value.astype(dtype), type.of)]
        made = [c for c in made if (c.node, c.cls) not in known]
        self.columns += made
        return made

    def batches(self, values: Array) -> list[Array]:
        """Values [n, …] cut into the bench's batches: [b, s, …] each."""
        ends = np.cumsum([b * s for b, s in self.shapes])
        parts = np.split(values, ends[:-1])
        return [p.reshape(*shape, *values.shape[1:]) for p, shape in zip(parts, self.shapes, strict=True)]

    def tensors(self, values: NDArray[np.floating]) -> list[Tensor]:
        """Values [n, …] as one float32 tensor per batch: [b, s, …]."""
        return [torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in self.batches(values)]
