"""Splits of sequences: every row once, in batches that hold what the rows hold."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior import Argmax, Behavior, Readout, SequenceRow, SequenceSplit, Sign, Value
from exegesis.ir import InputError

LABELS = tuple("abcde")
ENTRIES: dict[type, st.SearchStrategy[Any]] = {
    Argmax: st.integers(0, 4),
    Sign: st.lists(st.integers(0, 4), unique=True).map(sorted),
    Value: st.floats(-5, 5),
}
READOUTS: list[Readout] = [Argmax(), Sign(), Value(0.25)]


@st.composite
def rows_of(draw: st.DrawFn, readout: Readout) -> list[dict[str, Any]]:
    """Rows as plain dictionaries: checking types at run time draws random numbers, which strategies must not."""
    positions = draw(st.booleans())
    rows = []
    for length in draw(st.lists(st.integers(1, 5), min_size=1, max_size=8)):
        scored = sorted(draw(st.sets(st.integers(0, length - 1), min_size=1)))
        rows.append(
            {
                "input_ids": draw(st.lists(st.integers(0, 4), min_size=length, max_size=length)),
                "scored": scored,
                "position_ids": list(range(3, 3 + length)) if positions else None,
                "expected": [draw(ENTRIES[type(readout)]) for _ in scored],
            }
        )
    return rows


def split_of(rows: list[SequenceRow], readout: Readout) -> SequenceSplit:
    return Behavior.from_sequences("made", LABELS, {"train": rows}, readout).sequences("train")


@given(st.data(), st.integers(1, 12))
@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_batches_cover_every_row_once_and_hold_what_it_holds(readout: Any, data: st.DataObject, room: int) -> None:
    rows = [SequenceRow(**row) for row in data.draw(rows_of(readout))]
    split = split_of(rows, readout)
    seen: list[int] = []
    answers: dict[int, Any] = {}
    for batch in split.batches(max_tokens=room):
        assert batch.input_ids.size <= room or len(batch.rows) == 1
        assert batch.expected is not None
        entries = iter(readout.to_entries(batch.expected))
        answers |= dict(zip(batch.scored_at.tolist(), readout.to_entries(batch.expected), strict=True))
        for i, row in enumerate(batch.rows):
            assert batch.input_ids[i].tolist() == rows[row].input_ids
            assert np.flatnonzero(batch.scored[i]).tolist() == rows[row].scored
            assert (None if batch.position_ids is None else batch.position_ids[i].tolist()) == rows[row].position_ids
            assert [next(entries) for _ in rows[row].scored] == rows[row].expected
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(len(rows)))
    # `scored_at` puts answers of all batches back into the order of the split.
    assert [answers[k] for k in range(split.n_scored)] == [entry for row in rows for entry in row.expected or []]


@given(st.data())
@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_rows_come_back_and_selections_are_those_of_a_list(readout: Readout, data: st.DataObject) -> None:
    rows = [SequenceRow(**row) for row in data.draw(rows_of(readout))]
    split = split_of(rows, readout)
    assert list(split) == list(split.rows) == rows
    assert split[-1] == rows[-1]
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    assert list(split.select(np.array(asked))) == [rows[i] for i in asked]
    assert list(split.concat(split.select(np.array(asked)))) == rows + [rows[i] for i in asked]


@given(st.data(), st.integers(1, 9), st.integers(0, 3))
def test_take_draws_distinct_rows_in_order_and_is_deterministic(data: st.DataObject, n: int, seed: int) -> None:
    lengths = st.lists(st.integers(1, 3), min_size=1, max_size=8)
    rows = [SequenceRow([i % 5] * k, [0], None, [i]) for i, k in enumerate(data.draw(lengths))]
    split = Behavior.from_sequences("made", LABELS, {"train": rows}, Argmax()).sequences("train")
    taken = [row.expected for row in split.take(n, seed)]
    assert len(taken) == min(n, len(rows))
    assert taken == sorted(taken, key=str)
    assert len({str(answer) for answer in taken}) == len(taken)
    assert taken == [row.expected for row in split.take(n, seed)]


def test_take_depends_on_the_seed() -> None:
    split = split_of([SequenceRow([i % 5], [0], None, [0]) for i in range(50)], Argmax())
    assert list(split.take(5, 0)) != list(split.take(5, 1))


def test_batch_order_is_fixed() -> None:
    rows = [SequenceRow([0] * length, [0]) for length in (3, 1, 3, 2, 1)]
    split = split_of(rows, Argmax())
    assert [batch.rows.tolist() for batch in split.batches(max_tokens=3)] == [[1, 4], [3], [0], [2]]


def test_outputs_are_read_at_scored_positions() -> None:
    split = split_of([SequenceRow([0, 1, 2], [0, 2], None, [4, 1]), SequenceRow([2, 1, 0], [1], None, [3])], Argmax())
    batch = next(split.batches())
    outputs = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    assert batch.at_scored(outputs).tolist() == [outputs[0, 0].tolist(), outputs[0, 2].tolist(), outputs[1, 1].tolist()]
    with pytest.raises(InputError, match=r"shape \[2, 3, 'outputs'\]"):
        batch.at_scored(outputs[:, -1])


def test_faults_are_refused() -> None:
    split = split_of([SequenceRow([0], [0]), SequenceRow([0, 1], [0])], Argmax())
    placed = split_of([SequenceRow([0], [0], [7])], Argmax())
    with pytest.raises(InputError, match=r"rows of one length, not of lengths \[1, 2\]"):
        split.gather(np.array([0, 1]))
    with pytest.raises(InputError, match="only one has position_ids"):
        split.concat(placed)
    with pytest.raises(InputError, match="different readouts"):
        split_of([SequenceRow([0], [0], None, [1])], Argmax()).concat(
            split_of([SequenceRow([0], [0], None, [[1]])], Sign())
        )
    with pytest.raises(InputError, match="at least one token"):
        next(split.batches(max_tokens=0))
    with pytest.raises(IndexError, match="no row 2"):
        split[2]


def test_labels_survive_joining_only_where_both_have_them() -> None:
    labelled, bare = (split_of([SequenceRow([0], [0], None, e)], Argmax()) for e in ([1], None))
    assert labelled.concat(bare).expected is None
    assert labelled.concat(labelled)[1].expected == [1]
