"""The graph while its layers are raised one after the other, and what is known of every position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.ir import Array, Axis, Graph, Site, Type, price
from exegesis.measure import Bench
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt
from exegesis.passes.raising.columns import Column, Mask, Positions
from exegesis.passes.raising.head_view import SEQUENCE

Real = NDArray[np.floating]

TRUTH = Axis("truth", 2, ("False", "True"))


@dataclass(frozen=True, eq=False)
class Counting:
    """Positions that may count, and what tells the others.

    Attributes:
        mask: [n] which.
        variable: whose category tells the others apart; empty where there are none.
        aside: [n] that category; -1 where a position counts.
    """

    mask: Mask
    variable: str
    aside: NDArray[np.int64]

    def means(self, values: Real) -> dict[int, Real]:
        """Means of values [n, width] where positions do not count, by the category that tells."""
        return {int(k): values[self.aside == k].mean(0) for k in np.unique(self.aside[~self.mask])}


@dataclass
class Workbench:
    """What the raising of a layer works on.

    Attributes:
        graph: the program so far; its outputs after the first are the variables on offer.
        start: the program as it was.
        bench: inputs and the network's answers.
        known: columns of the variables.
        tokens, place: the input variable, and the one that holds the position itself.
        by: the pass, for provenance.
        seed: for whatever is sampled.
    """

    graph: Graph
    start: Graph
    bench: Bench
    known: Positions
    tokens: str
    place: str
    by: str
    seed: int
    attempts: list[Attempt] = field(default_factory=list)

    @classmethod
    def on(cls, graph: Graph, bench: Bench, by: str, seed: int) -> Workbench:
        """A workbench on which tokens and positions are known."""
        tokens = next(n.id for n in graph.inputs if n.op == "input.tokens")
        place = next((n.id for n in graph.inputs if n.op == "input.positions"), None)
        draft = Draft(replace(graph, axes={**graph.axes, "key": Axis("key")}), by)
        if place is None:
            place = draft.add("component.arange", [tokens], Type("int", SEQUENCE), hint="place")
        graph = draft.whole(outputs=(*graph.outputs, place))  # on offer while this lasts, so that it is not pruned
        made = cls(graph, graph, bench, Positions(bench), tokens, place, by, seed)
        for node in (tokens, place):
            made.known.learn(graph, node)
        return made

    @property
    def columns(self) -> list[Column]:
        """Everything that is known of the positions."""
        return self.known.columns

    def draft(self) -> Draft:
        """A draft over the graph as it is."""
        return Draft(self.graph, self.by)

    @cached_property
    def countings(self) -> tuple[Counting, ...]:
        """Which positions may count: all but those with a token that is never scored, all but places likewise; all."""
        found = []
        for column in (c for c in self.columns if c.node in (self.tokens, self.place)):
            values = column.values.astype(np.int64)
            never = ~np.isin(values, values[self.known.scored])
            if never.any():
                found.append(Counting(~never, column.node, np.where(never, values, -1)))
        return *found, Counting(np.ones(len(self.known), bool), "", np.full(len(self.known), -1))

    def keeps(self, node: str, given: Sequence[Tensor]) -> float:
        """Share of answers that stay as they are when values are put in a node's place, batch by batch."""
        return self.bench.agreement_given(self.graph, lambda k: {node: given[k]})

    def offer(self, node: str, classes: Sequence[int] = ()) -> None:
        """Puts a variable of the graph on offer, and learns its columns."""
        self.graph = replace(self.graph, outputs=tuple(dict.fromkeys((*self.graph.outputs, node))))
        self.known.learn(self.graph, node, classes)

    def locate(self, node: str, sites: Sequence[Site], tensors: Mapping[str, Array] | None = None) -> None:
        """Notes that a variable of the graph lives at these sites too."""
        old = self.graph[node]
        added = tuple(s for s in sites if s not in old.sites)
        nodes = [replace(n, sites=(*n.sites, *added)) if n.id == node else n for n in self.graph.nodes]
        self.graph = self.graph.with_nodes(nodes, tensors=tensors)

    def reaches(self, draft: Draft, selector: str, queries: NDArray[np.int64], places: Mask) -> bool:
        """Whether a drafted selector looks at some of these places from some of these positions."""
        asks = np.zeros(len(self.known), bool)
        asks[queries] = True
        marks = [
            (torch.from_numpy(a), torch.from_numpy(p))
            for a, p in zip(*map(self.known.batches, (asks, places)), strict=True)
        ]
        for (_, got), (ask, place) in zip(self.bench.each(draft.whole(), [selector]), marks, strict=True):
            if bool(((got[selector] > 0) & place[:, None, :] & ask[:, :, None]).any()):
                return True
        return False

    def cost(self, node: str) -> float:
        """The bits of the symbolic nodes that a variable is made of."""
        return cost_in(self.graph, node)

    def note(self, where: str, outcome: str, *, applied: bool, **figures: float) -> None:
        """Records what was tried."""
        self.attempts.append(Attempt(where, outcome, applied, tuple(figures.items())))


def cost_in(graph: Graph, node: str) -> float:
    """The bits of the symbolic nodes that a variable of a graph is made of."""
    return price(replace(graph, outputs=(node,)).pruned()).symbolic_bits


def class_axis(draft: Draft, column: Column) -> str:
    """The axis over the values of a column, declared where it does not exist yet."""
    if column.kind == "category" and column.axis is not None:
        return column.axis
    if column.kind == "bool":
        draft.axes["truth"] = TRUTH
        return "truth"
    size = int(column.values.max()) + 1
    name = f"number_{size}"
    draft.axes[name] = Axis(name, size)
    return name
