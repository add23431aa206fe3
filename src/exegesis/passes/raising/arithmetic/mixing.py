"""Which weights the network gives its frequencies: by mixing, at each frequency, the logits of two inputs.

Every frequency of the answer is taken from one of two inputs at random. What the network's logits then say depends on
how strong each frequency is, where on plain inputs all frequencies agree and any weights would do. Logits are linear in
the last layer, so this is an interchange in the subspaces that the last layer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from exegesis.measure.harmonics import Key

AnyKey = TypeVar("AnyKey", bound=Key)

Slot = Float[np.ndarray, "rows n"]
_SLACK = 0.005
_LARGEST = 100


@dataclass(frozen=True, eq=False)
class Mixing:
    """Mixed logits of the network, and what each frequency of a program would add to its own.

    Attributes:
        said: the network's answers after mixing, [r].
        parts: per frequency, the program's votes at weight 1, from the input that the mixing took, [r, n].
    """

    said: Int[np.ndarray, " r"]
    parts: tuple[Slot, ...]

    @classmethod
    def draw(
        cls,
        logits: Slot,
        slots: Mapping[AnyKey, Slot],
        votes: Mapping[AnyKey, Slot],
        seed: int,
        count: int = 2048,
    ) -> Mixing:
        """Mixes random pairs of inputs.

        Args:
            logits: of the network on all inputs, [rows, n].
            slots: their part at each frequency.
            votes: the program's votes at weight 1 for each frequency.
            seed: draws inputs, and what is taken from which.
            count: how many mixtures.
        """
        rng = np.random.default_rng(seed)
        base, source = rng.integers(len(logits), size=(2, count))
        mixed, parts = logits[base], []
        for f in votes:
            chosen = np.where(rng.random(count) < 0.5, base, source)
            mixed = mixed + slots[f][chosen] - slots[f][base]
            parts.append(votes[f][chosen])
        return cls(mixed.argmax(1), tuple(parts))

    def kept(self, weights: Float[np.ndarray, " f"]) -> float:
        """Share of mixtures on which the program with these weights says what the network says."""
        total = sum(w * p for w, p in zip(weights, self.parts, strict=True))
        return float((np.asarray(total).argmax(1) == self.said).mean())

    def rounded(self, weights: Float[np.ndarray, " f"]) -> tuple[int, ...]:
        """The smallest whole weights that keep as many answers as the given ones, but for half a per cent."""
        goal = self.kept(weights) - _SLACK
        scaled = weights / weights.max()
        tried = (np.maximum(np.round(scaled * largest), 1) for largest in range(1, _LARGEST))
        enough = next((w for w in tried if self.kept(w) >= goal), np.maximum(np.round(scaled * _LARGEST), 1))
        return tuple(int(w) for w in enough)
