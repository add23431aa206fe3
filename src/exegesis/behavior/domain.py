"""Where the inputs of a sequence behaviour come from.

A domain knows its size (None where it has none), lists its inputs in batches `[b, s]` of equal length, draws from
them uniformly and tells whether a sequence belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from exegesis.behavior.sequences import SequenceSplit
from exegesis.behavior.splits import Splits
from exegesis.ir import InputError

Ids: TypeAlias = Int[np.ndarray, "b s"]


def _ascending(batches: Mapping[int, list[Sequence[int]]]) -> Iterator[Ids]:
    for length in sorted(batches):
        yield np.array(batches[length], dtype=np.int64).reshape(-1, length)


@dataclass(frozen=True)
class ProductDomain:
    """Every choice of one alternative per position.

    Args:
        positions: the token ids that may stand at each position, each list without repetition.
    """

    positions: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.positions:
            raise InputError("A product domain needs at least one position.")
        for i, alternatives in enumerate(self.positions):
            if not alternatives or len(set(alternatives)) < len(alternatives):
                raise InputError(f"Position {i} of the product domain needs alternatives, none of them twice.")

    @property
    def alphabet(self) -> Int[np.ndarray, " letters"]:
        """Token ids that stand where there is a choice, ascending."""
        return np.array(sorted({t for p in self.positions if len(p) > 1 for t in p}), dtype=np.int64)

    def size(self) -> int:
        """The number of sequences."""
        return math.prod(len(alternatives) for alternatives in self.positions)

    def _take(self, index: Int[np.ndarray, " b"]) -> Ids:
        columns = []
        for alternatives in reversed(self.positions):
            index, digit = np.divmod(index, len(alternatives))
            columns.append(np.array(alternatives, dtype=np.int64)[digit])
        return np.stack(columns[::-1], axis=1)

    def enumerate(self, chunk: int = 4096) -> Iterator[Ids]:
        """All sequences, the last position turning fastest, at most `chunk` at a time."""
        size = self.size()
        for start in range(0, size, chunk):
            yield self._take(np.arange(start, min(start + chunk, size)))

    def sample(self, n: int, rng: Generator) -> Iterator[Ids]:
        """n sequences drawn uniformly, with replacement."""
        yield np.stack([rng.choice(np.array(p, dtype=np.int64), size=n) for p in self.positions], axis=1)

    def contains(self, ids: Sequence[int]) -> bool:
        """Whether the sequence belongs to the domain."""
        return len(ids) == len(self.positions) and all(t in p for t, p in zip(ids, self.positions, strict=True))


@dataclass(frozen=True)
class StringsDomain:
    """Every string over an alphabet between two lengths, between a fixed prefix and suffix.

    Args:
        alphabet: token ids, none of them twice.
        min_length, max_length: bounds on the length of the string without prefix and suffix.
        prefix, suffix: token ids around the string.
    """

    alphabet_ids: tuple[int, ...]
    min_length: int
    max_length: int
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.alphabet_ids or len(set(self.alphabet_ids)) < len(self.alphabet_ids):
            raise InputError("A strings domain needs an alphabet without repetition.")
        shortest = self.min_length + len(self.prefix) + len(self.suffix)
        if not 0 <= self.min_length <= self.max_length or shortest == 0:
            raise InputError(
                f"A strings domain needs 0 <= min_length <= max_length and no empty input, "
                f"not {self.min_length} and {self.max_length}."
            )

    @property
    def alphabet(self) -> Int[np.ndarray, " letters"]:
        """Token ids of the alphabet, ascending."""
        return np.array(sorted(self.alphabet_ids), dtype=np.int64)

    def _product(self, length: int) -> ProductDomain:
        fixed = [tuple((t,) for t in part) for part in (self.prefix, self.suffix)]
        return ProductDomain(fixed[0] + (self.alphabet_ids,) * length + fixed[1])

    @property
    def _counts(self) -> list[int]:
        return [len(self.alphabet_ids) ** length for length in range(self.min_length, self.max_length + 1)]

    def size(self) -> int:
        """The number of sequences."""
        return sum(self._counts)

    def enumerate(self, chunk: int = 4096) -> Iterator[Ids]:
        """All sequences, shortest first, at most `chunk` at a time."""
        for length in range(self.min_length, self.max_length + 1):
            yield from self._product(length).enumerate(chunk)

    def sample(self, n: int, rng: Generator) -> Iterator[Ids]:
        """n sequences drawn uniformly from all of them, with replacement: so mostly the longest ones."""
        counts = np.array([count / self.size() for count in self._counts])
        for length, drawn in enumerate(rng.multinomial(n, counts / counts.sum()), start=self.min_length):
            if drawn:
                yield from self._product(length).sample(int(drawn), rng)

    def contains(self, ids: Sequence[int]) -> bool:
        """Whether the sequence belongs to the domain."""
        length = len(ids) - len(self.prefix) - len(self.suffix)
        return self.min_length <= length <= self.max_length and self._product(length).contains(ids)


@dataclass(frozen=True, eq=False)
class SamplerDomain:
    """Whatever a function draws.

    Args:
        draw: `(n, rng) -> n sequences of token ids`.
        accepts: tells whether a sequence could have been drawn; None where nobody knows.
    """

    draw: Callable[[int, Generator], Iterable[Sequence[int]]]
    accepts: Callable[[Sequence[int]], bool] | None = None

    def size(self) -> None:
        """None: nobody knows how much there is to draw."""
        return

    def enumerate(self, chunk: int = 4096) -> Iterator[Ids]:
        """Always raises InputError: a sampler cannot be listed."""
        raise InputError("A domain given by a sampler cannot be enumerated; draw from it with sample().")

    def sample(self, n: int, rng: Generator) -> Iterator[Ids]:
        """n drawn sequences, grouped by length, shortest first. InputError where the sampler draws another number."""
        by_length: dict[int, list[Sequence[int]]] = {}
        drawn = [list(ids) for ids in self.draw(n, rng)]
        if len(drawn) != n:
            raise InputError(f"The sampler of the domain was asked for {n} sequences and returned {len(drawn)}.")
        for ids in drawn:
            by_length.setdefault(len(ids), []).append(ids)
        yield from _ascending(by_length)

    def contains(self, ids: Sequence[int]) -> bool:
        """Whether the sequence belongs to the domain. Raises InputError where the sampler came without `accepts`."""
        if self.accepts is None:
            raise InputError("The domain's sampler came without a function that tells what belongs to it.")
        return self.accepts(ids)


@dataclass(frozen=True, eq=False)
class DatasetDomain:
    """The distinct inputs of the behaviour's own splits, of which no more is known.

    Args:
        splits: the splits; loaded when first needed.
    """

    splits: Splits

    @cached_property
    def _by_length(self) -> dict[int, Ids]:
        found: dict[int, list[Ids]] = {}
        for split in self.splits.values():
            if not isinstance(split, SequenceSplit):
                raise InputError("A behaviour over arrays has its rows as inputs, not a domain of sequences.")
            for batch in split.batches(max_tokens=int(split.offsets[-1])):
                found.setdefault(batch.input_ids.shape[1], []).append(batch.input_ids)
        return {length: np.unique(np.concatenate(found[length]), axis=0) for length in sorted(found)}

    def size(self) -> int:
        """The number of distinct sequences of token ids."""
        return sum(len(ids) for ids in self._by_length.values())

    def enumerate(self, chunk: int = 4096) -> Iterator[Ids]:
        """All distinct sequences, shortest first, at most `chunk` at a time."""
        for ids in self._by_length.values():
            for start in range(0, len(ids), chunk):
                yield ids[start : start + chunk]

    def sample(self, n: int, rng: Generator) -> Iterator[Ids]:
        """n sequences drawn uniformly from the distinct ones, with replacement, grouped by length."""
        counts = np.array([len(ids) for ids in self._by_length.values()])
        drawn = rng.multinomial(n, counts / counts.sum())
        for ids, k in zip(self._by_length.values(), drawn, strict=True):
            if k:
                yield ids[rng.integers(len(ids), size=int(k))]

    def contains(self, ids: Sequence[int]) -> bool:
        """Whether the sequence is one of the splits' inputs."""
        known = self._by_length.get(len(ids))
        return known is not None and bool((known == np.array(ids)).all(1).any())


Domain: TypeAlias = ProductDomain | StringsDomain | SamplerDomain | DatasetDomain
