"""How the outputs of a network are read as answers.

An answer has one canonical NumPy form per readout, so that a network's logits, a program's entries and the labels of
a dataset are compared in the same way: `argmax` an int64 index, `sign` a boolean row over the outputs, `value` a
float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from exegesis.ir import InputError

Answers: TypeAlias = NDArray[Any]
Entry: TypeAlias = int | list[int] | float


def _check_logits(logits: NDArray[Any]) -> None:
    if logits.ndim != 2:
        raise InputError(f"Outputs to be read need the shape [n, outputs], not {list(logits.shape)}.")
    if np.isnan(logits).any():
        rows = int(np.isnan(logits).any(1).sum())
        raise InputError(f"The network's outputs are NaN for {rows} of {len(logits)} answers.")


def _check_comparable(a: Answers, b: Answers) -> None:
    if a.ndim != b.ndim or len(a) != len(b):
        raise InputError(f"Answers of shapes {list(a.shape)} and {list(b.shape)} cannot be compared.")


@dataclass(frozen=True)
class Argmax:
    """The answer is the output with the largest logit (the first of equals).

    Args:
        outputs: the output indices that compete, in any order; None means all of them. The answer is one of these
            indices, not its rank among them.
    """

    outputs: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.outputs is not None and (not self.outputs or len(set(self.outputs)) < len(self.outputs)):
            raise InputError("The outputs of an argmax readout must be a non-empty list without repetition.")
        if self.outputs is not None and min(self.outputs) < 0:
            raise InputError(f"The argmax readout names output {min(self.outputs)}; outputs are counted from 0.")

    def answers(self, logits: NDArray[Any]) -> Int[np.ndarray, " n"]:
        """Indices [n] of logits [n, outputs]. Raises InputError where logits are NaN or an output does not exist."""
        _check_logits(logits)
        if self.outputs is None:
            return np.asarray(logits.argmax(1), dtype=np.int64)
        if max(self.outputs) >= logits.shape[1]:
            raise InputError(
                f"The readout names output {max(self.outputs)}, but the network has {logits.shape[1]} outputs."
            )
        outputs = np.array(self.outputs, dtype=np.int64)
        chosen: NDArray[np.int64] = outputs[logits[:, outputs].argmax(1)]
        return chosen

    def equal(self, a: Int[np.ndarray, " n"], b: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
        """Which answers agree, [n]."""
        _check_comparable(a, b)
        return np.asarray(a == b, dtype=np.bool_)

    def to_entries(self, answers: Int[np.ndarray, " n"]) -> list[Entry]:
        """The answers as a program's `run` returns them: ints."""
        return [int(answer) for answer in answers]

    def from_entries(self, entries: Sequence[object]) -> Int[np.ndarray, " n"]:
        """Canonical answers [n] of what a program returned. Raises InputError where an entry is not an int."""
        for entry in entries:
            if isinstance(entry, bool) or not isinstance(entry, int | np.integer):
                raise InputError(f"An argmax program must return ints, not {entry!r}.")
        return np.array(entries, dtype=np.int64)


@dataclass(frozen=True)
class Sign:
    """The answer is the set of outputs whose logit is positive."""

    def answers(self, logits: NDArray[Any]) -> Bool[np.ndarray, "n outputs"]:
        """Which logits [n, outputs] are positive. Raises InputError where logits are NaN."""
        _check_logits(logits)
        return np.asarray(logits > 0, dtype=np.bool_)

    def equal(self, a: Bool[np.ndarray, "n left"], b: Bool[np.ndarray, "m right"]) -> Bool[np.ndarray, " n"]:
        """Which sets are the same, [n]; outputs that one side does not have count as absent from its set."""
        _check_comparable(a, b)
        narrow, wide = sorted((a, b), key=lambda sets: sets.shape[1])
        shared = narrow.shape[1]
        same = (narrow == wide[:, :shared]).all(1) & ~wide[:, shared:].any(1)
        return np.asarray(same, dtype=np.bool_)

    def to_entries(self, answers: Bool[np.ndarray, "n outputs"]) -> list[Entry]:
        """The answers as a program's `run` returns them: sorted lists of ints."""
        return [np.flatnonzero(row).tolist() for row in answers]

    def from_entries(self, entries: Sequence[object]) -> Bool[np.ndarray, "n outputs"]:
        """Canonical answers [n, outputs] of what a program returned, as wide as the largest index needs.

        Raises InputError where an entry is not a list of non-negative ints.
        """
        for entry in entries:
            if not isinstance(entry, list) or not all(isinstance(i, int | np.integer) and i >= 0 for i in entry):
                raise InputError(f"A sign program must return lists of output indices, not {entry!r}.")
        pairs = [(row, index) for row, entry in enumerate(entries) for index in cast("Sequence[int]", entry)]
        rows, indices = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        answers = np.zeros((len(entries), int(indices.max(initial=-1)) + 1), dtype=np.bool_)
        answers[rows, indices] = True
        return answers


@dataclass(frozen=True)
class Value:
    """The answer is the network's single output, and two answers agree within `tolerance` (in the output's units)."""

    tolerance: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0):
            raise InputError(f"A tolerance must be a finite number of at least 0, not {self.tolerance}.")

    def answers(self, logits: NDArray[Any]) -> Float[np.ndarray, " n"]:
        """The values [n] of outputs [n, 1]. Raises InputError where they are NaN, infinite or more than one."""
        _check_logits(logits)
        if logits.shape[1] != 1:
            raise InputError(f"A value readout needs a network with one output; this one has {logits.shape[1]}.")
        if not np.isfinite(logits).all():
            raise InputError("The network's value is infinite.")
        return logits[:, 0].astype(np.float64)

    def equal(self, a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
        """Which answers agree, [n]."""
        _check_comparable(a, b)
        return np.asarray(np.abs(a - b) <= self.tolerance, dtype=np.bool_)

    def to_entries(self, answers: Float[np.ndarray, " n"]) -> list[Entry]:
        """The answers as a program's `run` returns them: floats."""
        return [float(answer) for answer in answers]

    def from_entries(self, entries: Sequence[object]) -> Float[np.ndarray, " n"]:
        """Canonical answers [n] of what a program returned. Raises InputError where an entry is not a number."""
        for entry in entries:
            if isinstance(entry, bool) or not isinstance(entry, int | float | np.number):
                raise InputError(f"A value program must return numbers, not {entry!r}.")
        return np.array(entries, dtype=np.float64)


Readout: TypeAlias = Argmax | Sign | Value
