"""The network that programs are judged against: what it says, and its inside as torch exports it."""

from __future__ import annotations

import inspect
import zlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from exegesis.behavior import Answers, ArraySplit, Batch, Behavior, SequenceBatch, SequenceSplit
from exegesis.ir import Graph, InputError
from exegesis.runtime import Network, answers, batch_answers
from exegesis.runtime.exported import ExportedNetwork


@dataclass(frozen=True, eq=False)
class Reference:
    """A network and the behaviour it is asked about.

    Attributes:
        network: the user's own module.
        behavior: which inputs, and how outputs are read.
        seed: of everything that is drawn.
    """

    network: Network
    behavior: Behavior
    seed: int = 0
    _said: dict[str, Answers] = field(default_factory=dict, init=False, repr=False)

    def rng(self, stage: str) -> Generator:
        """Random numbers of one stage, the same whatever other stages drew."""
        return np.random.default_rng([self.seed, zlib.crc32(stage.encode())])

    def answers(self, split: str) -> Answers:
        """What the network says on a split, asked once."""
        if split not in self._said:
            self._said[split] = answers(self.network, self.behavior.split(split), self.behavior.readout)
        return self._said[split]

    def says(self, batch: Batch) -> Answers:
        """What the network says at the scored places of a batch."""
        return batch_answers(self.network, batch, self.behavior.readout)

    def arguments(self, batch: Batch) -> dict[str, Tensor]:
        """What `forward` is given for a batch, by name."""
        first = next(iter(inspect.signature(self.network.module.forward).parameters))
        if not isinstance(batch, SequenceBatch):
            return {first: torch.from_numpy(batch.x)}
        name = "input_ids" if self.network.takes_tokens else first
        found = {name: torch.from_numpy(batch.input_ids)}
        if batch.position_ids is not None and self.network.takes_positions:
            found["position_ids"] = torch.from_numpy(batch.position_ids)
        return found

    @cached_property
    def exported(self) -> ExportedNetwork:
        """The network opened up.

        Raises:
            InputError: torch.export rejects it, or the export computes something else.
        """
        batch = self.example()
        exported = ExportedNetwork(self.network, self.arguments(batch))
        exported.check(self.arguments(batch))
        return exported

    def example(self) -> Batch:
        """Three rows of the most frequent length."""
        name = "train" if "train" in self.behavior.splits else next(iter(self.behavior.splits))
        split = self.behavior.split(name)
        if isinstance(split, ArraySplit):
            return split.gather(np.arange(3) % len(split))
        lengths, counts = np.unique(split.lengths, return_counts=True)
        rows = np.flatnonzero(split.lengths == lengths[counts.argmax()])[:3]
        return split.gather(np.resize(rows, 3))

    def check(self) -> None:
        """Raises InputError where the network cannot take the behaviour's inputs or give its answers."""
        if not self.behavior.is_sequence:
            return
        if self.network.vocabulary_size is not None:
            self.behavior.check_vocabulary(self.network.vocabulary_size)
        if self.network.outputs is not None:
            self.behavior.check_outputs(self.network.outputs)

    def check_program(self, graph: Graph) -> None:
        """Raises InputError where a program speaks of other tokens than the behaviour or the network does."""
        for node in graph.inputs:
            if (node.op == "input.array") == self.behavior.is_sequence:
                takes = "arrays" if node.op == "input.array" else "sequences of tokens"
                raise InputError(f"The program takes {takes}, which behaviour {self.behavior.name} does not give.")
            if node.op != "input.tokens" or node.type.of is None:
                continue
            axis = graph.axes[node.type.of]
            used = max((int(self._sequences(s).tokens.max()) for s in self.behavior.splits), default=0)
            if axis.size is not None and used >= axis.size:
                raise InputError(
                    f"The program knows {axis.size} tokens, but behaviour {self.behavior.name} uses token id {used}."
                )
            size = self.network.vocabulary_size
            if axis.size is not None and size is not None and axis.size != size:
                raise InputError(
                    f"The program knows {axis.size} tokens, but the network {self.network.name} has {size}."
                )
            labels = self.behavior.vocabulary.labels
            if axis.labels is not None and len(labels) == len(axis.labels) and tuple(labels) != axis.labels:
                first = next(i for i, (a, b) in enumerate(zip(axis.labels, labels, strict=True)) if a != b)
                raise InputError(
                    f"The program calls token {first} {axis.labels[first]!r}, but behaviour {self.behavior.name} calls "
                    f"it {labels[first]!r}: their vocabularies do not match."
                )

    def _sequences(self, split: str) -> SequenceSplit:
        return self.behavior.sequences(split)
