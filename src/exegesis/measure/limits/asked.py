"""What a network was asked on labelled rows: every scored position, what was said there and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from exegesis.behavior import Answers, Argmax, Behavior, Readout, SequenceSplit, Sign, TokenSets, Vocabulary
from exegesis.ir import InputError
from exegesis.runtime import Network
from exegesis.runtime.answers import MAX_TOKENS, outputs

NOTHING = -1  # what stands behind the end of a row


@dataclass(frozen=True, eq=False)
class Asked:
    """Scored positions of labelled rows, row after row.

    Attributes:
        vocabulary: the tokens.
        split: what split each row comes from, by its number in `splits`, [r].
        splits: their names.
        ids: token ids, padded with −1 behind the end, [r, s].
        positions: position ids, padded likewise; None where the network takes none.
        lengths: tokens of each row, [r].
        row, at: the row and the position of each scored position, [n].
        said, expected: canonical answers, [n] or [n, outputs].
        wrong: whether they differ, [n].
        margin: how clearly the network answers: by how much its best output leads, or how far the nearest output is
            from changing sides, [n].
    """

    vocabulary: Vocabulary
    split: Int[np.ndarray, " r"]
    splits: tuple[str, ...]
    ids: Int[np.ndarray, "r s"]
    positions: Int[np.ndarray, "r s"] | None
    lengths: Int[np.ndarray, " r"]
    row: Int[np.ndarray, " n"]
    at: Int[np.ndarray, " n"]
    said: Answers
    expected: Answers
    wrong: Bool[np.ndarray, " n"]
    margin: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.at)

    def of_rows(self, rows: Int[np.ndarray, " m"]) -> Asked:
        """Some of the rows, in this order."""
        first = np.searchsorted(self.row, np.arange(len(self.ids) + 1))
        counts = first[rows + 1] - first[rows]
        at = np.repeat(first[rows] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        return replace(
            self,
            split=self.split[rows],
            ids=self.ids[rows],
            positions=None if self.positions is None else self.positions[rows],
            lengths=self.lengths[rows],
            row=np.repeat(np.arange(len(rows)), counts),
            at=self.at[at],
            said=self.said[at],
            expected=self.expected[at],
            wrong=self.wrong[at],
            margin=self.margin[at],
        )

    def only(self, which: Bool[np.ndarray, " n"]) -> Asked:
        """Some of the scored positions, in the same rows."""
        return replace(
            self,
            row=self.row[which],
            at=self.at[which],
            said=self.said[which],
            expected=self.expected[which],
            wrong=self.wrong[which],
            margin=self.margin[which],
        )

    def halves(self, seed: int) -> tuple[Asked, Asked]:
        """Two halves without a row in common, each with half of every split's rows, in random order."""
        rng = np.random.default_rng([seed, 17])
        order = rng.permutation(len(self.ids))
        order = order[np.argsort(self.split[order], kind="stable")]
        return self.of_rows(rng.permutation(order[::2])), self.of_rows(rng.permutation(order[1::2]))


def ask(network: Network, behavior: Behavior, *, splits: Sequence[str] | None = None, rows: int, seed: int) -> Asked:
    """Asks a network about the labelled rows of a behaviour.

    Args:
        network: the network.
        behavior: a behaviour over token sequences.
        splits: which splits; None for all that have labels.
        rows: at most so many rows of each split.
        seed: decides which.

    Raises:
        InputError: the behaviour is over arrays, or no split says what answers are expected.
    """
    if not behavior.is_sequence:
        raise InputError(f"Limits are sought in behaviours over token sequences; {behavior.name} is over arrays.")
    chosen = {name: behavior.sequences(name).take(rows, seed) for name in splits or behavior.splits}
    labelled = {name: split for name, split in chosen.items() if split.expected is not None}
    if not labelled:
        raise InputError(f"No split of behaviour {behavior.name} says what answers are expected; name a --truth.")
    parts = [_asked(network, behavior, split) for split in labelled.values()]
    numbered = [replace(p, split=np.full(len(p.ids), k), splits=tuple(labelled)) for k, p in enumerate(parts)]
    return stacked(numbered)


def _asked(network: Network, behavior: Behavior, split: SequenceSplit) -> Asked:
    said: Answers | None = None
    margin = np.zeros(split.n_scored)
    for batch in split.batches(MAX_TOKENS):
        found = batch.at_scored(outputs(network, batch))
        answers = behavior.readout.answers(found)
        if said is None:
            said = np.zeros((split.n_scored, *answers.shape[1:]), answers.dtype)
        said[batch.scored_at] = answers
        margin[batch.scored_at] = _margin(found, answers, behavior.readout)
    assert said is not None
    assert split.expected is not None
    every = np.arange(split.n_scored)
    expected = split.expected.dense(every) if isinstance(split.expected, TokenSets) else split.expected
    ids = np.full((len(split), int(split.lengths.max())), NOTHING)
    filled = np.arange(ids.shape[1]) < split.lengths[:, None]
    ids[filled] = split.tokens
    positions = None
    if split.positions is not None:
        positions = np.full_like(ids, NOTHING)
        positions[filled] = split.positions
    row = np.repeat(np.arange(len(split)), np.diff(split.scored_offsets))
    return Asked(
        vocabulary=behavior.vocabulary,
        split=np.zeros(len(split), np.int64),
        splits=(split.name,),
        ids=ids,
        positions=positions,
        lengths=split.lengths,
        row=row,
        at=np.flatnonzero(split.scored) - split.offsets[row],
        said=said,
        expected=expected,
        wrong=~behavior.readout.equal(said, expected),
        margin=margin,
    )


def _margin(found: Float[np.ndarray, "n outputs"], answers: Answers, readout: Readout) -> Float[np.ndarray, " n"]:
    if isinstance(readout, Sign):
        nearest: Float[np.ndarray, " n"] = np.abs(found).min(1).astype(np.float64)
        return nearest
    if not isinstance(readout, Argmax) or found.shape[1] == 1:
        return np.zeros(len(found))
    own = np.take_along_axis(found, answers[:, None], 1)
    others = np.full_like(found, -np.inf)
    competing = slice(None) if readout.outputs is None else list(readout.outputs)
    others[:, competing] = found[:, competing]
    np.put_along_axis(others, answers[:, None], -np.inf, 1)
    lead: Float[np.ndarray, " n"] = (own[:, 0] - others.max(1)).astype(np.float64)
    return lead


def stacked(parts: Sequence[Asked]) -> Asked:
    """The rows of several, one after the other."""
    width = max(p.ids.shape[1] for p in parts)
    wide = max(p.said.shape[1] for p in parts) if parts[0].said.ndim == 2 else None
    before = np.cumsum([0, *(len(p.ids) for p in parts)])
    positions = [p.positions for p in parts if p.positions is not None]
    return replace(
        parts[0],
        split=np.concatenate([p.split for p in parts]),
        ids=np.concatenate([_widened(p.ids, width) for p in parts]),
        positions=np.concatenate([_widened(p, width) for p in positions]) if len(positions) == len(parts) else None,
        lengths=np.concatenate([p.lengths for p in parts]),
        row=np.concatenate([p.row + start for p, start in zip(parts, before, strict=False)]),
        at=np.concatenate([p.at for p in parts]),
        said=np.concatenate([_answers(p.said, wide) for p in parts]),
        expected=np.concatenate([_answers(p.expected, wide) for p in parts]),
        wrong=np.concatenate([p.wrong for p in parts]),
        margin=np.concatenate([p.margin for p in parts]),
    )


def _widened(ids: Int[np.ndarray, "r _s"], width: int) -> Int[np.ndarray, "r width"]:
    return np.pad(ids, ((0, 0), (0, width - ids.shape[1])), constant_values=NOTHING)


def _answers(answers: Answers, width: int | None) -> Answers:
    """Sets as wide as the widest; other answers as they are."""
    return answers if width is None else np.pad(answers, ((0, 0), (0, width - answers.shape[1])))
