"""Domains against itertools."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior import (
    Argmax,
    Behavior,
    DatasetDomain,
    Domain,
    ProductDomain,
    SamplerDomain,
    SequenceRow,
    StringsDomain,
)
from exegesis.ir import InputError

# Strategies give classes with arguments: checking types at run time draws random numbers, which they must not.
letters = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True).map(tuple)
products = st.lists(letters, min_size=1, max_size=4).map(lambda positions: (ProductDomain, tuple(positions)))


@st.composite
def strings(draw: st.DrawFn) -> tuple[Any, ...]:
    low, extra = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    ends = st.lists(st.integers(6, 8), max_size=2).map(tuple)
    return StringsDomain, draw(letters), low, low + extra, (9,), draw(ends)


def listed(domain: Domain, chunk: int) -> list[tuple[int, ...]]:
    return [tuple(row.tolist()) for batch in domain.enumerate(chunk) for row in batch]


def by_hand(domain: ProductDomain | StringsDomain) -> list[tuple[int, ...]]:
    if isinstance(domain, ProductDomain):
        return list(itertools.product(*domain.positions))
    lengths = range(domain.min_length, domain.max_length + 1)
    cores = itertools.chain.from_iterable(itertools.product(domain.alphabet_ids, repeat=n) for n in lengths)
    return [(*domain.prefix, *core, *domain.suffix) for core in cores]


@given(products | strings(), st.integers(1, 7))
def test_enumeration_is_complete_and_size_counts_it(made: Any, chunk: int) -> None:
    domain = made[0](*made[1:])
    expected = by_hand(domain)
    assert listed(domain, chunk) == expected
    assert domain.size() == len(expected)
    assert all(len(batch) <= chunk for batch in domain.enumerate(chunk))


@given(products | strings(), st.lists(st.integers(0, 9), max_size=7), st.integers(0, 99))
def test_samples_belong_and_belonging_is_being_listed(made: Any, other: list[int], seed: int) -> None:
    domain = made[0](*made[1:])
    members = set(by_hand(domain))
    drawn = [row.tolist() for batch in domain.sample(12, np.random.default_rng(seed)) for row in batch]
    assert len(drawn) == 12
    assert all(tuple(ids) in members and domain.contains(ids) for ids in drawn)
    assert domain.contains(other) == (tuple(other) in members)


def test_strings_are_drawn_uniformly_from_all_lengths_together() -> None:
    domain = StringsDomain((0, 1), 1, 3)
    batches = list(domain.sample(14_000, np.random.default_rng(0)))
    assert len(batches) == 3
    counts = Counter(tuple(row.tolist()) for batch in batches for row in batch)
    assert len(counts) == 14
    assert all(abs(count - 1000) < 150 for count in counts.values())


def test_a_domain_too_large_to_list_still_counts_and_lists_its_first() -> None:
    domain = ProductDomain(((0, 1, 2),) * 60)
    assert domain.size() == 3**60
    assert next(domain.enumerate(2))[1].tolist() == [0] * 59 + [1]


def test_dataset_domain_is_what_the_splits_hold() -> None:
    rows = {"train": [[0, 1], [0], [0, 1]], "test": [[1, 1], [0, 1]]}
    splits = {name: [SequenceRow(ids, [0]) for ids in given] for name, given in rows.items()}
    domain = Behavior.from_sequences("made", ("a", "b"), splits, Argmax()).domain
    assert isinstance(domain, DatasetDomain)
    assert listed(domain, 1) == [(0,), (0, 1), (1, 1)]
    assert domain.size() == 3
    assert domain.contains([1, 1])
    assert not domain.contains([1])
    assert not domain.contains([1, 0])
    drawn = [tuple(row) for batch in domain.sample(300, np.random.default_rng(1)) for row in batch.tolist()]
    assert set(drawn) == {(0,), (0, 1), (1, 1)}
    assert len(drawn) == 300


def test_a_dataset_of_arrays_is_no_domain_of_sequences() -> None:
    domain = Behavior.from_arrays("made", {"train": (np.zeros((1, 2)), None)}, Argmax()).domain
    with pytest.raises(InputError, match="has its rows as inputs"):
        domain.size()


def test_sampler() -> None:
    domain = SamplerDomain(
        lambda n, rng: [[0] * int(k) for k in rng.integers(1, 4, size=n)], lambda ids: set(ids) == {0}
    )
    batches = list(domain.sample(50, np.random.default_rng(0)))
    assert sum(len(batch) for batch in batches) == 50
    assert [batch.shape[1] for batch in batches] == [1, 2, 3]
    assert domain.size() is None
    assert domain.contains([0, 0])
    assert not domain.contains([1])
    with pytest.raises(InputError, match="cannot be enumerated"):
        domain.enumerate()
    with pytest.raises(InputError, match="asked for 3 sequences and returned 1"):
        list(SamplerDomain(lambda n, rng: [[0]]).sample(3, np.random.default_rng(0)))
    with pytest.raises(InputError, match="without a function"):
        SamplerDomain(lambda n, rng: [[0]]).contains([0])


@pytest.mark.parametrize("positions", [(), ((0,), ()), ((0, 0),)])
def test_product_domains_must_make_sense(positions: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(InputError, match="product domain"):
        ProductDomain(positions)


@pytest.mark.parametrize(("alphabet", "low", "high"), [((), 1, 2), ((0, 0), 1, 2), ((0,), 2, 1), ((0,), 0, 3)])
def test_strings_domains_must_make_sense(alphabet: tuple[int, ...], low: int, high: int) -> None:
    with pytest.raises(InputError, match="strings domain"):
        StringsDomain(alphabet, low, high)
