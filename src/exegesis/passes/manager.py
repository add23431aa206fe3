"""The pass manager: runs an ordered list of passes, checks the language after each, and holds each to its guarantee."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np

from exegesis.behavior import Domain, Readout, SequenceSplit
from exegesis.ir import ExegesisError, Graph, GraphError, InputError, Node, check
from exegesis.measure import Bench


class PassError(ExegesisError):
    """A pass broke the language or its own guarantee; the sentence names it and those that ran before."""


class Guarantee(Enum):
    """What a pass promises about the answers of the program it returns."""

    EXACT = "exact"
    STATISTICAL = "statistical"


@dataclass(frozen=True)
class Setting:
    """What every pass may look at.

    Attributes:
        fit: inputs to fit on, with the network's answers.
        held: other inputs, to accept on.
        readout: how outputs are read.
        seed: for whatever has to be sampled.
        domain: where inputs come from, where that is known.
        network: the lifted network, for passes that ask what it has inside.
        rows: all rows that the benches were drawn from, where they are sequences.
    """

    fit: Bench
    held: Bench
    readout: Readout
    seed: int
    domain: Domain | None = None
    network: Graph | None = None
    rows: SequenceSplit | None = None


@dataclass(frozen=True)
class Attempt:
    """One thing a pass tried: on what, what became of it, and the figures that decided."""

    where: str
    outcome: str
    applied: bool
    figures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a pass returns: the graph, and everything it tried."""

    graph: Graph
    attempts: tuple[Attempt, ...] = ()


@runtime_checkable
class Pass(Protocol):
    """A pass: a frozen config that turns one graph into another."""

    @property
    def name(self) -> str:
        """verb_object."""

    @property
    def stage(self) -> str:
        """canonicalise, prune, raise, group or name."""

    @property
    def guarantee(self) -> Guarantee:
        """What is promised; the manager checks it."""

    def requires(self, graph: Graph) -> str | None:
        """Why the pass cannot run on this graph, or None."""

    def ensures(self, graph: Graph) -> str | None:
        """What is wrong with the graph it returned, or None."""

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """Does it."""


@dataclass(frozen=True)
class Record:
    """What one pass did.

    Attributes:
        name, stage, guarantee: of the pass.
        attempts: what it tried.
        skipped: why it did not run, or None.
        before, after: share of held-out answers that agree with the network.
        nodes_before, nodes_after: size of the graph.
        seconds: wall time.
    """

    name: str
    stage: str
    guarantee: str
    attempts: tuple[Attempt, ...]
    skipped: str | None
    before: float
    after: float
    nodes_before: int
    nodes_after: int
    seconds: float

    @property
    def applied(self) -> int:
        """How many attempts changed the program."""
        return sum(a.applied for a in self.attempts)


@dataclass
class Manager:
    """Runs passes one by one.

    Attributes:
        setting: the bench.
        floor: a statistical pass must leave at least this share of held-out answers as the network gives them; one
        that does not is undone.
        exact: an exact pass may move no output by more than this, relative to the largest.
        records: what has run.
    """

    setting: Setting
    floor: float = 0.99
    exact: float = 1e-4
    records: list[Record] = field(default_factory=list)
    _measured: tuple[Graph, float] | None = None

    def run(self, graph: Graph, step: Pass) -> Graph:
        """Runs one pass, and returns its graph, or the old one where it could not run or did not keep its promise.

        Raises:
            PassError: the graph it returned breaks the specification or what the pass ensures.
        """
        start, before = time.perf_counter(), self._agreement(graph)
        reason = step.requires(graph)
        if reason is not None:
            self._note(step, Outcome(graph), graph, reason, before, before, start)
            return graph
        try:
            outcome = step.run(graph, self.setting)
            changed = graph if outcome.graph is graph else _credit(graph, outcome.graph, step.name)
            check(changed)
            if wrong := step.ensures(changed):
                raise PassError(f"Pass {step.name} does not ensure what it promises ({self._history()}): {wrong}")
            after = self._agreement(changed)
        except (GraphError, InputError) as error:
            raise PassError(f"Pass {step.name} broke the language ({self._history()}): {error}") from error
        broken = self._broken(graph, changed, step, before, after)
        if broken:
            undone = tuple(replace(a, applied=False) for a in outcome.attempts)
            self._note(step, Outcome(graph, undone), graph, f"undone: {broken}", before, before, start)
            return graph
        self._note(step, replace(outcome, graph=changed), graph, None, before, after, start)
        return changed

    def _broken(self, old: Graph, new: Graph, step: Pass, before: float, after: float) -> str | None:
        if step.guarantee is Guarantee.STATISTICAL:
            floor = min(self.floor, before)
            return (
                f"only {after:.4f} of the held-out answers survived, {floor:.4f} are needed" if after < floor else None
            )
        if new is old:
            return None
        worst = largest_difference(old, new, self.setting.fit)
        return None if worst <= self.exact else f"outputs moved by {worst:.2e}, more than {self.exact:.0e}"

    def carry_on(self, graph: Graph) -> None:
        """Takes a graph for the one that the last pass left: it went through a file, and what is known holds of it."""
        if self.records:
            self._measured = (graph, self.records[-1].after)

    def _agreement(self, graph: Graph) -> float:
        """Agreement on held-out inputs; that of the graph the last pass left is known."""
        if self._measured is None or self._measured[0] is not graph:
            self._measured = (graph, self.setting.held.agreement(graph))
        return self._measured[1]

    def _history(self) -> str:
        done = [r.name for r in self.records]
        return f"after {', '.join(done)}" if done else "first of all"

    def _note(
        self, step: Pass, outcome: Outcome, old: Graph, skipped: str | None, before: float, after: float, start: float
    ) -> None:
        self.records.append(
            Record(
                step.name,
                step.stage,
                step.guarantee.value,
                outcome.attempts,
                skipped,
                before,
                after,
                len(old.nodes),
                len(outcome.graph.nodes),
                time.perf_counter() - start,
            )
        )


def largest_difference(old: Graph, new: Graph, bench: Bench) -> float:
    """The largest change of any output at a scored position, relative to the largest output."""
    a = np.asarray(bench.at_scored(old, [old.outputs[0]])[old.outputs[0]], np.float64)
    b = np.asarray(bench.at_scored(new, [new.outputs[0]])[new.outputs[0]], np.float64)
    return float(np.abs(a - b).max() / max(float(np.abs(a).max()), 1e-12))


def _credit(old: Graph, new: Graph, name: str) -> Graph:
    """Every node that is new, or computes something else, says which pass made it. A name changes nothing of that."""
    before = old.by_id
    changed = {n.id for n in new.nodes if not _is_as_before(before.get(n.id), n)}
    nodes = [replace(n, origin=replace(n.origin, by=name)) if n.id in changed else n for n in new.nodes]
    return replace(new, nodes=tuple(nodes))


def _is_as_before(old: Node | None, new: Node) -> bool:
    return old is not None and replace(new, name=old.name, doc=old.doc, sites=old.sites) == old
