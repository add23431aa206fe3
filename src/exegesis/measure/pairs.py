"""A network on all pairs of two tokens: its logits, its values, and its answers when some value is exchanged.

For behaviours whose domain is a product in which two positions have a choice, of equally many tokens each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.behavior import Argmax, Domain, ProductDomain, Readout
from exegesis.ir import Graph, Node
from exegesis.ir.spec import axis_size
from exegesis.runtime import Executor

Rows: TypeAlias = Int[np.ndarray, " r"]
MOST_LOGITS = 2**24  # pairs times outputs that are held at once
_CHUNK = 4096  # pairs that are run at once


@dataclass(frozen=True)
class Carrier:
    """Where the vector of a token stands that is looked up for one of the two positions.

    Attributes:
        node: the node that looks it up.
        at: its index along the position axis; None where the node has no such axis.
    """

    node: str
    at: int | None


@dataclass(frozen=True, eq=False)
class Pairs:
    """A network whose input is two tokens of n each.

    Attributes:
        graph: the network.
        tokens: per chosen position its n token ids, in the domain's order.
        places: the two positions.
        at: the position whose output counts.
        outputs: the outputs that the answer is one of.
        ids: all inputs, [n·n, s], the second token turning fastest.
    """

    graph: Graph
    tokens: tuple[tuple[int, ...], tuple[int, ...]]
    places: tuple[int, int]
    at: int
    outputs: tuple[int, ...]
    ids: Tensor

    @classmethod
    def of(cls, graph: Graph, domain: Domain | None, readout: Readout, at: int) -> Pairs | str:
        """The view of a network with its first output read at position `at`, or a sentence why there is none."""
        if not isinstance(domain, ProductDomain):
            return "the domain is no product of choices"
        free = [k for k, alternatives in enumerate(domain.positions) if len(alternatives) > 1]
        if len(free) != 2 or len({len(domain.positions[k]) for k in free}) > 1:
            return "there are not two positions with a choice among equally many tokens"
        if not isinstance(readout, Argmax) or [n.op for n in graph.inputs] != ["input.tokens"]:
            return "the answer is no largest logit over tokens"
        n = len(domain.positions[free[0]])
        size = axis_size(graph[graph.outputs[0]].type.axes[-1], graph)
        outputs = readout.outputs or tuple(range(size or 0))
        if len(outputs) != n or domain.size() * n > MOST_LOGITS:
            return f"{len(outputs)} outputs for {domain.size()} pairs of {n} tokens are no table of a group"
        ids = torch.from_numpy(np.concatenate(list(domain.enumerate())))
        chosen = (domain.positions[free[0]], domain.positions[free[1]])
        return cls(graph, chosen, (free[0], free[1]), at, outputs, ids)

    @property
    def n(self) -> int:
        """How many tokens there are to choose from."""
        return len(self.outputs)

    @cached_property
    def run(self) -> Executor:
        """The network."""
        return Executor(self.graph)

    @cached_property
    def pair(self) -> tuple[Rows, Rows]:
        """Which token stands first and which second, by their numbers, for every row."""
        every = np.arange(self.n * self.n)
        return every // self.n, every % self.n

    @cached_property
    def logits(self) -> Float[np.ndarray, "rows n"]:
        """The logits of the outputs that count, less their mean."""
        every = np.arange(len(self.ids))
        return np.concatenate([self.logits_given(rows, {}) for rows in _chunks(every)])

    @property
    def table(self) -> Int[np.ndarray, "n n"]:
        """The numbers of the answers."""
        answers: Int[np.ndarray, "n n"] = self.logits.argmax(1).reshape(self.n, self.n)
        return answers

    @cached_property
    def carriers(self) -> tuple[Carrier, Carrier] | None:
        """Where the vectors of the two tokens stand; None where they are looked up in another way."""
        found = [next(self._carriers(place), None) for place in self.places]
        return (found[0], found[1]) if found[0] is not None and found[1] is not None else None

    def _carriers(self, place: int) -> Iterator[Carrier]:
        tokens = self.graph.inputs[0].id
        for node in self.graph.nodes:
            if node.op != "component.embed":
                continue
            source = self.graph[node.inputs[0]]
            if source.id == tokens:
                yield Carrier(node.id, place)
            elif source.op == "component.pick" and source.inputs == (tokens,) and source.attrs["at"] == place:
                yield Carrier(node.id, None)

    def vectors(self, which: int) -> Float[np.ndarray, "n width"]:
        """The vectors of the first (0) or second (1) tokens at their carrier."""
        assert self.carriers is not None
        rows = np.arange(self.n) * (self.n if which == 0 else 1)
        return self._at_carrier(self.carriers[which], rows).double().numpy()

    def _at_carrier(self, carrier: Carrier, rows: Rows) -> Tensor:
        value: Tensor = self._values(rows, [carrier.node])[carrier.node]
        return value if carrier.at is None else value[:, carrier.at]

    def values(self, node: str, rows: Rows | None = None) -> Float[np.ndarray, "rows width"]:
        """The values of a node at the position that counts (or where it has no positions), as float32."""
        every = np.arange(len(self.ids)) if rows is None else rows
        parts = [self.here(self.graph[node], self._values(part, [node])[node]) for part in _chunks(every)]
        return torch.cat(parts).numpy()

    def here(self, node: Node, value: Tensor) -> Tensor:
        """The part of a node's value at the position that counts."""
        return value[:, self.at] if value.ndim == 3 else value

    def whole(self, node: str, rows: Rows) -> Tensor:
        """A node's value with all its axes."""
        value: Tensor = self._values(rows, [node])[node]
        return value

    def _values(self, rows: Rows, want: Sequence[str]) -> Mapping[str, Tensor]:
        tokens = self.graph.inputs[0].id
        return self.run.run({tokens: self.ids[torch.from_numpy(rows)]}, list(want))

    def logits_given(self, rows: Rows, given: Mapping[str, Tensor]) -> Float[np.ndarray, "r n"]:
        """Logits on some pairs with these values in place of the network's own, less their mean."""
        out, tokens = self.graph.outputs[0], self.graph.inputs[0].id
        value = self.run.run({tokens: self.ids[torch.from_numpy(rows)]}, [out], given=given)[out]
        logits: Float[np.ndarray, "r n"] = value[:, self.at].double().numpy()[:, list(self.outputs)]
        logits -= logits.mean(1, keepdims=True)
        return logits


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]
