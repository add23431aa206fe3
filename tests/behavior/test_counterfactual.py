"""Counterfactual pairs and probes against their definition, row by row."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior import (
    Argmax,
    Behavior,
    SequenceRow,
    SequenceSplit,
    StringsDomain,
    Vocabulary,
    counterfactual_pairs,
    domain_split,
    probe_strings,
)
from exegesis.ir import InputError

WORDS = Vocabulary(("a", "b", "c", "<bos>", "<sep>"), bos=3, sep=4)
small_rows = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=3), min_size=1, max_size=7)


def behavior_of(*inputs: list[int], scored: list[list[int]] | None = None, **more: object) -> Behavior:
    marks = scored or [[len(ids) - 1] for ids in inputs]
    rows = [SequenceRow(ids, at) for ids, at in zip(inputs, marks, strict=True)]
    return Behavior.from_sequences("made", WORDS, {"train": rows}, Argmax(), **more)  # type: ignore[arg-type]


def partners(split: SequenceSplit, same_length: bool) -> dict[int, set[int]]:
    rows = split.rows
    found: dict[int, set[int]] = {}
    for i, a in enumerate(rows):
        fit = {k for k, b in enumerate(rows) if not same_length or len(b.input_ids) == len(a.input_ids)}
        if mine := {k for k in fit if (rows[k].input_ids, rows[k].position_ids) != (a.input_ids, a.position_ids)}:
            found[i] = mine
    return found


@given(small_rows, st.booleans())
def test_pairs_are_exactly_rows_and_their_partners(inputs: list[list[int]], same_length: bool) -> None:
    split = behavior_of(*inputs).sequences("train")
    allowed = partners(split, same_length)
    pairs = counterfactual_pairs(split, np.random.default_rng(0), 400, same_length)
    if not allowed:
        assert pairs is None
        return
    assert pairs is not None
    drawn: dict[int, set[int]] = {}
    for base, source in zip(pairs.base.tolist(), pairs.source.tolist(), strict=True):
        drawn.setdefault(base, set()).add(source)
    assert drawn == allowed  # at most 42 pairs, so 400 draws miss one with a chance of about 1e-3 per example; seeded


def test_bases_and_sources_are_uniform() -> None:
    split = behavior_of([0, 0], [0, 1], [1, 1], [0, 0], [0]).sequences("train")
    pairs = counterfactual_pairs(split, np.random.default_rng(0), 40_000)
    assert pairs is not None
    assert len(pairs) == 40_000
    bases = Counter(pairs.base.tolist())
    assert set(bases) == {0, 1, 2, 3}
    assert all(abs(count - 10_000) < 400 for count in bases.values())
    sources = Counter(pairs.source[pairs.base == 1].tolist())
    assert set(sources) == {0, 2, 3}
    assert all(abs(count - 3333) < 250 for count in sources.values())


def test_rows_that_differ_in_position_alone_are_different_inputs() -> None:
    rows = [SequenceRow([0, 0], [0], [k, k + 1]) for k in (0, 5)]
    split = Behavior.from_sequences("made", WORDS, {"train": rows}, Argmax()).sequences("train")
    pairs = counterfactual_pairs(split, np.random.default_rng(0), 9)
    assert pairs is not None
    assert (pairs.base != pairs.source).all()


def test_no_pairs_is_a_question_not_asked() -> None:
    with pytest.raises(InputError, match="not 0"):
        counterfactual_pairs(behavior_of([0], [1]).sequences("train"), np.random.default_rng(0), 0)


def test_probes_keep_the_skeleton_and_replace_the_letters() -> None:
    behavior = behavior_of([3, 0, 0, 4, 0], [3, 0, 4, 0])
    probes = probe_strings(behavior, 900, np.random.default_rng(0))
    assert probes is not None
    assert len(probes) == 900
    assert probes.expected is None
    letters: Counter[int] = Counter()
    for row in probes:
        skeleton = [3, -1, -1, 4, -1] if len(row.input_ids) == 5 else [3, -1, 4, -1]
        assert [t if t > 2 else -1 for t in row.input_ids] == skeleton
        assert row.scored == [len(row.input_ids) - 1]
        letters.update(t for t in row.input_ids if t <= 2)
    assert set(letters) == {0, 1, 2}
    assert max(letters.values()) - min(letters.values()) < 150
    assert {len(row.input_ids) for row in probes} == {4, 5}
    assert behavior.sequences("train")[0].input_ids == [3, 0, 0, 4, 0]


def test_probes_draw_from_the_alphabet_of_the_domain() -> None:
    behavior = behavior_of([3, 0, 1], domain=StringsDomain((0, 1), 1, 2, prefix=(3,)))
    probes = probe_strings(behavior, 50, np.random.default_rng(0))
    assert probes is not None
    assert set(probes.tokens.tolist()) == {0, 1, 3}


def test_one_letter_makes_no_probes() -> None:
    assert probe_strings(behavior_of([3, 0], domain=StringsDomain((0,), 1, 4)), 5, np.random.default_rng(0)) is None


def scored_of(behavior: Behavior, length: int) -> list[int]:
    return domain_split(behavior, np.zeros((2, length), dtype=np.int64))[1].scored


def test_scored_positions_of_the_domain_follow_those_of_the_rows() -> None:
    inputs = [[3, 0], [3, 0, 0, 0]]
    assert scored_of(behavior_of(*inputs, scored=[[1], [1, 2, 3]]), 5) == [1, 2, 3, 4]
    assert scored_of(behavior_of(*inputs, scored=[[0], [2]]), 5) == [3]
    assert scored_of(behavior_of(inputs[1], scored=[[1, 2]]), 4) == [1, 2]


def test_scored_positions_without_a_rule_are_refused() -> None:
    inputs = [[3, 0, 0], [3, 0, 0, 0]]
    with pytest.raises(InputError, match="follow no rule"):
        scored_of(behavior_of(*inputs, scored=[[0], [2]]), 5)
    with pytest.raises(InputError, match="broken spans"):
        scored_of(behavior_of(*inputs, scored=[[0, 2], [2]]), 5)


def test_positions_of_the_domain_count_from_zero_where_rows_have_them() -> None:
    rows = [SequenceRow([0, 0], [1], [7, 8])]
    behavior = Behavior.from_sequences("made", WORDS, {"train": rows}, Argmax())
    split = domain_split(behavior, np.zeros((2, 3), dtype=np.int64))
    assert split[1].position_ids == [0, 1, 2]
