"""The bench that passes work on: inputs of one split, what the network answers there, and how a changed graph compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Readout, SequenceSplit
from exegesis.ir import Graph, InputError
from exegesis.runtime import Executor

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Observed:
    """One batch on the bench.

    Attributes:
        inputs: input node id → [b, s].
        scored: [b, s], which positions count.
        answers: the network's answers there, in the readout's canonical form.
    """

    inputs: Mapping[str, Tensor]
    scored: Tensor
    answers: NDArray[np.generic]


class Bench:
    """Inputs of a split, served in batches of equal length, with the answers of the graph it was made with."""

    def __init__(self, graph: Graph, readout: Readout, split: SequenceSplit, *, max_tokens: int = 16384) -> None:
        self.readout = readout
        self.split = split
        self.batches: list[Observed] = []
        run = Executor(graph)
        for batch in split.batches(max_tokens):
            inputs = bind_inputs(graph, batch.input_ids, batch.position_ids)
            scored = torch.from_numpy(batch.scored)
            out = run.run(inputs, [graph.outputs[0]])[graph.outputs[0]]
            self.batches.append(Observed(inputs, scored, read_answers(graph, out, scored, readout)))
        self.n = sum(len(b.answers) for b in self.batches)
        if not self.n:
            raise InputError(f"Split {split.name} has no scored position; there is no behaviour to look at.")

    @property
    def answers(self) -> NDArray[np.generic]:
        """The network's answers at every scored position, in the order of the batches."""
        return np.concatenate([b.answers for b in self.batches])

    def each(self, graph: Graph, want: Sequence[str]) -> Iterable[tuple[Observed, Values]]:
        """Values of nodes, batch by batch."""
        run = Executor(graph)
        for batch in self.batches:
            yield batch, run.run(batch.inputs, list(want))

    def at_scored(self, graph: Graph, want: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Values of nodes whose first axes are batch and position, at scored positions: [n, ...]."""
        parts: dict[str, list[NDArray[np.generic]]] = {w: [] for w in want}
        for batch, values in self.each(graph, want):
            for w in want:
                parts[w].append(values[w].expand(*batch.scored.shape, *values[w].shape[2:])[batch.scored].numpy())
        return {w: np.concatenate(p) for w, p in parts.items()}

    def agreement(self, graph: Graph) -> float:
        """Share of scored positions at which the graph answers as the network does."""
        return self.compare(graph, lambda values, batch: values)

    def compare(self, graph: Graph, change: Callable[[Values, Observed], Values], given: Sequence[str] = ()) -> float:
        """Agreement when the values of the `given` nodes are changed on the way.

        `change` gets the graph's own values of those nodes and returns what to use instead.
        """
        run = Executor(graph)
        out = graph.outputs[0]
        same = 0
        for batch in self.batches:
            put = change(run.run(batch.inputs, list(given)), batch) if given else {}
            value = run.run(batch.inputs, [out], given=put)[out]
            same += int(self.readout.equal(read_answers(graph, value, batch.scored, self.readout), batch.answers).sum())
        return same / self.n


def bind_inputs(graph: Graph, input_ids: NDArray[np.int64], position_ids: NDArray[np.int64] | None) -> Values:
    """The graph's input nodes, filled from a batch.

    Raises:
        InputError: the graph wants position ids and the batch has none.
    """
    bound: Values = {}
    for node in graph.inputs:
        if node.op == "input.tokens":
            bound[node.id] = torch.from_numpy(np.ascontiguousarray(input_ids))
        elif node.op == "input.positions":
            if position_ids is None:
                position_ids = np.broadcast_to(np.arange(input_ids.shape[1]), input_ids.shape)
            bound[node.id] = torch.from_numpy(np.ascontiguousarray(position_ids))
        else:
            raise InputError(f"A sequence behaviour cannot fill the input {node.id!r} ({node.op}).")
    return bound


def read_answers(graph: Graph, value: Tensor, scored: Tensor, readout: Readout) -> NDArray[np.generic]:
    """Canonical answers at scored positions, from logits or from an answer node."""
    kept = value.expand(*scored.shape, *value.shape[2:])[scored].numpy()
    if graph[graph.outputs[0]].type.kind in ("category", "bool"):
        return kept
    return readout.answers(kept if kept.ndim == 2 else kept[:, None])
