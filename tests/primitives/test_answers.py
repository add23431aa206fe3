"""Answers against their definitions."""

import numpy as np

from exegesis import primitives as p

FIRST = np.array([True, False, False])
SECOND = np.array([True, True, False])


def test_choose_takes_the_first_case_that_holds() -> None:
    np.testing.assert_array_equal(p.choose((FIRST, 4), (SECOND, 5), other=6), [4, 5, 6])


def test_allow() -> None:
    assert p.allow(FIRST, {9: FIRST, 2: SECOND}, always={7}) == [[2, 7, 9], [2, 7], [7]]
    assert p.allow(FIRST) == [[], [], []]


def test_allow_takes_one_condition_for_all_positions() -> None:
    assert p.allow(FIRST, {1: np.array(True)}) == [[1], [1], [1]]


def test_allow_by() -> None:
    tokens = np.array([0, 2, 5])
    assert p.allow_by(tokens, {0: {3, 1}, 2: range(2)}, other={8}) == [[1, 3], [0, 1], [8]]


def test_positive_is_strict() -> None:
    assert p.positive(np.array([[1.0, 0.0, -2.0], [0.5, 3.0, 1e-9]])) == [[0], [0, 1, 2]]
