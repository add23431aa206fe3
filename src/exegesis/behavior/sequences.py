"""Splits of sequence behaviours: rows of different lengths, kept end to end and served in batches of equal length.

Padding would change what a bidirectional network says, so a batch never holds two lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from exegesis.behavior.ragged import flat_indices, offsets_of
from exegesis.behavior.readout import Answers, Argmax, Entry, Readout, Sign
from exegesis.ir import InputError


@dataclass(frozen=True)
class TokenSets:
    """Sets of output indices, one per scored position, laid end to end: the labels of a `sign` readout.

    Kept sparse, because a dense row per position is as wide as the vocabulary.
    """

    ids: Int[np.ndarray, " total"]
    offsets: Int[np.ndarray, " n_plus_1"]
    width: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def dense(self, at: Int[np.ndarray, " m"]) -> Bool[np.ndarray, "m width"]:
        """The sets at these indices in canonical form."""
        answers = np.zeros((len(at), self.width), dtype=np.bool_)
        rows = np.repeat(np.arange(len(at)), self.offsets[at + 1] - self.offsets[at])
        answers[rows, self.ids[flat_indices(self.offsets, at)]] = True
        return answers

    def select(self, at: Int[np.ndarray, " m"]) -> TokenSets:
        """The sets at these indices."""
        lengths = self.offsets[at + 1] - self.offsets[at]
        return TokenSets(self.ids[flat_indices(self.offsets, at)], offsets_of(lengths), self.width)

    def concat(self, other: TokenSets) -> TokenSets:
        """These sets, then those of `other`."""
        offsets = np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]])
        return TokenSets(np.concatenate([self.ids, other.ids]), offsets, max(self.width, other.width))


Expected: TypeAlias = NDArray[Any] | TokenSets


@dataclass(frozen=True)
class SequenceRow:
    """One sequence in plain Python, as a line of a split's file holds it.

    Args:
        input_ids: token ids.
        scored: positions whose output counts, ascending.
        position_ids: what the network takes as positions, as long as `input_ids`; None where it takes none.
        expected: the task's own answer at each scored position; None where nobody knows it.
    """

    input_ids: list[int]
    scored: list[int]
    position_ids: list[int] | None = None
    expected: list[Entry] | None = None


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """Rows of one length.

    Args:
        rows: which rows of the split these are, [b].
        input_ids: token ids, [b, s].
        position_ids: [b, s], or None where the network takes none.
        scored: which positions count, [b, s]. `scored_at` and `expected` list them in row-major order.
        scored_at: where each scored position stands in the order of the whole split, [k].
        expected: the task's own answers in the readout's canonical form, [k] or [k, outputs], or None.
    """

    rows: Int[np.ndarray, " b"]
    input_ids: Int[np.ndarray, "b s"]
    position_ids: Int[np.ndarray, "b s"] | None
    scored: Bool[np.ndarray, "b s"]
    scored_at: Int[np.ndarray, " k"]
    expected: Answers | None

    def at_scored(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The rows [k, outputs] at scored positions of a network's outputs [b, s, outputs]."""
        if outputs.ndim != 3 or outputs.shape[:2] != self.scored.shape:
            raise InputError(
                f"A sequence network must return outputs of shape {[*self.scored.shape, 'outputs']}, "
                f"one row per position; this one returned {list(outputs.shape)}."
            )
        scored: NDArray[Any] = outputs[self.scored]
        return scored


@dataclass(frozen=True, eq=False)
class SequenceSplit:
    """The rows of one split, laid end to end.

    Args:
        name: `train`, `test`, `long` …
        tokens: token ids of all rows, [total].
        offsets: where each row starts, [n + 1].
        scored: which of them count, [total].
        positions: position ids, [total], or None where the network takes none.
        expected: the task's own answer per scored position in order, canonical ([k]) or `TokenSets`; or None.
    """

    name: str
    tokens: Int[np.ndarray, " total"]
    offsets: Int[np.ndarray, " n_plus_1"]
    scored: Bool[np.ndarray, " total"]
    positions: Int[np.ndarray, " total"] | None = None
    expected: Expected | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[np.ndarray, " n"]:
        """Length of each row."""
        return np.diff(self.offsets)

    @property
    def n_scored(self) -> int:
        """How many scored positions there are in all rows together."""
        return int(self.scored.sum())

    @cached_property
    def _rank(self) -> Int[np.ndarray, " total_plus_1"]:
        """How many scored positions come before each position."""
        return offsets_of(self.scored.astype(np.int64))

    @property
    def scored_offsets(self) -> Int[np.ndarray, " n_plus_1"]:
        """Where the scored positions of each row start in the order of the whole split."""
        starts: NDArray[np.int64] = self._rank[self.offsets]
        return starts

    def __getitem__(self, row: int) -> SequenceRow:
        if not -len(self) <= row < len(self):
            raise IndexError(f"Split {self.name} has {len(self)} rows; there is no row {row}.")
        row %= len(self)
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        at = np.arange(self._rank[span.start], self._rank[span.stop])
        return SequenceRow(
            input_ids=self.tokens[span].tolist(),
            scored=np.flatnonzero(self.scored[span]).tolist(),
            position_ids=None if self.positions is None else self.positions[span].tolist(),
            expected=self._entries(at),
        )

    def _entries(self, at: Int[np.ndarray, " k"]) -> list[Entry] | None:
        if self.expected is None:
            return None
        if isinstance(self.expected, TokenSets):
            return Sign().to_entries(self.expected.dense(at))
        entries: list[Entry] = self.expected[at].tolist()
        return entries

    def __iter__(self) -> Iterator[SequenceRow]:
        return (self[row] for row in range(len(self)))

    @property
    def rows(self) -> tuple[SequenceRow, ...]:
        """All rows in plain Python. Iterate over the split itself where there are many."""
        return tuple(self)

    def batches(self, max_tokens: int = 65536) -> Iterator[SequenceBatch]:
        """Every row once, in batches of equal length and at most `max_tokens` tokens (or one longer row).

        The order is fixed: by length, then by row.
        """
        if max_tokens < 1:
            raise InputError(f"A batch needs room for at least one token, not {max_tokens}.")
        lengths = self.lengths
        for length in np.unique(lengths):
            rows, step = np.flatnonzero(lengths == length), max(1, max_tokens // int(length))
            for start in range(0, len(rows), step):
                yield self.gather(rows[start : start + step])

    def gather(self, rows: Int[np.ndarray, " b"]) -> SequenceBatch:
        """These rows as one batch. Raises InputError where their lengths differ."""
        lengths = np.unique(self.lengths[rows])
        if len(lengths) != 1:
            raise InputError(f"A batch holds rows of one length, not of lengths {lengths.tolist()}.")
        at = self.offsets[rows][:, None] + np.arange(lengths[0])
        scored = self.scored[at]
        scored_at = self._rank[at[scored]]
        match self.expected:
            case None:
                expected = None
            case TokenSets():
                expected = self.expected.dense(scored_at)
            case _:
                expected = self.expected[scored_at]
        positions = None if self.positions is None else self.positions[at]
        return SequenceBatch(rows, self.tokens[at], positions, scored, scored_at, expected)

    def select(self, rows: Int[np.ndarray, " m"]) -> SequenceSplit:
        """A split of these rows in this order; a row may be asked for more than once."""
        at, scored_at = flat_indices(self.offsets, rows), flat_indices(self.scored_offsets, rows)
        match self.expected:
            case None:
                expected: Expected | None = None
            case TokenSets():
                expected = self.expected.select(scored_at)
            case _:
                expected = self.expected[scored_at]
        return SequenceSplit(
            name=self.name,
            tokens=self.tokens[at],
            offsets=offsets_of(self.lengths[rows]),
            scored=self.scored[at],
            positions=None if self.positions is None else self.positions[at],
            expected=expected,
        )

    def take(self, n: int, seed: int) -> SequenceSplit:
        """At most n rows drawn without replacement, in the split's own order."""
        if n >= len(self):
            return self
        rows = np.random.default_rng(seed).choice(len(self), size=n, replace=False)
        return self.select(np.sort(rows))

    def concat(self, other: SequenceSplit) -> SequenceSplit:
        """The rows of this split, then those of `other`, under this split's name.

        Raises InputError where only one of them has position ids. Labels are kept where both have them.
        """
        if (self.positions is None) != (other.positions is None):
            raise InputError(f"Splits {self.name} and {other.name} cannot be joined: only one has position_ids.")
        both = self.positions is not None and other.positions is not None
        return replace(
            self,
            tokens=np.concatenate([self.tokens, other.tokens]),
            offsets=np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            scored=np.concatenate([self.scored, other.scored]),
            positions=np.concatenate([self.positions, other.positions]) if both else None,
            expected=_join(self.expected, other.expected),
        )


def _join(left: Expected | None, right: Expected | None) -> Expected | None:
    match left, right:
        case (None, _) | (_, None):
            return None
        case TokenSets(), TokenSets():
            return left.concat(right)
        case np.ndarray(), np.ndarray() if left.dtype == right.dtype:
            return np.concatenate([left, right])
    raise InputError("Splits with labels of different readouts cannot be joined.")


def pack_rows(
    name: str, rows: Sequence[SequenceRow], readout: Readout, n_labels: int, where: Sequence[str]
) -> SequenceSplit:
    """Lay rows end to end after checking each.

    Args:
        name: name of the split.
        rows: the rows.
        readout: decides the canonical form of `expected`.
        n_labels: how many outputs have a label; the width of the sets of a `sign` readout.
        where: how to call each row in an error, e.g. `train.jsonl line 3`.

    Raises:
        InputError: no rows, or rows that disagree on having position_ids or expected.
    """
    if not rows:
        raise InputError(f"Split {name} is empty; it needs at least one row.")
    for field in ("position_ids", "expected"):
        missing = [getattr(row, field) is None for row in rows]
        if any(missing) and not all(missing):
            raise InputError(f"{where[missing.index(True)]} has no {field}, but other rows of the split do.")
    lengths = np.array([len(row.input_ids) for row in rows], dtype=np.int64)
    offsets = offsets_of(lengths)
    scored = np.zeros(int(offsets[-1]), dtype=np.bool_)
    counts = np.array([len(row.scored) for row in rows], dtype=np.int64)
    scored[_flat([row.scored for row in rows]) + np.repeat(offsets[:-1], counts)] = True
    positions = None if rows[0].position_ids is None else _flat([row.position_ids or [] for row in rows])
    return SequenceSplit(
        name=name,
        tokens=_flat([row.input_ids for row in rows]),
        offsets=offsets,
        scored=scored,
        positions=positions,
        expected=_pack_expected(rows, readout, n_labels),
    )


def _flat(lists: list[list[int]]) -> Int[np.ndarray, " total"]:
    return np.fromiter((item for part in lists for item in part), dtype=np.int64)


def _pack_expected(rows: Sequence[SequenceRow], readout: Readout, n_labels: int) -> Expected | None:
    if rows[0].expected is None:
        return None
    entries = [entry for row in rows for entry in row.expected or []]
    if not isinstance(readout, Sign):
        return np.array(entries, dtype=np.int64 if isinstance(readout, Argmax) else np.float64)
    sets: list[list[int]] = [sorted(entry) for entry in entries if isinstance(entry, list)]
    lengths = np.array([len(ids) for ids in sets], dtype=np.int64)
    return TokenSets(_flat(sets), offsets_of(lengths), n_labels)
