"""Selectors `[query, key]`: which positions does every position look at?

Row s of a selector belongs to the position that looks, column t to the position looked at. Selectors are bool until
`weigh` or `attend` give them weights. With `causal`, a position sees itself and what came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from exegesis.primitives._types import Array, Number


def everywhere(like: Array, *, causal: bool = False) -> Array:
    """Every position looks at every position (with `causal`: at every one so far)."""
    return _seen(like, causal)


def back(like: Array, by: int = 1) -> Array:
    """Every position looks `by` positions back; 0 is itself. The first `by` positions look at nothing."""
    return np.eye(len(like), k=-by, dtype=bool)


def at(like: Array, index: int, *, causal: bool = False) -> Array:
    """Every position looks at the position with this index from the start."""
    looked: Array = (np.arange(len(like)) == index) & _seen(like, causal)
    return looked


def match(query: Array, key: Array, *, causal: bool = False) -> Array:
    """Every position looks where `key` holds the category that it has in `query` itself. None (-1) matches nothing."""
    wanted = query.astype(int)[:, None]
    looked: Array = (wanted == key.astype(int)) & (wanted >= 0) & _seen(query, causal)
    return looked


def ordered(key: Array, relation: Literal["<", "<=", ">", ">="], query: Array, *, causal: bool = False) -> Array:
    """Every position looks where `key` stands in this relation to its own `query`. None (-1) is never looked at."""
    keys, queries = key.astype(int)[None, :], query.astype(int)[:, None]
    compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[relation]
    looked: Array = compare(keys, queries) & (keys >= 0) & _seen(query, causal)
    return looked


def extreme(selector: Array, key: Array, which: Literal["smallest", "largest"]) -> Array:
    """Of the positions looked at, those whose `key` is the smallest (or largest) there. None (-1) never is."""
    candidates = (selector > 0) & (key >= 0)
    far = np.iinfo(int).min
    rank = np.where(candidates, key.astype(int) * (1 if which == "largest" else -1), far)
    kept: Array = selector * (candidates & (rank == rank.max(axis=1, keepdims=True)))
    return kept


def where(selector: Array, key: Array, values: Iterable[int] | None = None, *, negated: bool = False) -> Array:
    """Of the positions looked at, those whose `key` is one of `values` (`negated`: none of them).

    Without `values`, `key` is a condition, and those are kept where it holds.
    """
    kept: Array = selector * np.isin(key, [True] if values is None else list(values), invert=negated)
    return kept


def both(a: Array, b: Array) -> Array:
    """The positions that both selectors look at; weights multiply."""
    shared: Array = a * b
    return shared


def either(a: Array, b: Array) -> Array:
    """The positions that either selector looks at, with the larger weight."""
    return np.maximum(a, b)


def otherwise(a: Array, b: Array) -> Array:
    """The positions that `a` looks at; where these are none, those that `b` looks at."""
    return np.where((a > 0).any(axis=1, keepdims=True), a, b)


def related(query: Array, key: Array, pairs: Mapping[int, Iterable[int]], *, causal: bool = False) -> Array:
    """Every position looks where `key` is one of the categories that `pairs` lists for its own `query`."""
    sought = [frozenset(pairs.get(q, ())) for q in query.astype(int).tolist()]
    keys = key.astype(int).tolist()
    looked: Array = np.array([[k in wanted for k in keys] for wanted in sought]) & _seen(query, causal)
    return looked


def nearest(selector: Array, which: Literal["latest", "first"] = "latest") -> Array:
    """Of the positions looked at, only the latest (or the first)."""
    looked = selector > 0
    rank = np.arange(1, selector.shape[1] + 1) if which == "latest" else np.arange(selector.shape[1], 0, -1)
    best = (looked * rank).argmax(axis=1)
    kept: Array = selector * (looked & (np.arange(selector.shape[1]) == best[:, None]))
    return kept


def when(selector: Array, condition: Array) -> Array:
    """Looks where `selector` does, from the positions at which `condition` holds; from others nowhere."""
    kept: Array = selector * np.asarray(condition)[:, None]
    return kept


def weigh(selector: Array, key: Array, weights: Mapping[int, Number], *, other: Number = 0.0) -> Array:
    """Weighs every position looked at by the category that its `key` holds; `other` is for categories not listed."""
    weight = np.full(len(key), float(other))
    for category, value in weights.items():
        weight[key == category] = value
    weighed: Array = selector * weight
    return weighed


def weigh_pairs(
    selector: Array, query: Array, key: Array, weights: Mapping[tuple[int, int], Number], *, other: Number = 0.0
) -> Array:
    """Weighs every position looked at by the categories of `query` and `key` together; `other` is for other pairs."""
    weight = np.full((len(query), len(key)), float(other))
    for (q, k), value in weights.items():
        weight[np.ix_(query == q, key == k)] = value
    weighed: Array = selector * weight
    return weighed


def attend(query: Array, key: Array, table: Array, *, causal: bool = False) -> Array:
    """Attention by categories alone: softmax over keys of `table[query, key]`. None (-1) scores 0 with everything."""
    known = (query >= 0)[:, None] & (key >= 0)
    scores = np.where(known, table[query.astype(int)][:, key.astype(int)], 0.0)
    scores = np.where(_seen(query, causal), scores, -np.inf)
    weights: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _seen(like: Array, causal: bool) -> Array:
    """Which positions can be looked at, `[query, key]`."""
    everything = np.ones((len(like), len(like)), dtype=bool)
    return np.tril(everything) if causal else everything
