"""Other inputs to compare an input with: counterfactual pairs, and probes off the training language."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int
from numpy.random import Generator

from exegesis.behavior.behavior import Behavior
from exegesis.behavior.ragged import offsets_of
from exegesis.behavior.sequences import SequenceSplit
from exegesis.ir import InputError


@dataclass(frozen=True, eq=False)
class CounterfactualPairs:
    """Pairs of rows of one split: interchange interventions run `base` with values taken from `source`.

    Args:
        base, source: row indices, [n]; the two inputs of a pair always differ in a token or a position id.
    """

    base: Int[np.ndarray, " n"]
    source: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.base)


def counterfactual_pairs(
    split: SequenceSplit, rng: Generator, n: int, same_length: bool = True
) -> CounterfactualPairs | None:
    """Draw n pairs: a base uniformly from the rows that have a partner, its source uniformly from its partners.

    A partner is a row whose input differs, and whose length is equal unless `same_length` is False; with equal
    lengths, positions of base and source align. The sources are what resample ablation draws from.

    Returns:
        The pairs, or None where no row has a partner.
    """
    if n < 1:
        raise InputError(f"At least one counterfactual pair must be asked for, not {n}.")
    group = split.lengths if same_length else np.zeros(len(split), dtype=np.int64)
    content = _content_classes(split)
    order = np.lexsort((content, group))
    group, content = group[order], content[order]
    # In this order every group is one span, and inside it every class of equal inputs is one span.
    group_start, group_end = _spans(group)
    class_start, class_end = _spans(content)
    partners = (group_end - group_start) - (class_end - class_start)
    eligible = np.flatnonzero(partners)
    if not len(eligible):
        return None
    base = rng.choice(eligible, size=n)
    source = group_start[base] + rng.integers(partners[base])
    source = np.where(source >= class_start[base], source + (class_end - class_start)[base], source)
    return CounterfactualPairs(order[base], order[source])


def _content_classes(split: SequenceSplit) -> Int[np.ndarray, " n"]:
    """One number per row, equal exactly for rows with equal token ids and position ids."""
    classes, used = np.zeros(len(split), dtype=np.int64), 0
    for batch in split.batches(max_tokens=int(split.offsets[-1])):
        columns = [batch.input_ids] if batch.position_ids is None else [batch.input_ids, batch.position_ids]
        _, inverse = np.unique(np.concatenate(columns, axis=1), axis=0, return_inverse=True)
        classes[batch.rows] = inverse.reshape(-1) + used
        used += int(inverse.max()) + 1
    return classes


def _spans(values: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """First index and index after the last of the run of equal values that each element stands in."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    lengths = np.diff(np.concatenate([starts, [len(values)]]))
    first = np.repeat(starts, lengths)
    return first, first + np.repeat(lengths, lengths)


def probe_strings(behavior: Behavior, n: int, rng: Generator, split: str = "train") -> SequenceSplit | None:
    """n inputs off the training language: the skeleton of drawn rows with other letters.

    Lengths, position ids, scored positions and every token that is not a letter stay as in a row of `split`; each
    letter is replaced by one drawn uniformly from `behavior.alphabet`. Nobody labels them, so `expected` is None.
    Agreement on probes is to be reported apart from agreement on the behaviour's own inputs. A probe may, by chance,
    be a string of the language.

    Returns:
        The probes, or None where the alphabet has fewer than two letters, so that there are no other strings.
    """
    letters = behavior.alphabet
    if len(letters) < 2:
        return None
    rows = behavior.sequences(split)
    drawn = replace(rows, expected=None).select(rng.integers(len(rows), size=n))
    is_letter = np.zeros(int(max(drawn.tokens.max(initial=0), letters.max())) + 1, dtype=np.bool_)
    is_letter[letters] = True
    at = is_letter[drawn.tokens]
    tokens = drawn.tokens.copy()
    tokens[at] = rng.choice(letters, size=int(at.sum()))
    return replace(drawn, name="probe", tokens=tokens)


def domain_split(behavior: Behavior, ids: Int[np.ndarray, "b s"]) -> SequenceSplit:
    """Inputs of the behaviour's domain as a split, so that they are run like any other.

    A domain lists inputs, not scored positions. These follow from the rows of the splits where every row scores one
    unbroken span that keeps its distance from the start and from the end (or from the end alone); position ids count
    from 0 where rows have them.

    Raises:
        InputError: the scored positions of the rows follow no such rule.
    """
    from_start, from_end, length = _scored_span(behavior)
    b, s = ids.shape
    first = from_start if from_start is not None else s - 1 - from_end - (length - 1)
    scored = np.zeros((b, s), dtype=np.bool_)
    scored[:, first : s - from_end] = True
    has_positions = any(behavior.sequences(name).positions is not None for name in behavior.splits)
    return SequenceSplit(
        name="domain",
        tokens=ids.reshape(-1),
        offsets=offsets_of(np.full(b, s, dtype=np.int64)),
        scored=scored.reshape(-1),
        positions=np.tile(np.arange(s), b) if has_positions else None,
    )


def _scored_span(behavior: Behavior) -> tuple[int | None, int, int]:
    """Distance of the scored span from the start (None: it varies) and from the end, and its length if fixed."""
    firsts, lasts, counts = [], [], []
    for name in behavior.splits:
        split = behavior.sequences(name)
        for batch in split.batches():
            s = batch.scored.shape[1]
            firsts.append(batch.scored.argmax(1))
            lasts.append(batch.scored[:, ::-1].argmax(1))
            counts.append(batch.scored.sum(1))
            if (s - firsts[-1] - lasts[-1] != counts[-1]).any():
                raise InputError(f"Split {name} scores broken spans, so those of other inputs are unknown.")
    first, last, count = (np.unique(np.concatenate(parts)) for parts in (firsts, lasts, counts))
    if len(last) != 1 or (len(first) != 1 and len(count) != 1):
        raise InputError(
            f"The scored positions of behaviour {behavior.name} follow no rule that would tell those of other inputs."
        )
    return (int(first[0]) if len(first) == 1 else None), int(last[0]), int(count[0])
