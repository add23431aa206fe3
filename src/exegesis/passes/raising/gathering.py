"""What a hard head gathers from the positions it looks at, and which variable that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.ir import Level, Site, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.clusters import Clusters, Codes, cluster, decides
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.hard_heads import Pairs
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.phrases import REFER
from exegesis.passes.raising.workbench import Workbench, class_axis

Real = NDArray[np.floating]


@dataclass(frozen=True)
class Gathers:
    """What a key contributes: a table over the categories of a column.

    Attributes:
        column: the variable.
        categories: [k], its values that are ever read.
        rows: [k, e], what a key of each contributes.
        usual: which of them is the commonest contribution.
    """

    column: Column
    categories: NDArray[np.int64]
    rows: Real
    usual: int

    @property
    def telling(self) -> list[int]:
        """Categories that contribute something else than the usual one."""
        apart = np.abs(self.rows - self.rows[self.usual]).max(1)
        return [int(c) for c, a in zip(self.categories, apart, strict=True) if a > 1e-3 * np.abs(self.rows).max()]


@dataclass(frozen=True)
class StandIn:
    """What takes a head's place: the share of each category, the table over them [k, e], and the result per batch."""

    share: str
    weight: Real
    values: list[Tensor]


def gathers(work: Workbench, pairs: Pairs, unread: Mask | None, contributed: Real) -> Gathers | None:
    """The cheapest variable that decides what the keys that are looked at contribute, or None.

    Args:
        pairs: what the head looks at.
        unread: [n], positions whose contribution is dealt with otherwise.
        contributed: [n, e], what every position contributes as a key.
    """
    read = np.zeros(len(work.known), bool)
    read[pairs.key[pairs.looked]] = True
    if unread is not None:
        read &= ~unread
    if not read.any():
        return None
    for grouping in cluster(contributed[read]):
        options = []
        for column in work.columns:
            if column.kind == "real" or column.cls is not None or not decides(column.at(read).codes, grouping.codes):
                continue
            found = _table(column.at(read), grouping, contributed[read])
            other = not _is_what_was_made(work, column, column.at(read).codes, grouping)
            options.append((other, work.cost(column.node) + REFER * len(found.telling), found))
        if options:
            return min(options, key=lambda o: o[:2])[2]
    return None


def _is_what_was_made(work: Workbench, column: Column, codes: Codes, grouping: Clusters) -> bool:
    """Whether a variable that the network made tells contributions apart, and nothing else: then it is what is read."""
    node = work.graph[column.node]
    return node.level is Level.SYMBOLIC and bool(node.sites) and len(np.unique(codes)) == grouping.count


def _table(column: Column, grouping: Clusters, contributed: Real) -> Gathers:
    categories, codes = np.unique(column.values), column.codes
    total = np.zeros((len(categories), contributed.shape[1]))
    np.add.at(total, codes, contributed)
    rows = total / np.bincount(codes)[:, None]
    commonest = grouping.codes == np.bincount(grouping.codes).argmax()
    return Gathers(column, categories.astype(np.int64), rows, int(np.bincount(codes[commonest]).argmax()))


def standing_in(work: Workbench, draft: Draft, of: Gathers, selector: str, resting: Real) -> StandIn:
    """Drafts the shares of what is gathered, and works out what they give.

    Args:
        selector: where the head looks.
        resting: [e], what is gathered where it looks at nothing.
    """
    axis = class_axis(draft, of.column)
    share = draft.add("symbolic.share", [selector, of.column.node], Type("real", (*SEQUENCE, axis)), hint="share")
    size = (draft.axes.get(axis) or work.graph.axes[axis]).size or 0
    weight = np.zeros((size, of.rows.shape[1]), np.float32)
    known = of.categories >= 0
    weight[of.categories[known]] = of.rows[known] - resting
    table, rest = torch.from_numpy(weight), torch.from_numpy(np.asarray(resting, np.float32))
    drafted = draft.whole()
    values = [got[share].to(table.dtype) @ table + rest for _, got in work.bench.each(drafted, [share])]
    return StandIn(share, weight, values)


def offer(
    work: Workbench,
    chosen: str,
    full: str,
    of: Gathers,
    sites: tuple[Site, ...],
    queries: NDArray[np.int64],
    *,
    falls_back: bool,
) -> None:
    """Puts on offer what the head carries: a width, one category, or shares and counts.

    Args:
        chosen, full: where it looks, without and with a resting place that is always looked at.
        queries: positions that count.
        falls_back: whether it looks at something else for want of what it looks for.
    """
    draft = work.draft()
    type = Type("real", (*SEQUENCE, class_axis(draft, of.column)))
    tally = draft.add("symbolic.count", [full, of.column.node], type, hint="tally")
    counted = np.unique(queries)
    held = work.known.values(draft.whole(), [tally])[tally][counted]
    telling = of.telling
    draft = work.draft()
    if telling and not np.ptp(held[:, telling], axis=0).any():
        found = {draft.add("symbolic.width", [chosen], Type("int", SEQUENCE), hint="width", sites=sites): telling}
    elif falls_back or ((held > 0).sum(1) <= 1).all():
        kind = Type("category", SEQUENCE, type.axes[-1])
        found = {draft.add("symbolic.copy", [chosen, of.column.node], kind, hint="copied", sites=sites): telling}
    else:
        found = _tallied(draft, chosen, of, type, sites)
    work.graph = draft.whole()
    for node, classes in found.items():
        work.offer(node, classes)


def _tallied(draft: Draft, chosen: str, of: Gathers, type: Type, sites: tuple[Site, ...]) -> dict[str, list[int]]:
    """How many hold each category, and which share; of truth values, how many hold. With the classes that tell."""
    column, telling = of.column.node, of.telling
    share = draft.add("symbolic.share", [chosen, column], type, hint="share", sites=sites)
    if of.column.kind == "bool":
        there = {"values": [1], "negated": False}
        true = draft.add("symbolic.where", [chosen, column], SELECTOR, there, hint=f"where_{column}")
        return {draft.add("symbolic.width", [true], Type("int", SEQUENCE), hint="width", sites=sites): [], share: [1]}
    return {draft.add("symbolic.count", [chosen, column], type, hint="seen", sites=sites): telling, share: telling}
