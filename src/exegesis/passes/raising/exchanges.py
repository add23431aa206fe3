"""Exchanges on a bench: in some rows, variables of a program take the values that they have on another input, and the
network what it has at their sites.

This is how a readout learns what the network does off its natural inputs, where everything that heads gather hangs
together. The judge has its own means for the same question, and other inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Answers
from exegesis.ir import Graph, Level, Node, Site
from exegesis.measure import Bench
from exegesis.measure.bench import Observed
from exegesis.runtime import Executor
from exegesis.runtime.answers import read_answers

Values = dict[str, Tensor]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Variables at overlapping sites: they change hands together.

    Attributes:
        variables: node ids in the program.
        places: nodes of the network, each with the head in question (None: all of it).
    """

    variables: tuple[str, ...]
    places: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is exchanged in one batch.

    Attributes:
        source: [groups, b], the row from which each row takes a group's values.
        where: [groups, b, s], at which positions.
    """

    source: Tensor
    where: Tensor


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Values at scored positions, over all batches.

    Attributes:
        values: node id → [n, ...].
        answers: what the network says after the exchange, [n, ...].
    """

    values: Mapping[str, NDArray[np.generic]]
    answers: Answers


class Exchanges:
    """Exchanges of all variables that have sites, each group from a source of its own.

    Args:
        bench: the inputs; batches of a single row are left out.
        graph: the program, whose variables have sites.
        variables: which of its nodes may be exchanged.
        seed: draws sources and positions.
        rounds: how often each batch is drawn.
    """

    def __init__(self, bench: Bench, graph: Graph, variables: Sequence[str], *, seed: int, rounds: int = 1) -> None:
        self.bench = bench
        self.graph = graph
        self.groups = groups(graph, variables, bench.graph)
        rng = np.random.default_rng([seed, 1])
        self.plan: list[tuple[Observed, Drawn]] = []
        if self.groups:
            many = [seen for seen in bench.batches if len(seen.scored) > 1]
            self.plan = [(seen, _draw(rng, len(self.groups), seen)) for _ in range(rounds) for seen in many]
        self._answers: list[Answers] | None = None

    def __bool__(self) -> bool:
        return bool(self.plan)

    @property
    def answers(self) -> list[Answers]:
        """What the network says after each exchange, at scored positions."""
        if self._answers is None:
            run = Executor(self.bench.graph)
            out = self.bench.graph.outputs[0]
            self._answers = []
            for seen, drawn in self.plan:
                given = self._in_network(run, seen, drawn)
                value = run.run(seen.inputs, [out], given=given)[out]
                self._answers.append(read_answers(run, value.numpy(), seen.batch, self.bench.readout))
        return self._answers

    def observe(self, want: Sequence[str]) -> Exchanged:
        """Values of variables of the program after the exchanges, and what the network says there."""
        parts: dict[str, list[NDArray[np.generic]]] = {w: [] for w in want}
        run = Executor(self.graph)
        for seen, drawn in self.plan:
            got = run.run(seen.inputs, list(want), given=self._in_program(run, seen, drawn))
            for w in want:
                value = got[w].expand(*seen.scored.shape, *got[w].shape[2:])
                parts[w].append(value[seen.scored].numpy())
        return Exchanged({w: np.concatenate(p) for w, p in parts.items()}, np.concatenate(self.answers))

    def agreement(self, program: Graph) -> float:
        """Where an exchange changes what a program says: how often the network then says so too. 1 where none does.

        A program that says "none" (nothing was left to look at) predicts nothing.

        Args:
            program: the graph, or what is left of it, with answers as its output.
        """
        run = Executor(program)
        out, equal = program.outputs[0], self.bench.readout.equal
        changed = right = 0
        for (seen, drawn), network in zip(self.plan, self.answers, strict=True):
            given = self._in_program(run, seen, drawn)
            after, before = (
                read_answers(run, run.run(seen.inputs, [out], given=g)[out].numpy(), seen.batch, self.bench.readout)
                for g in (given, {})
            )
            other = ~equal(after, before) & _said(after)
            changed += int(other.sum())
            right += int((equal(after, network) & other).sum())
        return right / changed if changed else 1.0

    def _in_program(self, run: Executor, seen: Observed, drawn: Drawn) -> Values:
        """Exchanged variables, in the order of computation: one that comes later sees what changed before it."""
        of = {v: (g, None) for g, group in enumerate(self.groups) for v in group.variables if v in run.graph.by_id}
        return _exchanged(run, seen, drawn, {v: [at] for v, at in of.items()})

    def _in_network(self, run: Executor, seen: Observed, drawn: Drawn) -> Values:
        of: dict[str, list[tuple[int, int | None]]] = {}
        for g, group in enumerate(self.groups):
            for node, head in group.places:
                of.setdefault(node, []).append((g, head))
        return _exchanged(run, seen, drawn, of)


def groups(graph: Graph, variables: Sequence[str], network: Graph) -> tuple[Group, ...]:
    """Variables by where they live; those that live at no place of the network, and inputs, are left out."""
    found: list[Group] = []
    for variable in variables:
        if graph[variable].level is Level.INPUT:
            continue
        places = tuple(p for site in graph[variable].sites if (p := _place(site, network)) is not None)
        if not places:
            continue
        shared = [g for g in found if any(_overlap(a, b) for a in g.places for b in places)]
        merged = Group(
            (*(v for g in shared for v in g.variables), variable),
            tuple(dict.fromkeys([*(p for g in shared for p in g.places), *places])),
        )
        found = [*(g for g in found if g not in shared), merged]
    return tuple(found)


def _place(site: Site, network: Graph) -> tuple[str, int | None] | None:
    """The node of the network at a site, and which head of it. Subspaces and other parts of values are passed over."""
    if site.basis is not None or any(axis != "head" for axis, _ in site.index):
        return None
    head = dict(site.index).get("head")
    for node in network.nodes:
        if any(s.value == site.value and s.basis is None and not s.index for s in node.sites) and _is_stream(
            node, head
        ):
            return node.id, head
    return None


def _is_stream(node: Node, head: int | None) -> bool:
    """Whether a value has batch, positions, and heads where one is asked for."""
    return {"batch", "pos"} <= set(node.type.axes) and (head is None or "head" in node.type.axes)


def _overlap(a: tuple[str, int | None], b: tuple[str, int | None]) -> bool:
    return a[0] == b[0] and (a[1] is None or b[1] is None or a[1] == b[1])


def _said(answers: Answers) -> NDArray[np.bool_]:
    """Which answers are answers at all: no category that is none."""
    return answers >= 0 if answers.ndim == 1 and answers.dtype.kind in "iu" else np.ones(len(answers), bool)


def _draw(rng: np.random.Generator, groups: int, seen: Observed) -> Drawn:
    """A random choice of groups per row, one at least, each from another row; in whole or at half of the positions."""
    b, s = seen.scored.shape
    taken = rng.random((groups, b)) < 0.5
    taken[rng.integers(groups, size=b), np.arange(b)] = True
    source = (np.arange(b) + rng.integers(1, b, size=(groups, b))) % b
    whole = rng.random((groups, b, 1)) < 0.5
    where = taken[:, :, None] & (whole | (rng.random((groups, b, s)) < 0.5))
    return Drawn(torch.from_numpy(source), torch.from_numpy(where))


def _exchanged(
    run: Executor, seen: Observed, drawn: Drawn, of: Mapping[str, Sequence[tuple[int, int | None]]]
) -> Values:
    clean = run.run(seen.inputs, list(of))
    given: Values = {}
    for node in _in_order(run.graph, of):
        own = run.run(seen.inputs, [node.id], given=given)[node.id] if given else clean[node.id]
        for group, head in of[node.id]:
            other = clean[node.id].expand(len(seen.scored), *clean[node.id].shape[1:])[drawn.source[group]]
            own = torch.where(_along(node, own, drawn.where[group], head), other, own)
        given[node.id] = own
    return given


def _in_order(graph: Graph, of: Mapping[str, object]) -> Iterator[Node]:
    return (n for n in graph.nodes if n.id in of)


def _along(node: Node, value: Tensor, where: Tensor, head: int | None) -> Tensor:
    """Rows and positions [b, s], of one head or of all, along the axes of a value."""
    shape = [1] * value.ndim
    shape[node.type.axes.index("batch")], shape[node.type.axes.index("pos")] = where.shape
    mask = where.reshape(shape)
    if head is None:
        return mask
    axis = node.type.axes.index("head")
    only = torch.zeros(value.shape[axis], dtype=torch.bool)
    only[head] = True
    return mask & only.reshape([-1 if k == axis else 1 for k in range(value.ndim)])
