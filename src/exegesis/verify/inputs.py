"""Inputs that an attack may change: tokens of one length, which of them carry content, and what may stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int
from numpy.random import Generator

from exegesis.behavior import ProductDomain, SequenceBatch, StringsDomain, domain_split
from exegesis.verify.network import Reference

Ids = Int[np.ndarray, "_b _s"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Token ids of one length with everything else a row of the behaviour has.

    Attributes:
        ids: [b, s].
        positions: position ids [b, s], or None.
        scored: [b, s].
    """

    ids: Ids
    positions: Ids | None
    scored: Bool[np.ndarray, "b s"]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def length(self) -> int:
        """Tokens of each."""
        return int(self.ids.shape[1])

    @cached_property
    def batch(self) -> SequenceBatch:
        """The inputs as a batch of the behaviour."""
        at = np.arange(int(self.scored.sum()))
        return SequenceBatch(np.arange(len(self)), self.ids, self.positions, self.scored, at, None)

    @property
    def row_of_answers(self) -> Int[np.ndarray, " k"]:
        """Which input each answer of the batch belongs to."""
        return np.nonzero(self.scored)[0]

    def take(self, rows: Int[np.ndarray, " m"]) -> Inputs:
        """These inputs."""
        return Inputs(self.ids[rows], None if self.positions is None else self.positions[rows], self.scored[rows])

    def with_ids(self, ids: Ids) -> Inputs:
        """Other tokens in the same places."""
        return replace(self, ids=ids)

    @classmethod
    def stacked(cls, parts: Sequence[Inputs]) -> Inputs:
        """All of them, one part after the other; positions are kept where all parts have them."""
        positions = [p.positions for p in parts if p.positions is not None]
        return cls(
            np.concatenate([p.ids for p in parts]),
            np.concatenate(positions) if len(positions) == len(parts) else None,
            np.concatenate([p.scored for p in parts]),
        )

    @classmethod
    def of(cls, batch: SequenceBatch) -> Inputs:
        """The inputs of a batch, without its labels."""
        return cls(batch.input_ids, batch.position_ids, batch.scored)


@dataclass(frozen=True, eq=False)
class Space:
    """What may be changed in inputs, and which of the results the behaviour asks about."""

    reference: Reference

    @property
    def closed(self) -> bool:
        """Whether every change stays among the inputs that the behaviour asks about."""
        return isinstance(self.reference.behavior.domain, ProductDomain | StringsDomain)

    @cached_property
    def letters(self) -> Int[np.ndarray, " letters"]:
        """The tokens that may be put in."""
        return self.reference.behavior.alphabet

    def changeable(self, inputs: Inputs) -> Bool[np.ndarray, "b s"]:
        """Where another token may stand."""
        domain = self.reference.behavior.domain
        if isinstance(domain, ProductDomain):
            row = np.array([len(p) > 1 for p in domain.positions])
            return np.broadcast_to(row, inputs.ids.shape)
        if isinstance(domain, StringsDomain):
            row = np.zeros(inputs.length, dtype=np.bool_)
            row[len(domain.prefix) : inputs.length - len(domain.suffix)] = True
            return np.broadcast_to(row, inputs.ids.shape)
        return np.isin(inputs.ids, self.letters)

    def allowed(self, length: int) -> Bool[np.ndarray, "s letters"]:
        """Which letters may stand at each position where one may stand."""
        domain = self.reference.behavior.domain
        if isinstance(domain, ProductDomain):
            return np.array([np.isin(self.letters, p) for p in domain.positions])
        return np.ones((length, len(self.letters)), dtype=np.bool_)

    def mutated(self, inputs: Inputs, where: Bool[np.ndarray, "b s"], rng: Generator) -> Inputs:
        """Another random letter at each of these places, where there is another."""
        allowed = self.allowed(inputs.length)[None] & (self.letters[None, None] != inputs.ids[..., None])
        keys = np.where(allowed, rng.random(allowed.shape), -1.0)
        new = self.letters[keys.argmax(-1)]
        return inputs.with_ids(np.where(where & allowed.any(-1), new, inputs.ids))

    def starts(self, split: str, n: int, rng: Generator, *, lengths: int = 4) -> list[Inputs]:
        """About n inputs in batches of equal length: rows of a split, or of the domain where that is closed."""
        behavior = self.reference.behavior
        if isinstance(behavior.domain, ProductDomain | StringsDomain):
            drawn = [ids[: -(-n // 2)] for ids in behavior.domain.sample(n, rng)]
            return [Inputs.of(domain_split(behavior, ids).gather(np.arange(len(ids)))) for ids in drawn if len(ids)]
        rows = behavior.sequences(split)
        found, counts = np.unique(rows.lengths, return_counts=True)
        chosen = rng.choice(found, size=min(lengths, len(found)), replace=False, p=counts / counts.sum())
        each = -(-n // len(chosen))
        parts = [rng.permutation(np.flatnonzero(rows.lengths == length))[:each] for length in np.sort(chosen)]
        return [Inputs.of(rows.gather(np.sort(part))) for part in parts]
