"""Interchange on all pairs: a variable of a program and a part of a value of the network are exchanged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int

from exegesis.ir import Graph, Node
from exegesis.measure.pairs import Pairs
from exegesis.runtime import Executor

Rows: TypeAlias = Int[np.ndarray, " r"]
Basis: TypeAlias = Float[np.ndarray, "k width"]
Answers: TypeAlias = Int[np.ndarray, " r"]


@dataclass(frozen=True)
class Exchange:
    """How often the network does what the program says when a variable is exchanged.

    Attributes:
        accuracy: over exchanges that change the program's answer (over all, where none does).
        null: the same with random subspaces of the same dimension; 0 where a variable fills all of its places.
        changed: how many exchanges change the program's answer.
    """

    accuracy: float
    null: float
    changed: int


@dataclass(frozen=True, eq=False)
class Drawn:
    """Which pairs are exchanged with which: rows of `Pairs`, [r] each."""

    base: Rows
    source: Rows

    @classmethod
    def of(cls, pairs: Pairs, count: int, seed: int) -> Drawn:
        """Random pairs, and others to take values from."""
        rng = np.random.default_rng(seed)
        base = rng.integers(len(pairs.ids), size=count)
        return cls(base, (base + rng.integers(1, len(pairs.ids), size=count)) % len(pairs.ids))


class Program:
    """A program over the same inputs as the network, whose answer is a category.

    Args:
        graph: the program.
        pairs: the network.
    """

    def __init__(self, graph: Graph, pairs: Pairs) -> None:
        self.graph = graph
        self.pairs = pairs
        self.run = Executor(graph)

    def answers(self, rows: Rows, given: Mapping[str, torch.Tensor] | None = None) -> Answers:
        """What it says of some pairs, with values put in place of its own."""
        out, tokens = self.graph.outputs[0], self.graph.inputs[0].id
        ids = self.pairs.ids[torch.from_numpy(rows)]
        said: Answers = self.run.run({tokens: ids}, [out], given=given)[out][:, self.pairs.at].numpy()
        return said

    def value(self, node: str, rows: Rows) -> torch.Tensor:
        """A variable's value."""
        tokens = self.graph.inputs[0].id
        found: torch.Tensor = self.run.run({tokens: self.pairs.ids[torch.from_numpy(rows)]}, [node])[node]
        return found


@dataclass(frozen=True, eq=False)
class Part:
    """A subspace of a node of the network.

    Attributes:
        node: the node.
        basis: orthonormal rows that span the subspace of its last axis.
    """

    node: Node
    basis: Basis


def exchange(
    program: Program, variables: Sequence[str], parts: Sequence[Part], drawn: Drawn, *, place: int | None, seed: int
) -> Exchange:
    """Exchanges variables of the program together with parts of the network.

    Args:
        program: the program.
        variables: their nodes.
        parts: where they live, all of it together.
        drawn: which pairs.
        place: the position at which all are exchanged; None: at every one.
        seed: draws the subspaces of the null.
    """
    pairs = program.pairs
    before = program.answers(drawn.base)
    held = {v: (program.value(v, drawn.base), program.value(v, drawn.source)) for v in variables}
    said = program.answers(drawn.base, {v: _mixed(*both, None, place) for v, both in held.items()})
    changed = said != before
    counted = changed if changed.any() else np.ones_like(changed)
    values = [(pairs.whole(p.node.id, drawn.base), pairs.whole(p.node.id, drawn.source)) for p in parts]

    def accuracy(bases: Sequence[Basis]) -> float:
        given = {p.node.id: _mixed(*both, rows, place) for p, both, rows in zip(parts, values, bases, strict=True)}
        network = np.array(pairs.outputs)[pairs.logits_given(drawn.base, given).argmax(1)]
        return float((network == said)[counted].mean())

    rng = np.random.default_rng(seed)
    random = [np.linalg.qr(rng.normal(size=p.basis.shape[::-1]))[0].T for p in parts]
    whole = all(p.basis.shape[0] == p.basis.shape[1] for p in parts)
    null = 0.0 if whole else accuracy(random)
    return Exchange(accuracy([p.basis for p in parts]), null, int(changed.sum()))


def _mixed(own: torch.Tensor, other: torch.Tensor, basis: Basis | None, place: int | None) -> torch.Tensor:
    """A value with another run's in its place, in a subspace, at a position."""
    change = other - own
    if basis is not None:
        rows = torch.from_numpy(np.asarray(basis, np.float64)).to(own)
        change = change @ rows.T @ rows
    if place is not None and own.ndim == 3:
        where = torch.zeros(own.shape[1], dtype=torch.bool)
        where[place] = True
        change = change * where[:, None]
    return own + change
