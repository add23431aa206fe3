"""Readouts against answers taken one by one in plain Python, as a stranger to the library would read them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exegesis.behavior import Argmax, Readout, Sign, Value
from exegesis.ir import InputError

finite = st.floats(-100, 100, width=32)
LOGITS = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(3, 7)), elements=finite)


def by_hand(row: Any, readout: Readout) -> object:
    match readout:
        case Argmax(outputs=None):
            return max(range(len(row)), key=lambda k: row[k])
        case Argmax(outputs=outputs) if outputs:
            return outputs[max(range(len(outputs)), key=lambda k: row[outputs[k]])]
        case Sign():
            return [k for k in range(len(row)) if row[k] > 0]
    return float(row[0])


@given(LOGITS)
@pytest.mark.parametrize("readout", [Argmax(), Argmax((2, 0)), Sign()], ids=str)
def test_answers_are_those_read_by_hand(readout: Readout, logits: Any) -> None:
    assert readout.to_entries(readout.answers(logits)) == [by_hand(row, readout) for row in logits.tolist()]


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.just(1)), elements=finite))
def test_values_are_read_as_they_are(outputs: Any) -> None:
    readout = Value(0.0)
    assert readout.to_entries(readout.answers(outputs)) == [by_hand(row, readout) for row in outputs]


@given(LOGITS, LOGITS)
@pytest.mark.parametrize("readout", [Argmax(), Argmax((2, 0)), Sign()], ids=str)
def test_equality_is_that_of_entries_and_entries_come_back(readout: Any, left: Any, right: Any) -> None:
    n = min(len(left), len(right))
    a, b = readout.answers(left[:n]), readout.answers(right[:n])
    pairs = zip(readout.to_entries(a), readout.to_entries(b), strict=True)
    assert readout.equal(a, b).tolist() == [x == y for x, y in pairs]
    assert readout.equal(readout.from_entries(readout.to_entries(a)), a).all()


def test_value_equality_is_within_the_tolerance() -> None:
    readout = Value(0.5)
    assert readout.equal(np.array([0.0, 0.0, 0.0]), np.array([0.5, 0.51, -0.25])).tolist() == [True, False, True]
    assert readout.from_entries([1, 2.5]).tolist() == [1.0, 2.5]


def test_sets_of_different_width_are_compared_as_sets() -> None:
    narrow, wide = np.array([[True], [True]]), np.array([[True, False], [True, True]])
    assert Sign().equal(narrow, wide).tolist() == Sign().equal(wide, narrow).tolist() == [True, False]
    assert Sign().equal(Sign().from_entries([[], []]), np.zeros((2, 3), dtype=np.bool_)).all()
    assert Sign().from_entries([]).shape == (0, 0)


@pytest.mark.parametrize("readout", [Argmax(), Sign(), Value(0.1)], ids=str)
def test_nan_and_wrong_shapes_are_refused(readout: Readout) -> None:
    with pytest.raises(InputError, match="NaN for 1 of 2"):
        readout.answers(np.array([[0.0], [np.nan]]))
    with pytest.raises(InputError, match=r"shape \[n, outputs\], not \[2\]"):
        readout.answers(np.zeros(2))


def test_answers_that_do_not_correspond_are_not_compared() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        Argmax().equal(np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64))


def test_outputs_that_the_network_lacks_are_refused() -> None:
    with pytest.raises(InputError, match="names output 4"):
        Argmax((0, 4)).answers(np.zeros((1, 3)))
    with pytest.raises(InputError, match="one output; this one has 2"):
        Value(0.1).answers(np.zeros((1, 2)))
    with pytest.raises(InputError, match="infinite"):
        Value(0.1).answers(np.array([[np.inf]]))


@pytest.mark.parametrize(
    ("readout", "entries"),
    [(Argmax(), [None]), (Argmax(), [True]), (Argmax(), [1.0]), (Sign(), [3]), (Sign(), [[-1]]), (Value(0.1), ["1"])],
)
def test_programs_must_return_entries_of_the_readout(readout: Readout, entries: list[object]) -> None:
    with pytest.raises(InputError, match="must return"):
        readout.from_entries(entries)


@pytest.mark.parametrize("outputs", [(), (1, 1), (-1, 2)])
def test_competing_outputs_must_make_sense(outputs: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="argmax readout"):
        Argmax(outputs)


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_tolerance_must_make_sense(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance"):
        Value(tolerance)
