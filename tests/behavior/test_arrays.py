"""Splits of arrays: what is stored, what the network gets, what is refused."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.behavior import Argmax, ArraySplit, Readout, Sign, Value
from exegesis.behavior.arrays import Stored, check_arrays
from exegesis.ir import InputError

IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)


def checked(x: Any, y: Any, readout: Readout | None = None, n_labels: int | None = 3) -> Any:
    return check_arrays(
        "train", np.asarray(x), y if y is None else np.asarray(y), readout or Argmax(), n_labels, "file"
    )


@given(st.integers(1, 20))
def test_batches_cover_every_row_once_in_order(room: int) -> None:
    split = ArraySplit("train", IMAGES, np.array([0, 1, 2, 1, 0]), scale=255.0)
    batches = list(split.batches(max_elements=room))
    assert all(batch.x.size <= room or len(batch.rows) == 1 for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in batches]), split.x)
    np.testing.assert_allclose(split.x, IMAGES / 255, rtol=1e-6)
    assert split.x.dtype == np.float32
    answers = [batch.expected.tolist() for batch in batches if batch.expected is not None]
    assert [answer for batch in answers for answer in batch] == [0, 1, 2, 1, 0]
    assert split.n_scored == 5


def test_selecting_taking_and_joining() -> None:
    split = ArraySplit("train", IMAGES, np.array([0, 1, 2, 1, 0]))
    assert split.select(np.array([4, 1])).stored.tolist() == IMAGES[[4, 1]].tolist()
    taken = split.take(3, seed=1)
    assert len(taken) == 3
    assert taken.stored.tolist() == split.take(3, seed=1).stored.tolist()
    assert split.take(9, seed=1) is split
    joined = split.concat(taken)
    assert len(joined) == 8
    assert joined.y is not None
    assert split.concat(ArraySplit("more", IMAGES)).y is None
    with pytest.raises(InputError, match="different shapes or scales"):
        split.concat(ArraySplit("more", IMAGES, scale=2.0))


def test_outputs_have_one_row_per_input() -> None:
    batch = next(ArraySplit("train", IMAGES).batches())
    assert batch.at_scored(np.zeros((5, 3))).shape == (5, 3)
    with pytest.raises(InputError, match="must return outputs"):
        batch.at_scored(np.zeros((4, 3)))
    with pytest.raises(InputError, match="at least one number"):
        next(ArraySplit("train", IMAGES).batches(0))


@pytest.mark.parametrize("dtype", get_args(Stored))
def test_every_type_that_may_be_stored_is_accepted(dtype: str) -> None:
    x, y = checked(np.ones((2, 3), dtype=dtype), np.array([0, 2], dtype=np.uint8))
    assert x.dtype == dtype
    assert y.dtype == np.int64


@pytest.mark.parametrize(
    ("x", "y", "readout", "sentence"),
    [
        (np.array([["a"]]), None, Argmax(), "x holds <U1"),
        (np.zeros((2, 1), dtype=">f4"), None, Argmax(), "x holds >f4"),
        (np.zeros(3), None, Argmax(), "at least one input"),
        (np.zeros((0, 3)), None, Argmax(), "at least one input"),
        ([[0.0], [np.nan]], None, Argmax(), "NaN or infinite, first in row 1"),
        ([[np.inf], [0.0]], None, Argmax(), "NaN or infinite, first in row 0"),
        (np.zeros((2, 1)), [0], Argmax(), r"x has 2 rows, but y has shape \[1\]"),
        (np.zeros((1, 1)), 0, Argmax(), "x has 1 rows, but y has shape"),
        (np.zeros((2, 1)), [0.0, 1.0], Argmax(), "integers"),
        (np.zeros((2, 1)), [0, 3], Argmax(), "y of row 1 is 3, which is none of the outputs"),
        (np.zeros((2, 1)), [0, -1], Argmax(), "y of row 1 is -1"),
        (np.zeros((2, 1)), [0, 1], Argmax((1, 2)), "y of row 0 is 0"),
        (np.zeros((2, 1)), [0, 1], Sign(), "booleans"),
        (np.zeros((2, 1)), [[0.0], [1.0]], Value(0.1), "numbers"),
        (np.zeros((2, 1)), [0.0, np.nan], Value(0.1), "y holds a number that is NaN"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(x: Any, y: Any, readout: Readout, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        checked(x, y, readout)


def test_negative_answers_are_refused_where_outputs_have_no_names() -> None:
    with pytest.raises(InputError, match="y of row 0 is -2"):
        checked(np.zeros((1, 1)), [-2], n_labels=None)


def test_answers_of_other_readouts_are_kept() -> None:
    assert checked(np.zeros((2, 1)), [[True, False]] * 2, Sign())[1].tolist() == [[True, False]] * 2
    assert checked(np.zeros((2, 1)), [1, 2], Value(0.1))[1].dtype == np.float64
