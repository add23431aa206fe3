"""Hard heads become selectors: exact relations between variables, and what is gathered there.

What: a head that looks at all positions of a set alike becomes the relation that makes up the set (same token, position
before, smaller value …), and what it gathers becomes a width, a copy, or shares.
Why valid: the selector is exactly the head's attention at every query that counts, and with the head so replaced the
network gives the answers that it gave before.
Refuses when: attention is not even, or no relation between two known variables makes up the set, or what a key
contributes is not decided by one known variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.ir import Site, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.clusters import Clusters, cluster, decides
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.hard_heads import Pairs, Rest, harden, resting_places, rests
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.heads import Block, splice_head, write_weight
from exegesis.passes.raising.phrases import REFER
from exegesis.passes.raising.selectors.relation import Relation, relation
from exegesis.passes.raising.workbench import Workbench, class_axis

_MOST_PAIRS = 300_000
_SILENT = 1e-6

Real = NDArray[np.floating]


@dataclass(frozen=True)
class _Looks:
    """Where a head looks: what it selects apart from its resting place, and how it treats that."""

    relation: Relation
    rest: Rest
    place: tuple[Column, int] | None


@dataclass(frozen=True)
class _Gathers:
    """What a key contributes: a table over the categories of a column."""

    column: Column
    categories: NDArray[np.int64]
    rows: Real
    usual: int

    @property
    def telling(self) -> list[int]:
        """Categories that contribute something else than the usual one."""
        apart = np.abs(self.rows - self.rows[self.usual]).max(1)
        return [int(c) for c, a in zip(self.categories, apart, strict=True) if a > 1e-3 * np.abs(self.rows).max()]


def raise_hard_head(work: Workbench, block: Block, head: int, number: int) -> bool:
    """Replaces one head where it can be read exactly. Returns whether it is gone from its block.

    Args:
        work: the workbench.
        block: the head's block, as it is in the graph now.
        head: the head's place in the block now.
        number: its place in the network.
    """
    label = f"{block.layer}H{number}"
    seen: dict[str, list[Tensor]] = {n: [] for n in (block.pattern, block.values, block.mix)}
    for _, got in work.bench.each(work.graph, list(seen)):
        for n in seen:
            seen[n].append(got[n][:, head])
    if _is_silent(work, block, head, seen[block.mix]):
        work.note(label, "writes the same everywhere: dropped", applied=True)
        _drop(work, block, head, seen[block.mix])
        return True
    mixed = _laid_out(seen[block.mix])
    before = _laid_out([got[block.mix][:, number] for _, got in work.bench.each(work.start, [block.mix])])
    counts = work.which_count(block.mix, mixed, before, _putting(work, block, head))
    pairs = harden(seen[block.pattern], _tensors(work, counts), block.causal)
    if pairs is None:
        return False
    looks = _looks(work, pairs, block.causal)
    if looks is None:
        work.note(label, "looks at sets of positions that no two variables decide", applied=False)
        return False
    contributed = _laid_out(seen[block.values])
    gathers = _gathers(work, pairs, looks, contributed)
    if gathers is None:
        work.note(label, "what it gathers is no function of one variable", applied=False)
        return False
    return _replace(work, block, head, number, pairs, looks, gathers, contributed, seen[block.mix])


def _laid_out(parts: list[Tensor]) -> Real:
    """Values [b, s, width] of every batch, end to end."""
    return np.concatenate([p.reshape(-1, p.shape[-1]).numpy() for p in parts])


def _putting(work: Workbench, block: Block, head: int) -> Callable[[int, Tensor], Tensor]:
    """Puts what a head gathers into the block's mix, by batch."""
    mixes = [got[block.mix] for _, got in work.bench.each(work.graph, [block.mix])]

    def put(k: int, part: Tensor) -> Tensor:
        value = mixes[k].clone()
        value[:, head] = part
        return value

    return put


def _tensors(work: Workbench, mask: Mask) -> list[Tensor]:
    return [torch.from_numpy(m) for m in work.known.batches(mask)]


def _is_silent(work: Workbench, block: Block, head: int, mixes: list[Tensor]) -> bool:
    written = _laid_out(mixes) @ write_weight(work.graph, block, head)
    return bool(np.ptp(written, axis=0).max() <= _SILENT * max(1.0, float(np.abs(written).max())))


def _drop(work: Workbench, block: Block, head: int, mixes: list[Tensor]) -> None:
    """Takes out a head that writes a constant."""
    draft = work.draft()
    vector = mixes[0].reshape(-1, mixes[0].shape[-1])[0].numpy() @ write_weight(work.graph, block, head)
    type = work.graph[block.write].type
    held = draft.add("component.constant", [work.tokens], type, hint=f"{block.write}.held", tensors={"value": vector})
    work.graph = splice_head(work.graph, draft, block, head, held, work.by)


def _looks(work: Workbench, pairs: Pairs, causal: bool) -> _Looks | None:
    """The cheapest way to say where the head looks: with no resting place, or with one."""
    few = pairs.thinned(_MOST_PAIRS, work.seed)
    options = [_Looks(r, Rest.NONE, None)] if (r := _relation(work, few, causal)) else []
    for column, category in resting_places(
        [c for c in work.columns if c.node in (work.tokens, work.place)], _rows(work)
    ):
        at_rest = column.values == category
        how = rests(few, at_rest)
        others = few.at(~at_rest[few.key])
        if how is Rest.NONE or not len(others.query):
            continue
        if (found := _relation(work, others, causal)) is not None:
            draft = work.draft()
            wrapped = _reaches(work, draft, found.write(draft), pairs, at_rest)
            options.append(_Looks(replace(found, bits=found.bits + 3 * REFER * wrapped), how, (column, category)))
    return min(options, key=lambda o: o.relation.bits, default=None)


def _rows(work: Workbench) -> NDArray[np.int64]:
    """Which row of the bench every position is in."""
    rows, start = [], 0
    for count, length in work.known.shapes:
        rows.append(np.repeat(np.arange(start, start + count), length))
        start += count
    return np.concatenate(rows)


def _relation(work: Workbench, pairs: Pairs, causal: bool) -> Relation | None:
    return relation(pairs, work.columns, like=work.tokens, place=work.place, causal=causal)


def _gathers(work: Workbench, pairs: Pairs, looks: _Looks, contributed: Real) -> _Gathers | None:
    """The cheapest variable that decides what the keys that are looked at contribute."""
    read = np.zeros(len(work.known), bool)
    read[pairs.key[pairs.looked]] = True
    if looks.rest is Rest.ELSE and looks.place is not None:
        read &= looks.place[0].values != looks.place[1]
    if not read.any():
        return None
    for grouping in cluster(contributed[read]):
        options = []
        for column in work.columns:
            if column.kind == "real" or column.cls is not None or not decides(column.at(read).codes, grouping.codes):
                continue
            gathers = _table(column.at(read), grouping, contributed[read])
            options.append((work.cost(column.node) + REFER * len(gathers.telling), gathers))
        if options:
            return min(options, key=lambda o: o[0])[1]
    return None


def _table(column: Column, grouping: Clusters, contributed: Real) -> _Gathers:
    categories, codes = np.unique(column.values, return_inverse=True)
    codes = codes.reshape(-1)
    total = np.zeros((len(categories), contributed.shape[1]))
    np.add.at(total, codes, contributed)
    rows = total / np.bincount(codes)[:, None]
    usual = int(np.bincount(codes[grouping.codes == np.bincount(grouping.codes).argmax()]).argmax())
    return _Gathers(column, categories.astype(np.int64), rows, usual)


def _replace(
    work: Workbench,
    block: Block,
    head: int,
    number: int,
    pairs: Pairs,
    looks: _Looks,
    gathers: _Gathers,
    contributed: Real,
    mixes: list[Tensor],
) -> bool:
    """Puts the selector and what it gathers in the place of a head, if that keeps the answers."""
    label = f"{block.layer}H{number}"
    draft = work.draft()
    chosen = looks.relation.write(draft)
    full = chosen
    if looks.place is not None:
        column, category = looks.place
        if _reaches(work, draft, chosen, pairs, column.values == category):
            attrs = {"values": [category], "negated": True}
            chosen = draft.add("symbolic.where", [chosen, column.node], SELECTOR, attrs, hint=f"{chosen}_but_rest")
            full = chosen
        if looks.rest is Rest.ALWAYS:
            full = _with_rest(draft, work.tokens, chosen, column, category, block.causal)
    axis = class_axis(draft, gathers.column)
    type = Type("real", (*SEQUENCE, axis))
    share = draft.add("symbolic.share", [full, gathers.column.node], type, hint="share")
    resting = np.zeros(contributed.shape[1])
    if looks.rest is Rest.ELSE and looks.place is not None:
        resting = contributed[looks.place[0].values == looks.place[1]].mean(0)
    size = draft.axes[axis].size if axis in draft.axes else work.graph.axes[axis].size
    weight = np.zeros((size or 0, contributed.shape[1]), np.float32)
    known = gathers.categories >= 0
    weight[gathers.categories[known]] = gathers.rows[known] - resting
    instead = _instead(draft, work, share, weight, resting, mixes, head, block)
    kept = work.keeps(block.mix, instead)
    if kept < 1.0:
        work.note(label, f"{chosen} over {gathers.column.node} does not keep all answers", applied=False, keeps=kept)
        return False
    out = write_weight(work.graph, block, head)
    tensors = {"weight": (weight @ out).astype(np.float32), "bias": (resting @ out).astype(np.float32)}
    written = draft.add(
        "component.linear", [share], work.graph[block.write].type, hint=f"{block.write}.from_{share}", tensors=tensors
    )
    sites = tuple(replace(s, index=(*s.index, ("head", number))) for s in work.graph[block.mix].sites)
    work.graph = splice_head(work.graph, draft, block, head, written, work.by)
    _offer(work, chosen, full, gathers, axis, sites, pairs)
    work.note(label, f"{chosen} over {gathers.column.node}, resting {looks.rest.value}", applied=True, keeps=kept)
    return True


def _instead(
    draft: Draft, work: Workbench, share: str, weight: Real, resting: Real, mixes: list[Tensor], head: int, block: Block
) -> list[Tensor]:
    """The block's mix with the replaced head in it, per batch."""
    drafted, found = draft.whole(), []
    table, rest = torch.from_numpy(weight), torch.from_numpy(resting.astype(np.float32))
    for _, got in work.bench.each(drafted, [block.mix, share]):
        value = got[block.mix].clone()
        value[:, head] = got[share].to(table.dtype) @ table + rest
        found.append(value)
    return found


def _reaches(work: Workbench, draft: Draft, selector: str, pairs: Pairs, resting: Mask) -> bool:
    """Whether a drafted selector looks at the resting place for some query that counts."""
    start = 0
    counted = np.zeros(len(work.known), bool)
    counted[pairs.query] = True
    for (_, got), (rows, length) in zip(work.bench.each(draft.whole(), [selector]), work.known.shapes, strict=True):
        span = slice(start, start + rows * length)
        rest, count = (torch.from_numpy(m[span].reshape(rows, length)) for m in (resting, counted))
        if bool(((got[selector] > 0) & rest[:, None, :] & count[:, :, None]).any()):
            return True
        start += rows * length
    return False


def _with_rest(draft: Draft, like: str, chosen: str, column: Column, category: int, causal: bool) -> str:
    everywhere = draft.add("symbolic.everywhere", [like], SELECTOR, {"causal": causal}, hint="everywhere")
    attrs = {"values": [category], "negated": False}
    rest = draft.add("symbolic.where", [everywhere, column.node], SELECTOR, attrs, hint="rest")
    return draft.add("symbolic.either", [chosen, rest], SELECTOR, hint=f"{chosen}_or_rest")


def _offer(
    work: Workbench, chosen: str, full: str, gathers: _Gathers, axis: str, sites: tuple[Site, ...], pairs: Pairs
) -> None:
    """Puts on offer what the head carries: a width, one category, or shares and counts."""
    counted = np.zeros(len(work.known), bool)
    counted[pairs.query] = True
    draft = work.draft()
    type = Type("real", (*SEQUENCE, axis))
    tally = draft.add("symbolic.count", [full, gathers.column.node], type, hint="tally")
    held = work.known.values(draft.whole(), [tally])[tally][counted]
    telling = gathers.telling
    if telling and not np.ptp(held[:, telling], axis=0).any():
        _put(work, "symbolic.width", [chosen], Type("int", SEQUENCE), "width", sites)
        return
    if ((held > 0).sum(1) <= 1).all():
        kind = Type("category", SEQUENCE, axis)
        _put(work, "symbolic.copy", [chosen, gathers.column.node], kind, "copied", sites)
        return
    for op, hint in (("symbolic.count", "seen"), ("symbolic.share", "share")):
        _put(work, op, [chosen, gathers.column.node], type, hint, sites, telling)


def _put(
    work: Workbench,
    op: str,
    inputs: list[str],
    type: Type,
    hint: str,
    sites: tuple[Site, ...],
    classes: list[int] | None = None,
) -> None:
    draft = work.draft()
    node = draft.add(op, inputs, type, hint=hint, sites=sites)
    work.graph = draft.whole()
    work.offer(node, classes or ())
