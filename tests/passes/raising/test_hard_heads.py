"""Even attention and resting places, against loops over every query."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from exegesis.passes.raising.columns import Column
from exegesis.passes.raising.hard_heads import Pairs, Rest, harden, resting_places, rests

RNG = np.random.default_rng(4)


def patterns(causal: bool, sharpness: float = 50.0) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Random sets for every query, attention over them, and which queries count."""
    found, sets, counts = [], [], []
    for rows, length in ((3, 4), (2, 6)):
        chosen = torch.from_numpy(RNG.random((rows, length, length)) < 0.4)
        chosen |= torch.eye(length, dtype=torch.bool)
        scores = torch.where(chosen, sharpness, 0.0)
        if causal:
            scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), -torch.inf)
        found.append(scores.softmax(-1))
        sets.append(chosen)
        counts.append(torch.from_numpy(RNG.random((rows, length)) < 0.7))
    return found, sets, counts


@pytest.mark.parametrize("causal", [True, False])
def test_even_attention_becomes_pairs(causal: bool) -> None:
    attention, sets, counts = patterns(causal)
    pairs = harden(attention, counts, causal)
    assert pairs is not None
    expected, start = set(), 0
    for chosen, count in zip(sets, counts, strict=True):
        rows, length = count.shape
        for b in range(rows):
            for q in range(length):
                for k in range(q + 1 if causal else length):
                    if count[b, q]:
                        at = start + b * length
                        expected.add((at + q, at + k, bool(chosen[b, q, k])))
        start += rows * length
    assert set(zip(pairs.query.tolist(), pairs.key.tolist(), pairs.looked.tolist(), strict=True)) == expected


def test_uneven_attention_is_refused_unless_it_does_not_count() -> None:
    attention, _, counts = patterns(False)
    attention[0][1, 2] = torch.tensor([0.5, 0.3, 0.2, 0.0])
    counts[0][1, 2] = True
    assert harden(attention, counts, False) is None
    counts[0][1, 2] = False
    assert harden(attention, counts, False) is not None


def test_a_soft_head_is_refused() -> None:
    attention, _, counts = patterns(False, sharpness=1.0)
    assert harden(attention, counts, False) is None


def test_thinned_pairs_keep_whole_queries() -> None:
    attention, _, counts = patterns(False)
    pairs = harden(attention, counts, False)
    assert pairs is not None
    few = pairs.thinned(30, 0)
    assert 0 < len(few.query) < len(pairs.query)
    for query in np.unique(few.query):
        assert (few.query == query).sum() == (pairs.query == query).sum()
    assert pairs.thinned(10_000, 0) is pairs


def test_resting_places_stand_once_in_every_row() -> None:
    tokens = Column("tokens", None, "category", np.array([9, 1, 2, 9, 2, 2, 9, 1]))
    rows = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    assert [c for _, c in resting_places([tokens], rows)] == [9]
    number = Column("n", None, "int", tokens.values)
    assert resting_places([number], rows) == []


def pairs_of(looks: list[list[int]]) -> Pairs:
    """Looks of three queries at three keys, of which the first is the resting place."""
    looked = np.array(looks, bool)
    query, key = np.divmod(np.arange(9), 3)
    return Pairs(query, key, looked.reshape(-1))


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([[1, 0, 1], [1, 1, 1], [1, 0, 0]], Rest.ALWAYS),
        ([[1, 0, 0], [0, 1, 1], [0, 0, 1]], Rest.ELSE),
        ([[0, 1, 0], [0, 1, 1], [0, 0, 1]], Rest.NEVER),
        ([[1, 0, 1], [0, 1, 1], [1, 0, 0]], Rest.NONE),
    ],
)
def test_how_a_head_rests(looks: list[list[int]], expected: Rest) -> None:
    assert rests(pairs_of(looks), np.array([True, False, False])) is expected


def test_a_place_that_not_every_query_sees_is_no_resting_place() -> None:
    pairs = pairs_of([[1, 0, 1], [1, 1, 1], [1, 0, 0]]).at(np.arange(9) != 3)
    assert rests(pairs, np.array([True, False, False])) is Rest.NONE
