"""Variables against their definitions, one position at a time."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis import primitives as p

RNG = np.random.default_rng(1)


@st.composite
def read(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A selector with weights in quarters and a category variable with nones."""
    n = draw(st.integers(1, 8))
    weights = draw(st.lists(st.integers(0, 4), min_size=n * n, max_size=n * n))
    value = draw(st.lists(st.integers(-1, 4), min_size=n, max_size=n))
    return np.array(weights).reshape(n, n) / 4, np.array(value)


@given(read())
def test_share_count_and_copy(case: tuple[np.ndarray, np.ndarray]) -> None:
    selector, value = case
    counts, shares, copies = [], [], []
    for row in selector:
        held = Counter[int]()
        for weight, v in zip(row, value, strict=True):
            held[int(v)] += weight
        total = sum(held.values())
        counts.append([held[c] for c in range(5)])
        shares.append([held[c] / total if total else 0 for c in range(5)])
        best = max(range(5), key=lambda c: (held[c], -c))
        copies.append(best if held[best] > 0 else -1)
    np.testing.assert_array_equal(p.count(selector, value, of=5), counts)
    np.testing.assert_allclose(p.share(selector, value, of=5), shares, rtol=1e-15)
    np.testing.assert_array_equal(p.copy(selector, value), copies)


def test_count_of_a_bool() -> None:
    flags = np.array([True, False, True])
    np.testing.assert_array_equal(p.count(p.everywhere(flags, causal=True), flags, of=2), [[0, 1], [1, 1], [1, 2]])


def test_copy_of_nothing_known_is_none() -> None:
    none = np.array([-1, -1])
    np.testing.assert_array_equal(p.copy(p.everywhere(none), none), [-1, -1])


def test_relabel_keeps_what_is_not_listed() -> None:
    np.testing.assert_array_equal(p.relabel(np.array([3, -1, 0, 7]), {3: 1, -1: 5}), [1, 5, 0, 7])


def test_lookup_of_one_and_of_two_keys() -> None:
    a, b = np.array([0, 1, 2, -1]), np.array([True, True, False, True])
    np.testing.assert_array_equal(p.lookup(a, table={0: 5, -1: 6}, other=9), [5, 9, 9, 6])
    np.testing.assert_array_equal(p.lookup(a, b, table={(1, 1): 4, (2, 0): 3}, other=-1), [-1, 4, 3, -1])


def test_lookup_of_truth_is_bool() -> None:
    truth = p.lookup(np.array([0, 1]), table={1: True}, other=False)
    assert truth.dtype == bool
    np.testing.assert_array_equal(truth, [False, True])


def test_lookup_of_a_single_value_has_no_axis() -> None:
    assert p.lookup(np.array(2), table={2: 8}, other=0).shape == ()


def test_classify_is_a_lookup_by_group() -> None:
    x = RNG.integers(-1, 8, size=40)
    expected = [1 if v in (0, 2) else 2 if 4 <= v < 7 else 0 for v in x]
    np.testing.assert_array_equal(p.classify(x, {1: {0, 2}, 2: range(4, 7)}, other=0), expected)


def test_worth() -> None:
    np.testing.assert_array_equal(p.worth(np.array([2, 0, -1, 1]), {2: 1.5, 1: -1}, other=4), [1.5, 4, 4, -1])


def test_the_worth_of_a_range_is_itself() -> None:
    worth = p.worth(np.array([3, 0, -1, 7]), range(2, 5))
    np.testing.assert_array_equal(worth, [3, 0, 0, 0])
    assert worth.dtype == int


@pytest.mark.parametrize("seed", range(5))
def test_truths_read_off_other_positions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    selector, holds = rng.random((9, 9)) < 0.3, rng.random(9) < 0.5
    for s in range(9):
        held = [bool(holds[t]) for t in range(9) if selector[s, t]]
        assert p.exists(selector)[s] == (len(held) > 0)
        assert p.fraction(selector, holds)[s] == (np.mean(held) if held else 0)
        assert p.holds_at(selector, holds)[s] == (2 * sum(held) > len(held))


@pytest.mark.parametrize("plus", [0, 2, -3])
def test_mod(plus: int) -> None:
    x = np.arange(-1, 9)
    expected = [-1 if v == -1 else (int(v) + plus) % 3 for v in x]
    np.testing.assert_array_equal(p.mod(x, 3, plus=plus), expected)


def test_mod_of_a_number_may_be_negative() -> None:
    np.testing.assert_array_equal(p.mod(np.array([-1.0, 4.0, -3.0]), 3), [2, 1, 0])


def test_shift_falls_off_the_low_end_to_none() -> None:
    np.testing.assert_array_equal(p.shift(np.array([3, 0, -1]), -1), [2, -1, -1])
    np.testing.assert_array_equal(p.shift(np.array([3, 0, -1]), 2), [5, 2, -1])


def test_is_in_takes_any_container() -> None:
    x = np.array([0, 3, -1])
    for values in ({3, -1}, [3, -1], (3, -1)):
        np.testing.assert_array_equal(p.is_in(x, values), [False, True, True])
    np.testing.assert_array_equal(p.is_in(x, range(1)), [True, False, False])


def test_largest() -> None:
    values = np.array([[0.1, 0.7, 0.7], [0.9, 0.0, 0.2]])
    np.testing.assert_array_equal(p.largest(values), [1, 0])
    np.testing.assert_array_equal(p.largest(values, among=[2, 1]), [2, 2])
    assert int(p.largest(values[0])) == 1


def test_always() -> None:
    np.testing.assert_array_equal(p.always(np.zeros(3), 7), [7, 7, 7])


def test_width_counts_positions_not_weights() -> None:
    np.testing.assert_array_equal(p.width(np.array([[0.5, 0, 3], [0, 0, 0]])), [2, 0])


def test_whole_numbers() -> None:
    rounded = p.whole(np.array([1.9999999, -0.6, 2.0]))
    assert rounded.dtype == int
    np.testing.assert_array_equal(rounded, [2, -1, 2])
