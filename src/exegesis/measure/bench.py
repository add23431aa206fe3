"""The bench that passes work on: inputs of one split, what the network answers there, and how a changed graph
compares."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Answers, ArrayBatch, Batch, Readout, SequenceBatch, SequenceSplit, Split
from exegesis.ir import Graph, InputError
from exegesis.runtime import Executor
from exegesis.runtime.answers import MAX_TOKENS, batch_answers, batch_inputs, read_answers

Values = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Observed:
    """One batch on the bench.

    Attributes:
        batch: the rows, all of one length or one shape.
        inputs: input node id → [b, s], or [b, ...] over arrays.
        scored: [b, s], which positions count; over arrays [b], all true.
        answers: the network's answers there, in the readout's canonical form.
    """

    batch: Batch
    inputs: Mapping[str, Tensor]
    scored: Tensor
    answers: Answers


class Bench:
    """Inputs of a split, served in batches of equal length, with the answers of the graph it was made with.

    Args:
        graph: the lifted network.
        readout: how its outputs are read.
        split: the inputs.
        max_tokens: how many tokens (rows, over arrays) a batch may hold; this bounds the memory.

    Raises:
        InputError: no position of the split is scored.
    """

    def __init__(self, graph: Graph, readout: Readout, split: Split, *, max_tokens: int = MAX_TOKENS) -> None:
        self.graph = graph
        self.readout = readout
        self.split = split
        self.batches: list[Observed] = []
        run = Executor(graph)
        for batch in _batches(split, max_tokens):
            scored = torch.ones(len(batch.x), dtype=torch.bool) if isinstance(batch, ArrayBatch) else _scored(batch)
            answers = batch_answers(run, batch, readout)
            self.batches.append(Observed(batch, batch_inputs(run, batch), scored, answers))
        self.n = sum(len(b.answers) for b in self.batches)
        if not self.n:
            raise InputError(f"Split {split.name} has no scored position; there is no behaviour to look at.")

    def sample(self, max_tokens: int) -> Bench:
        """Some of the batches, spread over all lengths, with about this many tokens together (one batch at least)."""
        sizes = np.cumsum([b.scored.numel() for b in self.batches])
        every = max(1, round(float(sizes[-1]) / max_tokens))
        part = copy.copy(self)
        part.batches = self.batches[every // 2 :: every] or self.batches[:1]
        part.n = sum(len(b.answers) for b in part.batches)
        return part

    @property
    def answers(self) -> Answers:
        """The network's answers at every scored position, in the order of the batches."""
        return np.concatenate([b.answers for b in self.batches])

    def each(
        self, graph: Graph, want: Sequence[str], given: Callable[[int], Values] | None = None
    ) -> Iterator[tuple[Observed, Values]]:
        """Values of nodes, batch by batch; `given(k)` holds values to put in place of the graph's own in batch k."""
        run = Executor(graph)
        for k, seen in enumerate(self.batches):
            yield seen, run.run(seen.inputs, list(want), given=given(k) if given else None)

    def at_scored(self, graph: Graph, want: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Values of nodes whose first axes are batch and position, at scored positions: [n, ...]."""
        parts: dict[str, list[NDArray[np.generic]]] = {w: [] for w in want}
        for seen, values in self.each(graph, want):
            for w in want:
                parts[w].append(_at_scored(values[w], seen).numpy())
        return {w: np.concatenate(p) for w, p in parts.items()}

    def agreement(self, graph: Graph) -> float:
        """Share of scored positions at which the graph answers as the network does."""
        return self.agreement_given(graph, lambda k: {})

    def agreement_given(self, graph: Graph, given: Callable[[int], Values]) -> float:
        """Agreement when some values are put in place of the graph's own: `given(k)` holds those of batch k by node
        id."""
        run = Executor(graph)
        out = graph.outputs[0]
        same = 0
        for k, seen in enumerate(self.batches):
            value = run.run(seen.inputs, [out], given=given(k))[out]
            said = read_answers(run, value.numpy(), seen.batch, self.readout)
            same += int(self.readout.equal(said, seen.answers).sum())
        return same / self.n


def _batches(split: Split, max_tokens: int) -> Iterator[Batch]:
    """Batches of about equal size, so that none is left with a single row where another has many."""
    if isinstance(split, SequenceSplit):
        yield from split.batches(max_tokens)
        return
    parts = max(1, -(-len(split) // max(1, max_tokens)))
    for rows in np.array_split(np.arange(len(split)), parts):
        yield split.gather(rows)


def _scored(batch: SequenceBatch) -> Tensor:
    return torch.from_numpy(batch.scored)


def _at_scored(value: Tensor, seen: Observed) -> Tensor:
    rank = seen.scored.ndim
    return value.expand(*seen.scored.shape, *value.shape[rank:])[seen.scored]
