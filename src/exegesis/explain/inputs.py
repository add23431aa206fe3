"""The inputs to be explained, as a network takes them: rows of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Answers, Behavior
from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows of one shape.

    Args:
        rows: which rows of the split these are, [n].
        x: real inputs [n, ...] as the network takes them; None for token sequences.
        tokens: ids [n, s]; None for real inputs.
        positions: position ids [n, s], or None.
        at: the last scored position of each row, [n]; None for real inputs.
        expected: the task's own answers of real inputs, canonical, or None.
    """

    rows: Int[np.ndarray, " n"]
    x: Float[Tensor, "n ..."] | None = None
    tokens: Int[Tensor, "n s"] | None = None
    positions: Int[Tensor, "n s"] | None = None
    at: Int[Tensor, " n"] | None = None
    expected: Answers | None = None

    def __post_init__(self) -> None:
        if (self.x is None) == (self.tokens is None):
            raise InputError("Inputs are either real numbers or token ids.")

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, n: int) -> Inputs:
        """The first n rows."""
        return self.select(np.arange(min(n, len(self))))

    def select(self, at: NDArray[np.int64]) -> Inputs:
        """These rows in this order."""
        index = torch.from_numpy(at)
        parts = {
            name: None if value is None else value[index]
            for name, value in (("x", self.x), ("tokens", self.tokens), ("positions", self.positions), ("at", self.at))
        }
        expected = None if self.expected is None else self.expected[at]
        return replace(self, rows=self.rows[at], expected=expected, **parts)

    @classmethod
    def of(cls, x: Tensor | NDArray[Any]) -> Inputs:
        """Real inputs [n, ...] made in Python. Raises InputError where they are none, or not finite."""
        tensor = torch.as_tensor(x)
        if tensor.ndim < 2 or not tensor.is_floating_point() or not len(tensor):
            raise InputError(
                f"Inputs to explain are floats [n, ...], not {tensor.dtype} of shape {list(tensor.shape)}."
            )
        if not bool(tensor.isfinite().all()):
            raise InputError("The inputs to explain hold a number that is NaN or infinite.")
        return cls(np.arange(len(tensor)), tensor.detach())


def read_inputs(behavior: Behavior, split: str, index: Sequence[int] | range | None = None) -> tuple[Inputs, ...]:
    """Rows of a split, one group for each shape (sequences of one length go together).

    Args:
        behavior: where they come from.
        split: its name.
        index: which rows, counted from 0; None for all.

    Raises:
        InputError: no such split or row.
    """
    rows_of = behavior.split(split)
    chosen = np.arange(len(rows_of)) if index is None else np.asarray(list(index), dtype=np.int64)
    wrong = chosen[(chosen < 0) | (chosen >= len(rows_of))]
    if len(wrong):
        raise InputError(f"Split {split} has no row {int(wrong[0])}: it has {len(rows_of)}, counted from 0.")
    if not len(chosen):
        raise InputError("No rows were chosen to be explained.")
    if not behavior.is_sequence:
        batch = behavior.arrays(split).gather(chosen)
        return (Inputs(chosen, x=torch.from_numpy(batch.x), expected=batch.expected),)
    groups = []
    for found in behavior.sequences(split).select(chosen).batches():
        scored = found.scored
        if not scored.any(1).all():
            raise InputError(
                f"Row {int(chosen[found.rows[~scored.any(1)][0]])} of split {split} has no scored position."
            )
        last = scored.shape[1] - 1 - scored[:, ::-1].argmax(1)
        groups.append(
            Inputs(
                chosen[found.rows],
                tokens=torch.from_numpy(np.ascontiguousarray(found.input_ids)).long(),
                positions=None if found.position_ids is None else torch.from_numpy(found.position_ids).long(),
                at=torch.from_numpy(last.copy()),
            )
        )
    return tuple(groups)


def names_of(behavior: Behavior) -> dict[str, tuple[str, ...]]:
    """What a behaviour calls its outputs, features and tokens; what has no names is left out."""
    layout = behavior.layout
    return {
        key: own
        for key, own in (
            ("outputs", behavior.output_names or behavior.vocabulary.labels),
            ("features", (layout.features if layout is not None else None) or ()),
            ("tokens", behavior.vocabulary.labels),
        )
        if own
    }
