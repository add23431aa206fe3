"""Hard heads become selectors: exact relations between variables, and what is gathered there.

What: a head that looks at all positions of a set alike becomes the relation that makes up the set (same token, position
before, smaller value …), and what it gathers becomes a width, a copy, or shares.
Why valid: the selector is exactly the head's attention at every query that counts, and with the head so replaced the
network gives the answers that it gave before.
Refuses when: attention is not even, or no relation between two known variables makes up the set, or what a key
contributes is not decided by one known variable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from exegesis.passes.raising.block_values import BlockValues, laid_out
from exegesis.passes.raising.clusters import Codes, decides
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.gathering import Gathers, gathers, offer, standing_in
from exegesis.passes.raising.hard_heads import Pairs, Rest, harden, resting_places, rests
from exegesis.passes.raising.heads import Block, attention_blocks, splice_head, write_weight
from exegesis.passes.raising.phrases import REFER
from exegesis.passes.raising.selectors.fallback import with_fallback
from exegesis.passes.raising.selectors.relation import Relation, Site, relation
from exegesis.passes.raising.workbench import Workbench

_MOST_PAIRS = 300_000
_SILENT = 1e-6


@dataclass(frozen=True)
class Looks:
    """Where a head looks: the relation, and how it treats its resting place (a category of a column) if it has one."""

    relation: Relation
    rest: Rest
    place: tuple[Column, int] | None

    @property
    def at_rest(self) -> Mask | None:
        """Which positions are the resting place, [n]."""
        return None if self.place is None else self.place[0].values == self.place[1]


def raise_block(work: Workbench, write: str) -> None:
    """Replaces every head of a block that can be read exactly, and takes out those that write a constant."""
    block = next(b for b in attention_blocks(work.graph) if b.write == write)
    values = BlockValues.of(work, block)
    for number in range(block.heads):
        now = next(b for b in attention_blocks(work.graph) if b.write == write)
        label, head = f"{block.layer}H{number}", values.left.index(number)
        if _is_silent(work, now, head, values, number):
            work.note(label, "writes the same everywhere: dropped", applied=True)
            _drop(work, now, head, values, number)
            values.left.remove(number)
        elif any(_raise(work, now, head, number, values, c.mask) for c in work.countings):
            values.left.remove(number)


def _raise(work: Workbench, block: Block, head: int, number: int, values: BlockValues, counts: Mask) -> bool:
    """Replaces one head where it can be read exactly at the queries that count. Returns whether it is gone."""
    label = f"{block.layer}H{number}"
    masks = [torch.from_numpy(m) for m in work.known.batches(counts)]
    pairs = harden(values.patterns[number], masks, block.causal)
    if pairs is None:
        return False
    looks = _looks(work, pairs, _site(work, block, values.codes(number)))
    if looks is None:
        work.note(label, "looks at sets of positions that no two variables decide", applied=False)
        return False
    gathered = gathers(
        work, pairs, looks.at_rest if looks.rest is Rest.ELSE else None, laid_out(values.contributed[number])
    )
    if gathered is None:
        work.note(label, "what it gathers is no function of one variable", applied=False)
        return False
    return _replace(work, block, head, number, values, pairs, looks, gathered)


def _site(work: Workbench, block: Block, codes: tuple[Codes | None, Codes | None]) -> Site:
    """What is known of a head: among others, of which variables its queries and keys are functions."""
    ends = [
        frozenset(c.node for c in work.columns if c.cls is None and (code is None or decides(c.codes, code)))
        for code in codes
    ]
    return Site(work.tokens, work.place, block.causal, *ends)


def _is_silent(work: Workbench, block: Block, head: int, values: BlockValues, number: int) -> bool:
    """Whether a head writes the same everywhere, or with differences so faint that no answer hangs on them."""
    gathered = laid_out(values.gathered[number])
    written = gathered @ write_weight(work.graph, block, head)
    varied = float(np.ptp(written, axis=0).max())
    if varied > _SILENT * max(1.0, float(np.abs(written).max())):
        return False
    still = [torch.from_numpy(gathered[:1]).expand(*g.shape) for g in values.gathered[number]]
    return varied == 0.0 or work.keeps(block.mix, values.mix_with(number, still)) == 1.0


def _drop(work: Workbench, block: Block, head: int, values: BlockValues, number: int) -> None:
    """Takes out a head that writes a constant."""
    draft = work.draft()
    vector = laid_out(values.gathered[number])[0] @ write_weight(work.graph, block, head)
    type = work.graph[block.write].type
    held = draft.add("component.constant", [work.tokens], type, hint=f"{block.write}.held", tensors={"value": vector})
    work.graph = splice_head(work.graph, draft, block, head, held, work.by)


def _looks(work: Workbench, pairs: Pairs, site: Site) -> Looks | None:
    """The cheapest way to say where the head looks: with no resting place, or with one."""
    few = pairs.thinned(_MOST_PAIRS, work.seed)
    options = [Looks(r, Rest.NONE, None)] if (r := relation(few, work.columns, site)) else []
    for column, category in resting_places(
        [c for c in work.columns if c.node in (work.tokens, work.place)], _rows(work)
    ):
        at_rest = column.values == category
        how = rests(few, at_rest)
        others = few.at(~at_rest[few.key])
        if how is Rest.NONE or not len(others.query):
            continue
        if (found := relation(others, work.columns, site)) is not None:
            draft = work.draft()
            wrapped = work.reaches(draft, found.write(draft), pairs.query, at_rest)
            options.append(Looks(replace(found, bits=found.bits + 3 * REFER * wrapped), how, (column, category)))
    return min(options, key=lambda o: o.relation.bits, default=None)


def _rows(work: Workbench) -> NDArray[np.int64]:
    """Which row of the bench every position is in."""
    rows, start = [], 0
    for count, length in work.known.shapes:
        rows.append(np.repeat(np.arange(start, start + count), length))
        start += count
    return np.concatenate(rows)


def _replace(
    work: Workbench,
    block: Block,
    head: int,
    number: int,
    values: BlockValues,
    pairs: Pairs,
    looks: Looks,
    gathered: Gathers,
) -> bool:
    """Puts the selector and what it gathers in the place of a head, if that keeps the answers."""
    label = f"{block.layer}H{number}"
    contributed = laid_out(values.contributed[number])
    resting = np.zeros(contributed.shape[1], np.float32)
    if looks.rest is Rest.ELSE and looks.at_rest is not None:
        resting = contributed[looks.at_rest].mean(0)
    for tier, write in enumerate(with_fallback(work, looks, values.scores[number], pairs, block.causal)):
        draft = work.draft()
        chosen, full = write(draft)
        stand = standing_in(work, draft, gathered, full, resting)
        kept = work.keeps(block.mix, values.mix_with(number, stand.values))
        work.note(label, f"{chosen} over {gathered.column.node}, {looks.rest.value}", applied=kept == 1.0, keeps=kept)
        if kept < 1.0:
            continue
        located = work.graph[block.mix].sites
        sites = tuple(replace(s, index=(*s.index, ("head", number)), label=label) for s in located)
        out = write_weight(work.graph, block, head)
        tensors = {"weight": (stand.weight @ out).astype(np.float32), "bias": (resting @ out).astype(np.float32)}
        written = draft.add(
            "component.linear", [stand.share], work.graph[block.write].type, hint=f"{block.write}.read", tensors=tensors
        )
        work.graph = splice_head(work.graph, draft, block, head, written, work.by)
        offer(work, chosen, full, gathered, sites, pairs.query, falls_back=tier > 0)
        return True
    return False
