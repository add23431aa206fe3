"""Drawing swaps, and one answer per swapped input: independent cases, chosen by what the program says alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy.random import Generator

from exegesis.behavior import Answers, ArrayBatch, SequenceBatch, SequenceSplit
from exegesis.behavior.ragged import flat_indices, offsets_of
from exegesis.verify.alignment import Aligned, position_axis
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool, Rows, Swaps, by_position
from exegesis.verify.ties import may_tie

WHOLE, ONE_POSITION, JOINT = "whole", "one position", "joint"
_MAX_ENTRIES = 2**26
BETWEEN, JOINT_BETWEEN = "between positions", "joint, between positions"


@dataclass(frozen=True, eq=False)
class Cases:
    """Swaps with one answer to look at in each.

    Attributes:
        swaps: the swaps.
        nth: per row, which of its scored positions is looked at, counted from 0.
        said: the program's answer there.
        before: what it is without the swap.
    """

    swaps: Swaps
    nth: Rows
    said: Answers
    before: Answers

    def __len__(self) -> int:
        return len(self.swaps)

    def take(self, rows: Rows) -> Cases:
        """These cases."""
        return Cases(self.swaps.take(rows), self.nth[rows], self.said[rows], self.before[rows])

    @classmethod
    def joined(cls, parts: Sequence[Cases]) -> Cases:
        """All cases, one part after the other."""
        return cls(
            Swaps.joined([p.swaps for p in parts]),
            np.concatenate([p.nth for p in parts]),
            np.concatenate([p.said for p in parts]),
            np.concatenate([p.before for p in parts]),
        )

    def among(self, pool: Pool, answers: Answers) -> Answers:
        """Of the answers of all rows at all scored positions, those that are looked at."""
        at = offsets_of(pool.scored[self.swaps.base].sum(1))[:-1] + self.nth
        looked_at: Answers = answers[at]
        return looked_at


def pools(
    program: Judged, reference: Reference, groups: tuple[Aligned, ...], split: str, *, count: int, size: int
) -> list[Pool]:
    """Inputs of a split in pools of equal length, all of a pool different: the frequent lengths are likelier.

    Args:
        program, reference, groups: for the pools.
        split: where inputs come from.
        count: how many pools at most.
        size: how many inputs a pool has at most; arrays are all of one length, and have one pool as large as the
            others together, where memory allows.

    Returns:
        The pools; none where no two different inputs have the same length.
    """
    rows = reference.behavior.split(split)
    rng = reference.rng(f"pools {split}")
    if not isinstance(rows, SequenceSplit):
        size = max(size, min(count * size, _most_arrays(reference)))  # as many as sequences of all lengths together
        chosen = [np.sort(rng.permutation(len(rows))[:size])] if len(rows) > 1 else []
    else:
        chosen = [np.sort(rng.permutation(of_length)[:size]) for of_length in _lengths(rows, count, rng)]
    found = []
    for part in chosen:
        batch = rows.gather(part)
        distinct = _distinct(batch)
        if isinstance(batch, SequenceBatch):
            distinct = distinct[batch.scored[distinct].any(1)]
        if len(distinct) > 1:
            found.append(Pool(program, reference, groups, rows.gather(part[distinct])))
    return found


def _most_arrays(reference: Reference) -> int:
    """For how many arrays everything that the network computes takes 256 MiB of floats."""
    each = sum(math.prod(n for n in v.shape if n is not None) for v in reference.exported.values.values())
    return _MAX_ENTRIES // max(1, each)


def _lengths(split: SequenceSplit, count: int, rng: Generator) -> list[Rows]:
    """The rows of at most `count` lengths that several rows have, drawn by how many have them."""
    lengths, counts = np.unique(split.lengths, return_counts=True)
    lengths, counts = lengths[counts > 1], counts[counts > 1]
    if not len(lengths):
        return []
    drawn = rng.choice(lengths, size=min(count, len(lengths)), replace=False, p=counts / counts.sum())
    return [np.flatnonzero(split.lengths == n) for n in drawn]


def _distinct(batch: SequenceBatch | ArrayBatch) -> Rows:
    if isinstance(batch, ArrayBatch):
        content = batch.x.reshape(len(batch.x), -1)
    else:
        parts = [batch.input_ids, *([] if batch.position_ids is None else [batch.position_ids])]
        content = np.concatenate(parts, axis=1)
    return np.sort(np.unique(content, axis=0, return_index=True)[1])


def untouched(pool: Pool, base: Rows) -> Swaps:
    """No swap at all in these inputs."""
    groups = len(pool.groups)
    source = np.repeat(base[None], groups, axis=0)
    return Swaps(base, source, np.zeros((groups, len(base), pool.length), dtype=np.bool_))


def draw(pool: Pool, kind: str, group: int, partial: Bool[np.ndarray, " groups"], n: int, rng: Generator) -> Swaps:
    """n random swaps, base and source different inputs of the pool.

    Args:
        pool: the inputs.
        kind: `WHOLE` and `ONE_POSITION` swap one group, `JOINT` a random subset of them, each from its own source, in
            whole or at half of the positions.
        group: which one; nothing for `JOINT`.
        partial: which groups may be swapped at some positions only.
        n: how many; rows where one position was to change and no position differs are left out.
        rng: random numbers.
    """
    base = rng.integers(pool.size, size=n)
    swaps = untouched(pool, base)
    source = (base + rng.integers(1, pool.size, size=swaps.source.shape)) % pool.size
    where = swaps.where
    if kind == JOINT:
        taken = rng.random(source.shape) < 0.5
        taken[rng.integers(len(source), size=n), np.arange(n)] = True
        some = (rng.random(source.shape) < 0.5) & partial[:, None]
        where = taken[:, :, None] & (~some[:, :, None] | (rng.random(where.shape) < 0.5))
        return Swaps(base, source, where)
    if kind == WHOLE:
        where[group] = True
        return Swaps(base, source, where)
    differs = _differs(pool, group, base, source[group])
    where[group] = _one_of(differs, rng)
    return Swaps(base, source, where).take(np.flatnonzero(differs.any(1)))


def _differs(pool: Pool, group: int, base: Rows, source: Rows) -> Bool[np.ndarray, "b s"]:
    """At which positions any variable of a group has another value on the source than on the base."""
    found = np.zeros((len(base), pool.length), dtype=np.bool_)
    for node in pool.groups[group].nodes:
        part = pool.groups[group].part(node, pool.variables[node.id])
        value = by_position(part, position_axis(node, pool.program.graph), pool.length)
        found |= (value[base] != value[source]).any(-1)
    return found


def _one_of(allowed: Bool[np.ndarray, "b s"], rng: Generator) -> Bool[np.ndarray, "b s"]:
    """One allowed position per row, uniformly; none where none is allowed."""
    keys = np.where(allowed, rng.random(allowed.shape), -1.0)
    chosen: Bool[np.ndarray, "b s"] = (keys == keys.max(1, keepdims=True)) & allowed
    return chosen


def other_sources(pool: Pool, swaps: Swaps, rng: Generator) -> Swaps:
    """The same swaps from other sources: neither the old one nor the base, where the pool has a third input."""
    source = rng.integers(pool.size, size=swaps.source.shape)
    for _ in range(8):
        wrong = (source == swaps.source) | (source == swaps.base)
        source = np.where(wrong, rng.integers(pool.size, size=source.shape), source)
    return Swaps(swaps.base, source, swaps.where)


def cases(pool: Pool, swaps: Swaps, rng: Generator) -> tuple[Cases, Cases]:
    """One answer per row: where the program says something else after the swap, and where it does not.

    Where nothing is left to look at after a swap, the program says "none", which predicts nothing; neither does an
    answer that hangs on how a tie is broken, or is nearer to another one than the program's outputs are to the
    network's where nothing was swapped. Such answers are no cases.

    Returns:
        Cases in which the answer should change, and cases of other rows, in which all answers should stay.
    """
    said, sure = pool.program_predicts(swaps)
    before = _rows_of(pool, pool.program_says(untouched(pool, np.arange(pool.size))), swaps.base)
    changed = ~pool.reference.behavior.readout.equal(said, before)
    row_of = pool.row_of_answers(swaps)
    changed_rows = np.bincount(row_of[changed], minlength=len(swaps)) > 0
    predicted = _defined(said) & sure
    if may_tie(pool.program.graph):
        predicted &= pool.reference.behavior.readout.equal(said, pool.program_says(swaps, other_ties=True))
    at_changed = _one_per_row(changed & predicted, row_of, rng)
    at_same = _one_per_row(~changed & ~changed_rows[row_of] & predicted, row_of, rng)
    return _cases(swaps, at_changed, row_of, said, before), _cases(swaps, at_same, row_of, said, before)


def _defined(said: Answers) -> Bool[np.ndarray, " k"]:
    """Which answers are answers at all: no category that is none, no value that is not a number."""
    if said.ndim > 1:
        return np.ones(len(said), dtype=np.bool_)
    return said >= 0 if said.dtype.kind in "iu" else np.isfinite(said)


def _cases(swaps: Swaps, at: Rows, row_of: Rows, said: Answers, before: Answers) -> Cases:
    starts = offsets_of(np.bincount(row_of, minlength=len(swaps)))
    rows = row_of[at]
    return Cases(swaps.take(rows), at - starts[rows], said[at], before[at])


def _rows_of(pool: Pool, answers: Answers, rows: Rows) -> Answers:
    """Answers of the pool's inputs, laid out for these rows."""
    laid_out: Answers = answers[flat_indices(offsets_of(pool.scored.sum(1)), rows)]
    return laid_out


def _one_per_row(allowed: Bool[np.ndarray, " k"], row_of: Rows, rng: Generator) -> Int[np.ndarray, " rows"]:
    """One allowed answer per row that has any, uniformly, as indices in ascending order of rows."""
    at = np.flatnonzero(allowed)
    order = at[rng.permutation(len(at))]
    rows, first = np.unique(row_of[order], return_index=True)
    return order[first] if len(rows) else order
