"""Splits of behaviours over arrays (images, tables, observations): one input per row, all of one shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray

from exegesis.behavior.readout import Answers, Argmax, Readout, Sign
from exegesis.ir import InputError

Stored: TypeAlias = Literal["uint8", "int32", "int64", "float32", "float64", "bool"]


@dataclass(frozen=True)
class ArrayInput:
    """What one input looks like.

    Args:
        shape: shape of one input, without the batch axis.
        stored: NumPy dtype of the file, e.g. `uint8`.
        scale: stored numbers are divided by this before the network sees them (255 for images in [0, 1]).
        features: a name for each number of one input, as for the columns of a table; None where they have none.

    Raises:
        InputError: names that are empty, come twice, or are more or fewer than the numbers.
    """

    shape: tuple[int, ...]
    stored: str
    scale: float = 1.0
    features: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.features is None:
            return
        if len(self.features) != math.prod(self.shape):
            raise InputError(
                f"{len(self.features)} features are named, but one input holds {math.prod(self.shape)} numbers."
            )
        if twice := [name for k, name in enumerate(self.features) if not name or name in self.features[:k]]:
            raise InputError(f"Features need names that differ; {twice[0]!r} is empty or comes twice.")


@dataclass(frozen=True, eq=False)
class ArrayBatch:
    """Rows of a split: `rows` [b], inputs `x` [b, ...] as the network takes them, `expected` answers or None."""

    rows: Int[np.ndarray, " b"]
    x: Float[np.ndarray, "b ..."]
    expected: Answers | None

    def at_scored(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """A network's outputs [b, outputs], every row of which is scored."""
        if outputs.ndim != 2 or len(outputs) != len(self.rows):
            raise InputError(
                f"A network over arrays must return outputs of shape {[len(self.rows), 'outputs']}; "
                f"this one returned {list(outputs.shape)}."
            )
        return outputs


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """The inputs of one split.

    Args:
        name: `train`, `test` …
        stored: inputs as the file has them, [n, ...].
        y: the task's own answers in the readout's canonical form, [n] or [n, outputs]; None where nobody knows them.
        scale: what stored numbers are divided by.
    """

    name: str
    stored: Shaped[np.ndarray, "n ..."]
    y: Answers | None = None
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def n_scored(self) -> int:
        """How many answers count: one per row."""
        return len(self)

    @property
    def x(self) -> Float[np.ndarray, "n ..."]:
        """All inputs as the network takes them, float32."""
        return self._inputs(np.arange(len(self)))

    def _inputs(self, rows: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b ..."]:
        inputs: NDArray[np.float32] = (self.stored[rows] / np.float32(self.scale)).astype(np.float32)
        return inputs

    def batches(self, max_elements: int = 1 << 22) -> Iterator[ArrayBatch]:
        """Every row once, in order, at most `max_elements` numbers at a time (or one row, where a row has more)."""
        if max_elements < 1:
            raise InputError(f"A batch needs room for at least one number, not {max_elements}.")
        step = max(1, max_elements // max(1, math.prod(self.stored.shape[1:])))
        for start in range(0, len(self), step):
            yield self.gather(np.arange(start, min(start + step, len(self))))

    def gather(self, rows: Int[np.ndarray, " b"]) -> ArrayBatch:
        """These rows as one batch."""
        return ArrayBatch(rows, self._inputs(rows), None if self.y is None else self.y[rows])

    def select(self, rows: Int[np.ndarray, " m"]) -> ArraySplit:
        """A split of these rows in this order."""
        return replace(self, stored=self.stored[rows], y=None if self.y is None else self.y[rows])

    def take(self, n: int, seed: int) -> ArraySplit:
        """At most n rows drawn without replacement, in the split's own order."""
        if n >= len(self):
            return self
        rows = np.random.default_rng(seed).choice(len(self), size=n, replace=False)
        return self.select(np.sort(rows))

    def concat(self, other: ArraySplit) -> ArraySplit:
        """The rows of this split, then those of `other`, under this split's name.

        Raises InputError where shapes or scales differ. Labels are kept where both have them.
        """
        if self.stored.shape[1:] != other.stored.shape[1:] or self.scale != other.scale:
            raise InputError(f"Splits {self.name} and {other.name} hold inputs of different shapes or scales.")
        y = None if self.y is None or other.y is None else np.concatenate([self.y, other.y])
        return replace(self, stored=np.concatenate([self.stored, other.stored]), y=y)


def check_arrays(
    name: str, x: NDArray[Any], y: NDArray[Any] | None, readout: Readout, n_labels: int | None, where: str
) -> tuple[NDArray[Any], Answers | None]:
    """Inputs and answers in canonical form.

    Args:
        name: name of the split.
        x: inputs [n, ...].
        y: answers [n], or [n, outputs] booleans for a `sign` readout, or None.
        readout: decides the form of y.
        n_labels: how many outputs have a name, None where they have none.
        where: how to call the arrays in an error.

    Raises:
        InputError: empty, not numbers, NaN or infinite, of different lengths, or answers the readout cannot give.
    """
    if str(x.dtype) not in get_args(Stored):
        raise InputError(f"{where}: x holds {x.dtype}; it needs one of {', '.join(get_args(Stored))}.")
    if x.ndim < 2 or x.size == 0:
        raise InputError(f"{where}: x has shape {list(x.shape)}; split {name} needs at least one input, one per row.")
    _check_finite("x", x, where)
    if y is None:
        return x, None
    if len(np.atleast_1d(y)) != len(x) or y.ndim == 0:
        raise InputError(f"{where}: x has {len(x)} rows, but y has shape {list(y.shape)}.")
    return x, _canonical(y, readout, n_labels, where)


def _canonical(y: NDArray[Any], readout: Readout, n_labels: int | None, where: str) -> Answers:
    shown = f"{y.dtype} {list(y.shape)}"
    match readout:
        case Argmax():
            if y.dtype.kind not in "iu" or y.ndim != 1:
                raise InputError(f"{where}: y must be integers [n] for an argmax readout, not {shown}.")
            allowed = readout.outputs or (None if n_labels is None else range(n_labels))
            wrong = y < 0 if allowed is None else ~np.isin(y, np.array(allowed))
            if wrong.any():
                row = int(np.argmax(wrong))
                raise InputError(f"{where}: y of row {row} is {int(y[row])}, which is none of the outputs.")
            return y.astype(np.int64)
        case Sign():
            if y.dtype.kind != "b" or y.ndim != 2:
                raise InputError(f"{where}: y must be booleans [n, outputs] for a sign readout, not {shown}.")
            return y
        case _:
            if y.dtype.kind not in "iuf" or y.ndim != 1:
                raise InputError(f"{where}: y must be numbers [n] for a value readout, not {shown}.")
            _check_finite("y", y, where)
            return y.astype(np.float64)


def _check_finite(name: str, values: NDArray[Any], where: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise InputError(f"{where}: {name} holds a number that is NaN or infinite, first in row {row}.")
