"""The variables of a program as quantities that a condition may speak of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exegesis.behavior import SequenceBatch
from exegesis.ir import Graph, Level, Node
from exegesis.measure.limits import Asked, Quantity
from exegesis.runtime import Executor
from exegesis.runtime.answers import batch_inputs

_TOKENS = 16384


def variables(program: Graph, asked: Asked) -> tuple[Quantity, ...]:
    """What each variable of a program holds at every scored position, and how many positions its selectors look at.

    The program's answer is left out: that it is wrong explains nothing.
    """
    run = Executor(program)
    named = [n for n in program.nodes if n.level is Level.SYMBOLIC and n.id not in program.outputs]
    named = [n for n in named if len(n.type.axes) == (3 if _looks(n) else 2) and _columns(program, n)]
    held = {n.id: [np.full(len(asked), np.nan) for _ in _columns(program, n)] for n in named}
    for at, batch in _batches(asked):
        values = run.run(batch_inputs(run, batch), [n.id for n in named])
        for node in named:
            for column, value in zip(held[node.id], _held(node, values[node.id], batch), strict=True):
                column[at] = value
    return tuple(
        _quantity(program, node, name, column)
        for node in named
        for name, column in zip(_columns(program, node), held[node.id], strict=True)
    )


def _quantity(program: Graph, node: Node, name: str, column: Float[np.ndarray, " n"]) -> Quantity:
    match node.type.kind:
        case "category":
            axis = program.axes.get(node.type.of or "")
            labels = (axis.labels if axis else None) or ()
            return Quantity(name, "category", np.where(column < 0, np.nan, column), labels)
        case "bool":
            return Quantity(name, "truth", column, denied=name.removesuffix("holds") + "does not hold")
        case _:
            return Quantity(name, "number", column)


def _looks(node: Node) -> bool:
    return node.type.kind == "selector"


def _columns(program: Graph, node: Node) -> tuple[str, ...]:
    """What the quantities made of a node are called."""
    if not _looks(node):
        name = f"the program's {_called(node)}"
        return (f"{name} holds" if node.type.kind == "bool" else name,)
    reader = next((u for u in program.users(node.id) if not _looks(u)), None)
    if reader is None:
        return ()
    looked = f"the program's {_called(reader)}"
    return (f"the number of positions that {looked} looks at", f"the distance at which {looked} looks")


def _called(node: Node) -> str:
    return (node.name or node.id).replace("_", " ")


def _held(node: Node, value: Tensor, batch: SequenceBatch) -> tuple[Float[np.ndarray, " k"], ...]:
    """The columns of a node at the scored positions of a batch."""
    rows, length = batch.scored.shape
    scored = torch.from_numpy(batch.scored)
    if not _looks(node):
        return (value.expand(rows, length)[scored].double().numpy(),)
    looked = (value > 0).expand(rows, length, length)
    count = looked.sum(-1)
    places = torch.arange(length)
    one = (looked * places).sum(-1)
    away = torch.where(count == 1, (places - one).abs().double(), torch.nan)
    return count[scored].double().numpy(), away[scored].numpy()


def _batches(asked: Asked) -> Iterator[tuple[np.ndarray, SequenceBatch]]:
    """The rows by length, with the places of their scored positions."""
    first = np.searchsorted(asked.row, np.arange(len(asked.ids) + 1))
    for length in np.unique(asked.lengths):
        every = np.flatnonzero(asked.lengths == length)
        step = max(1, _TOKENS // int(length))
        for start in range(0, len(every), step):
            rows = every[start : start + step]
            at = np.concatenate([np.arange(first[r], first[r + 1]) for r in rows])
            scored = np.zeros((len(rows), int(length)), np.bool_)
            local = np.repeat(np.arange(len(rows)), first[rows + 1] - first[rows])
            scored[local, asked.at[at]] = True
            positions = None if asked.positions is None else asked.positions[rows, :length]
            yield at, SequenceBatch(rows, asked.ids[rows, :length], positions, scored, at, None)
