"""Heads that look at all positions of a set alike: the set, and the position they rest on when it is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.passes.raising.columns import Column, Mask

Indices = NDArray[np.int64]

_UNEVEN = 0.05
_MOST_PAIRS = 6_000_000


class Rest(Enum):
    """How a head treats its resting place: like any other, never looks at it, always does, or for want of others."""

    NONE = "none"
    NEVER = "never"
    ALWAYS = "always"
    ELSE = "else"


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every pair of a query that counts and a key it can see, on the bench.

    Attributes:
        query, key: [p] positions, counted through the bench.
        looked: [p] whether the query looks at the key.
    """

    query: Indices
    key: Indices
    looked: Mask

    def at(self, where: Mask) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.query[where], self.key[where], self.looked[where])

    def thinned(self, most: int, seed: int) -> Pairs:
        """At most so many pairs, those of whole queries kept together."""
        if len(self.query) <= most:
            return self
        queries = np.unique(self.query)
        kept = np.random.default_rng(seed).choice(
            queries, max(1, len(queries) * most // len(self.query)), replace=False
        )
        return self.at(np.isin(self.query, kept))


def harden(patterns: Sequence[Tensor], counts: Sequence[Tensor], causal: bool) -> Pairs | None:
    """What a head looks at, where each query that counts spreads its attention evenly over a set; else None.

    Args:
        patterns: per batch [b, s, t], the head's attention.
        counts: per batch [b, s], which queries count.
        causal: whether keys after the query are hidden.
    """
    if sum(int(c.sum()) * p.shape[2] for p, c in zip(patterns, counts, strict=True)) > _MOST_PAIRS:
        return None
    queries, keys, looked, start = [], [], [], 0
    for pattern, count in zip(patterns, counts, strict=True):
        rows, length = count.shape
        most = pattern.max(-1, keepdim=True).values
        chosen = pattern > 0.5 * most
        even = chosen / chosen.sum(-1, keepdim=True)
        if float(((pattern - even).abs() / most).amax(-1).masked_fill(~count, 0).max()) > _UNEVEN:
            return None
        seen = count[:, :, None].expand(rows, length, length)
        if causal:
            seen = seen & torch.ones(length, length, dtype=torch.bool).tril()
        row, query, key = seen.nonzero(as_tuple=True)
        queries.append(start + row * length + query)
        keys.append(start + row * length + key)
        looked.append(chosen[row, query, key])
        start += rows * length
    return Pairs(torch.cat(queries).numpy(), torch.cat(keys).numpy(), torch.cat(looked).numpy())


def resting_places(columns: Sequence[Column], rows: Indices) -> list[tuple[Column, int]]:
    """Categories that stand exactly once in every row: (column, category).

    Args:
        columns: category columns.
        rows: [n] which row of the bench every position is in.
    """
    found, count = [], int(rows.max(initial=0)) + 1
    for column in columns:
        if column.kind != "category":
            continue
        for category in np.unique(column.values):
            where = rows[column.values == category]
            if len(where) == count and len(np.unique(where)) == count:
                found.append((column, int(category)))
    return found


def rests(pairs: Pairs, place: Mask) -> Rest:
    """How a head treats a resting place, given which positions are one: [n]."""
    at = place[pairs.key]
    size = int(max(pairs.query.max(initial=0), pairs.key.max(initial=0))) + 1
    sees = np.bincount(pairs.query[at], minlength=size) > 0
    there = np.bincount(pairs.query[at & pairs.looked], minlength=size) > 0
    elsewhere = np.bincount(pairs.query[~at & pairs.looked], minlength=size) > 0
    counted = np.bincount(pairs.query, minlength=size) > 0
    if not (sees[counted]).all():
        return Rest.NONE
    if there[counted].all():
        return Rest.ALWAYS
    if not there.any():
        return Rest.NEVER
    return Rest.ELSE if (there[counted] == ~elsewhere[counted]).all() else Rest.NONE
