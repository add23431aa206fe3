"""Swaps between positions: a variable gets the value that it has at another position, of the same input or another one.

Inputs of one length may all be equal, or a variable may have the same value on all of them: then nothing changes hands
between equal positions. What a variable holds at another position is a value of it, too. That a network reads it there
as it would have at home is more than a program says, though: the same number may be written differently at every
position (a count as a share of all before it). So these swaps are drawn where others tell nothing, and a failure counts
against the program only where values of one meaning are seen to do the same wherever they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int
from numpy.random import Generator

from exegesis.behavior import SequenceBatch, SequenceSplit
from exegesis.ir import Level
from exegesis.verify.alignment import PLACE, Aligned, position_axis
from exegesis.verify.network import Reference
from exegesis.verify.picks import untouched
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool, Rows, Swaps, by_position

_TRIES = 8


def lone_pools(
    program: Judged, reference: Reference, groups: tuple[Aligned, ...], split: str, *, count: int
) -> list[Pool]:
    """Single inputs of a split with at least two scored positions, of different lengths, the frequent ones likelier.

    Args:
        program, reference, groups: for the pools.
        split: where inputs come from.
        count: how many at most.

    Returns:
        The pools; none for arrays.
    """
    rows = reference.behavior.split(split)
    if not isinstance(rows, SequenceSplit):
        return []
    order = reference.rng(f"lone inputs {split}").permutation(len(rows))
    _, first = np.unique(rows.lengths[order], return_index=True)
    found = []
    for row in order[np.sort(first)]:
        batch = rows.gather(np.array([row]))
        if batch.scored.sum() > 1 and _counts_places(batch):
            found.append(Pool(program, reference, groups, batch))
    return found[:count]


def _counts_places(batch: SequenceBatch) -> bool:
    """Whether position ids, where there are any, are the places of the tokens."""
    return batch.position_ids is None or bool((batch.position_ids == np.arange(batch.input_ids.shape[1])).all())


def can_move(group: Aligned, program: Judged) -> bool:
    """Whether a group's values mean the same at every position: no tokens, of which a swap makes an input that nobody
    asks about, nothing without positions, and nothing that speaks of keys."""
    if any(n.level is Level.INPUT or "key" in n.type.axes for n in group.nodes):
        return False
    if any(p.position is None for p in group.places):
        return False
    return all(position_axis(n, program.graph) is not None for n in group.nodes)


def is_place(group: Aligned) -> bool:
    """Whether a group is the place of a token, which is the same on all inputs of one length."""
    return all(n.op == PLACE for n in group.nodes)


def draw_between(pool: Pool, groups: Sequence[int], joint: bool, n: int, rng: Generator) -> Swaps:
    """About n random swaps between positions that are alike: they hold the same token, and both are scored or both not.

    Args:
        pool: the inputs.
        groups: which may be swapped.
        joint: swap a random subset of them, each at one position or at half of all; else the only one, at one.
        n: how many are drawn; those that change no variable are left out.
        rng: random numbers.
    """
    base = rng.integers(pool.size, size=n)
    swaps = untouched(pool, base)
    shape = swaps.where.shape
    own = np.arange(pool.length) == rng.integers(pool.length, size=(*shape[:2], 1))
    taken = np.zeros(shape[:2], dtype=np.bool_)
    taken[list(groups)] = rng.random((len(groups), n)) < 0.5
    taken[rng.choice(list(groups), size=n), np.arange(n)] = True
    half = (rng.random(shape[:2]) < 0.5)[..., None] & (rng.random(shape) < 0.5) & joint
    drawn = moved(pool, replace(swaps, where=taken[..., None] & (own | half)), rng)
    differs = np.array([_differs(pool, g, drawn) for g in groups]).any(0)
    return drawn.take(np.flatnonzero(differs))


def moved(pool: Pool, swaps: Swaps, rng: Generator) -> Swaps:
    """The same swaps, each position from one that is like it, of a random input; where there is none, no swap."""
    groups, n, length = swaps.where.shape
    source = rng.integers(pool.size, size=(groups, n))
    before = np.arange(length) if swaps.at is None else swaps.at
    at = rng.integers(length, size=swaps.where.shape)
    for _ in range(_TRIES):
        wrong = ~_alike(pool, swaps.base, source, at) | (at == before)
        if not (wrong & swaps.where).any():
            break
        at = np.where(wrong, rng.integers(length, size=at.shape), at)
    return Swaps(swaps.base, source, swaps.where & _alike(pool, swaps.base, source, at), at)


def _alike(
    pool: Pool, base: Rows, source: Int[np.ndarray, "groups b"], at: Int[np.ndarray, "groups b s"]
) -> Bool[np.ndarray, "groups b s"]:
    """Where a value would come from another position that holds the same token, and is scored or not like this one.

    The token and the value that meet after the swap then meet in inputs as well: what begins a sequence, say, never
    stands anywhere else, and a network may hold on to that.
    """
    assert isinstance(pool.batch, SequenceBatch)
    kind = 2 * pool.batch.input_ids + pool.scored
    same: Bool[np.ndarray, "groups b s"] = (kind[source[..., None], at] == kind[base]) & (at != np.arange(at.shape[2]))
    return same


def like_positions(pool: Pool) -> Bool[np.ndarray, "s s"]:
    """For the only input of a pool, which pairs of positions values may be swapped between."""
    rows = np.zeros(1, dtype=np.int64)
    at = np.repeat(np.arange(pool.length)[:, None], pool.length, axis=1)
    same: Bool[np.ndarray, "s s"] = _alike(pool, rows.repeat(pool.length), rows[None].repeat(pool.length, 1), at[None])[
        0
    ]
    return same


def _differs(pool: Pool, group: int, swaps: Swaps) -> Bool[np.ndarray, " b"]:
    """Whether any variable of a group changes its value."""
    assert swaps.at is not None
    found = np.zeros(swaps.where.shape[1:], dtype=np.bool_)
    for node in pool.groups[group].nodes:
        part = pool.groups[group].part(node, pool.variables[node.id])
        value = by_position(part, position_axis(node, pool.program.graph), pool.length)
        found |= (value[swaps.source[group][:, None], swaps.at[group]] != value[swaps.base]).any(-1)
    changes: Bool[np.ndarray, " b"] = (found & swaps.where[group]).any(1)
    return changes
