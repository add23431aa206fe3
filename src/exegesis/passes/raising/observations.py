"""What a fit may look at: the values of program variables, and the network's answers, at scored positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import log2

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Observations:
    """Values of variables at n scored positions, with what the network answered there.

    Attributes:
        categories: node id → [n] integers (−1: none).
        sizes: node id → how many categories it has.
        counts: node id → [n, classes] reals (counts or shares).
        answers: [n] integers (argmax), or [n, outputs] booleans (sign).
        classes: how many answers there can be.
        cost: node id → bits that the program pays for having the variable at all.
        seed: for whatever a fit has to sample.
        offsets: pairs of categories that are the same unless one changes hands: what the one adds to a threshold, the
            other takes back.
        places: categories that say where a position is and nothing else. They go with much that heads gather, so that
            cases made of them come after what was gathered.
    """

    categories: Mapping[str, NDArray[np.int64]]
    sizes: Mapping[str, int]
    counts: Mapping[str, NDArray[np.float64]]
    answers: Array
    classes: int = 0
    cost: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    offsets: tuple[tuple[str, str], ...] = ()
    places: frozenset[str] = frozenset()

    def price_of(self, variables: Iterable[str]) -> float:
        """Bits for having these variables."""
        return sum(self.cost.get(v, 0.0) for v in sorted(variables))  # in one order, so that sums are equal

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def values(self) -> dict[str, Array]:
        """All variables in one mapping."""
        return {**self.categories, **self.counts}

    def at(self, where: NDArray[np.bool_]) -> Observations:
        """The observations where a mask holds."""
        return replace(
            self,
            categories={k: v[where] for k, v in self.categories.items()},
            counts={k: v[where] for k, v in self.counts.items()},
            answers=self.answers[where],
        )


def error_bits(errors: int, n: int, outcomes: int) -> float:
    """Bits to say which of n answers are wrong and what they are instead."""
    if errors == 0:
        return 0.0
    return errors * (log2(max(n, 2)) + log2(max(outcomes, 2)))
