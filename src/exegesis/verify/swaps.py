"""The mechanics of a swap: in some rows of a batch, some variables take the value they have on another input.

The same swap is carried out twice. In the program, the variables' values are exchanged; in the network, what its own
run on the other input has at the variables' sites. Every row of a batch may swap other variables, at other positions,
from another source, so that a whole experiment is a few forward passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Answers, ArrayBatch, Batch, SequenceBatch
from exegesis.ir import Node
from exegesis.runtime import batch_inputs
from exegesis.runtime.answers import MAX_TOKENS, read_answers
from exegesis.runtime.exported import Replace
from exegesis.verify.alignment import Aligned, position_axis
from exegesis.verify.margins import doubt, margins
from exegesis.verify.network import Reference
from exegesis.verify.places import Place
from exegesis.verify.program import Judged
from exegesis.verify.ties import last_of_equals, may_tie

Rows = Int[np.ndarray, " _rows"]
_MAX_ENTRIES = 2**24


@dataclass(frozen=True, eq=False)
class Swaps:
    """What is swapped in each of B rows.

    Attributes:
        base: the input of each row, as its place in the pool, [B].
        source: per group of variables, the input that its value is taken from, [groups, B]; or, in the network alone,
            one per position, [groups, B, s].
        where: per group, at which positions it is swapped, [groups, B, s] (s is 1 for arrays).
        at: per group and position, from which position of the source its value is taken, [groups, B, s]; None: from the
            same one.
    """

    base: Rows
    source: Int[np.ndarray, "groups b *s"]
    where: Bool[np.ndarray, "groups b s"]
    at: Int[np.ndarray, "groups b s"] | None = None

    def __len__(self) -> int:
        return len(self.base)

    def take(self, rows: Rows) -> Swaps:
        """These rows."""
        at = None if self.at is None else self.at[:, rows]
        return Swaps(self.base[rows], self.source[:, rows], self.where[:, rows], at)

    @classmethod
    def joined(cls, parts: Sequence[Swaps]) -> Swaps:
        """The rows of all parts, one after the other; all of them between positions, or none."""
        between = [p.at for p in parts if p.at is not None]
        if len(between) not in (0, len(parts)):
            raise ValueError("swaps between positions and others are not joined")
        return cls(
            np.concatenate([p.base for p in parts]),
            np.concatenate([p.source for p in parts], axis=1),
            np.concatenate([p.where for p in parts], axis=1),
            np.concatenate(between, axis=1) if between else None,
        )


class Pool:
    """Inputs of one length, with what program and network have at every variable on them.

    Args:
        program, reference: the two sides.
        groups: the aligned variables.
        batch: the inputs.
    """

    def __init__(self, program: Judged, reference: Reference, groups: Sequence[Aligned], batch: Batch) -> None:
        self.program = program
        self.reference = reference
        self.groups = tuple(groups)
        self.batch = batch

    @property
    def size(self) -> int:
        """How many inputs there are."""
        return len(self.batch.rows)

    @property
    def length(self) -> int:
        """How many positions each has; 1 for arrays."""
        return self.batch.input_ids.shape[1] if isinstance(self.batch, SequenceBatch) else 1

    @cached_property
    def scored(self) -> Bool[np.ndarray, "b s"]:
        """Which positions count."""
        if isinstance(self.batch, SequenceBatch):
            return self.batch.scored
        return np.ones((self.size, 1), dtype=np.bool_)

    @cached_property
    def variables(self) -> Mapping[str, Tensor]:
        """What the program has at every aligned variable, by node id."""
        want = [n.id for g in self.groups for n in g.nodes]
        found: dict[str, Tensor] = self.program.executor.run(batch_inputs(self.program.executor, self.batch), want)
        return found

    @cached_property
    def _values(self) -> dict[str, Tensor]:
        return {}

    def values(self, names: Sequence[str]) -> Mapping[str, Tensor]:
        """What the network has at these of its values; each is asked for once."""
        if missing := [n for n in dict.fromkeys(names) if n not in self._values]:
            self._values.update(self.reference.exported.run(self.reference.arguments(self.batch), missing))
        return self._values

    def rows(self, index: Rows) -> Batch:
        """These inputs as a batch, without the labels."""
        if isinstance(self.batch, ArrayBatch):
            return ArrayBatch(np.arange(len(index)), self.batch.x[index], None)
        positions = self.batch.position_ids
        scored = self.batch.scored[index]
        return SequenceBatch(
            rows=np.arange(len(index)),
            input_ids=self.batch.input_ids[index],
            position_ids=None if positions is None else positions[index],
            scored=scored,
            scored_at=np.arange(int(scored.sum())),
            expected=None,
        )

    @cached_property
    def doubt(self) -> float:
        """How far the program's differences between outputs are off on these inputs as they are; 0 for sequences."""
        if isinstance(self.batch, SequenceBatch):
            return 0.0
        exported, executor = self.reference.exported, self.program.executor
        theirs = exported.run(self.reference.arguments(self.batch))[exported.output]
        own = self.program.run(batch_inputs(executor, self.batch))
        return doubt(own, theirs, self.reference.behavior.readout)

    def program_predicts(self, swaps: Swaps) -> tuple[Answers, Bool[np.ndarray, " answers"]]:
        """What the program says at the scored positions of each row, and whether it is in no doubt of that: the answer
        is further from any other than the program's outputs are off from the network's."""
        said: list[Answers] = []
        sure = []
        for part in self._chunks(swaps):
            batch = self.rows(part.base)
            out = self._program_output(part, batch)
            said.append(read_answers(self.program.executor, out.numpy(), batch, self.reference.behavior.readout))
            if self.doubt:
                sure.append((margins(out, said[-1], self.reference.behavior.readout) > self.doubt).numpy())
            else:
                sure.append(np.ones(len(said[-1]), dtype=np.bool_))
        return np.concatenate(said), np.concatenate(sure)

    def program_says(self, swaps: Swaps, *, other_ties: bool = False) -> Answers:
        """What the program says at the scored positions of each row, row after row.

        Args:
            swaps: the swaps.
            other_ties: break ties the other way than the program does, wherever it chooses among equals.
        """
        return self._chunked(swaps, lambda part: self._program_chunk(part, other_ties))

    def network_says(
        self, swaps: Swaps, places: Mapping[int, Sequence[Place]] | None = None, *, mean: bool = False
    ) -> Answers:
        """What the network says at the scored positions of each row, row after row.

        Args:
            swaps: the swaps.
            places: by number of a group, where to write instead of its own sites.
            mean: write what the values are on average over the pool, position by position, instead of the sources';
                over positions as well, where the pool is a single input.
        """
        own = {g: group.places for g, group in enumerate(self.groups)}
        used = {g: p for g, p in (own | dict(places or {})).items() if swaps.where[g].any()}
        written = {place.value for group in used.values() for place in group}
        self.values(sorted(written))
        untouched = self._untouched(written)
        return self._chunked(swaps, lambda part: self._network_chunk(part, used, untouched, mean))

    def _untouched(self, written: Collection[str]) -> list[str]:
        """Values that no swap reaches, computed once for the whole pool: nothing upstream of them is computed again."""
        exported = self.reference.exported
        found, stack = set[str](), sorted(exported.border(written))
        while stack:
            name = stack.pop()
            if name in found:
                continue
            value = self.values([name])[name]
            if value.ndim and value.shape[0] == self.size:
                found.add(name)
            else:  # batch and positions in one axis: what it is made of is taken instead
                stack.extend(exported.values[name].reads)
        return sorted(found)

    @cached_property
    def at_once(self) -> int:
        """How many swaps are computed together, so that no value of the network takes more than 64 MiB of floats."""
        if isinstance(self.batch, SequenceBatch):
            return max(1, MAX_TOKENS // self.length)
        sizes = (math.prod(n for n in v.shape if n is not None) for v in self.reference.exported.values.values())
        return max(1, _MAX_ENTRIES // max(sizes, default=1))

    def _chunked(self, swaps: Swaps, say: Callable[[Swaps], Answers]) -> Answers:
        return np.concatenate([say(part) for part in self._chunks(swaps)])

    def _chunks(self, swaps: Swaps) -> Iterator[Swaps]:
        step = self.at_once
        if not len(swaps):
            raise ValueError("there is no row to swap anything in")
        for i in range(0, len(swaps), step):
            yield swaps.take(np.arange(i, min(i + step, len(swaps))))

    def _program_chunk(self, swaps: Swaps, last: bool) -> Answers:
        batch = self.rows(swaps.base)
        out = self._program_output(swaps, batch, last)
        return read_answers(self.program.executor, out.numpy(), batch, self.reference.behavior.readout)

    def _program_output(self, swaps: Swaps, batch: Batch, last: bool = False) -> Tensor:
        """Variables change hands in the order of computation: one that comes later sees what changed before it."""
        executor = self.program.executor
        inputs = batch_inputs(executor, batch)
        given: dict[str, Tensor] = {}
        groups_of: dict[str, list[int]] = {}
        for g, group in enumerate(self.groups):
            for node in group.nodes if swaps.where[g].any() else ():
                groups_of.setdefault(node.id, []).append(g)
        ties = {n.id for n in may_tie(self.program.graph)} if last else set()
        for node in self.program.graph.nodes:
            if node.id not in groups_of and node.id not in ties:
                continue
            if node.id in ties:
                sources = executor.run(inputs, list(dict.fromkeys(node.inputs)), given=given)
                own = last_of_equals(node, [sources[i] for i in node.inputs])
            else:
                own = executor.run(inputs, [node.id], given=given)[node.id]
            for g in groups_of.get(node.id, ()):
                own = self._exchanged(node, own, g, swaps)
            given[node.id] = own
        return self.program.run(inputs, given)

    def _exchanged(self, node: Node, own: Tensor, g: int, swaps: Swaps) -> Tensor:
        """A variable of the program with the values that one group's swap gives it."""
        axis = position_axis(node, self.program.graph)
        other = self.variables[node.id][torch.from_numpy(swaps.source[g])]
        if swaps.at is not None and axis is not None:
            rows = torch.arange(len(swaps))[:, None]
            other = other.movedim(axis, 1)[rows, torch.from_numpy(swaps.at[g])].movedim(1, axis)
        chosen = _along(own, torch.from_numpy(swaps.where[g]), axis)
        mask = self.groups[g].mask(node, own)
        return torch.where(chosen if mask is None else chosen & mask, other, own)

    def _network_chunk(
        self, swaps: Swaps, used: Mapping[int, Sequence[Place]], untouched: Sequence[str], mean: bool
    ) -> Answers:
        batch = self.rows(swaps.base)
        writers: dict[str, list[tuple[Place, int]]] = {}
        for g, places in used.items():
            for place in places:
                if swaps.where[g].any():
                    writers.setdefault(place.value, []).append((place, g))

        def writer(name: str) -> Replace:
            return lambda value: self._written(value, self._values[name], writers[name], swaps, mean)

        replace = {name: writer(name) for name in writers}
        exported, base = self.reference.exported, torch.from_numpy(swaps.base)
        given = {name: self._values[name].index_select(0, base) for name in untouched}
        out = exported.run(self.reference.arguments(batch), replace=replace, given=given)[exported.output]
        return read_answers(self.reference.network, out.cpu().numpy(), batch, self.reference.behavior.readout)

    @staticmethod
    def _written(value: Tensor, pool: Tensor, writers: Sequence[tuple[Place, int]], swaps: Swaps, mean: bool) -> Tensor:
        for place, g in writers:
            if mean:
                lone = pool.shape[place.batch] == 1 and place.position is not None
                over = [i for i in (place.batch, place.position if lone else None) if i is not None]
                other = pool.mean(over, keepdim=True).expand_as(value)
            else:
                at = None if swaps.at is None else torch.from_numpy(swaps.at[g])
                other = place.rows(pool, torch.from_numpy(swaps.source[g]), at)
            value = place.mixed(value, other, torch.from_numpy(swaps.where[g]))
        return value

    def row_of_answers(self, swaps: Swaps) -> Rows:
        """Which row each answer belongs to."""
        return np.nonzero(self.scored[swaps.base])[0]


def _along(value: Tensor, where: Tensor, axis: int | None) -> Tensor:
    """`where` [b, s] along the axes of a variable: batch and positions, or batch alone where any position is chosen."""
    shape = [len(where), *[1] * (value.ndim - 1)]
    if axis is None or axis >= value.ndim or value.shape[axis] != where.shape[1]:
        return where.any(1).reshape(shape)
    shape[axis] = where.shape[1]
    return where.reshape(shape)


def by_position(value: Tensor, axis: int | None, length: int) -> NDArray[Any]:
    """A variable's values as [b, s, …] with everything else flattened; [b, 1, …] where it has no positions."""
    found = value.numpy()
    if axis is None or axis >= found.ndim or found.shape[axis] != length:
        return found.reshape(len(found), 1, -1)
    return np.moveaxis(found, axis, 1).reshape(len(found), length, -1)
