"""Angles and motions against complex numbers and matrices written out one by one."""

import cmath
import math

import numpy as np
import pytest

from exegesis import primitives as p

N, FREQUENCIES = 7, (1, 3)


def turn(f: int, k: int) -> complex:
    return cmath.exp(2j * math.pi * f * k / N)


def rotation(f: int, element: int) -> np.ndarray:
    """The matrix of an element of the dihedral group, as the product of a turn and a flip."""
    angle = 2 * math.pi * f * (element % N) / N
    turned = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return turned @ np.diag([1.0, -1.0 if element >= N else 1.0])


def pairs(numbers: list[complex]) -> list[float]:
    return [part for z in numbers for part in (z.real, z.imag)]


def test_a_wave_is_cos_and_sin_and_nothing_where_there_is_nothing() -> None:
    found = p.wave(np.array([0, 5, -1, 12]), FREQUENCIES, N)
    expected = [pairs([turn(f, k) for f in FREQUENCIES]) for k in (0, 5)]
    np.testing.assert_allclose(found, [*expected, [0.0] * 4, expected[1]], atol=1e-12)


def test_total_adds_what_is_looked_at() -> None:
    selector = np.array([[1.0, 0.5], [0.0, 0.0]])
    np.testing.assert_allclose(p.total(selector, np.array([[1.0, 2.0], [4.0, 8.0]])), [[3.0, 6.0], [0.0, 0.0]])


@pytest.mark.parametrize(("a", "b"), [(2, 3), (6, 6), (0, 4)])
def test_angles_add_up_and_votes_are_largest_for_the_sum(a: int, b: int) -> None:
    first, second = p.wave(np.array([a]), FREQUENCIES, N), p.wave(np.array([b]), FREQUENCIES, N)
    added = p.add_angles(first, second)
    np.testing.assert_allclose(added, p.wave(np.array([a + b]), FREQUENCIES, N), atol=1e-12)
    votes = p.votes(added, {1: 2, 3: 0.5}, N)
    expected = [
        2 * math.cos(2 * math.pi * (a + b - c) / N) + 0.5 * math.cos(6 * math.pi * (a + b - c) / N) for c in range(N)
    ]
    np.testing.assert_allclose(votes[0], expected, atol=1e-12)
    assert p.largest(votes).tolist() == [(a + b) % N]


def test_doubling_the_sum_of_two_waves_keeps_its_length() -> None:
    first, second = p.wave(np.array([2, 0]), FREQUENCIES, N), p.wave(np.array([6, 0]), FREQUENCIES, N)
    doubled = p.double_angles(first + second)
    for k, f in enumerate(FREQUENCIES):
        length = 2 * abs(math.cos(math.pi * f * (2 - 6) / N))
        np.testing.assert_allclose(doubled[0, 2 * k : 2 * k + 2], pairs([length * turn(f, 8)]), atol=1e-12)
    assert p.double_angles(np.zeros((1, 4))).tolist() == [[0.0] * 4]


def test_doubling_less_companions_takes_off_the_second_half() -> None:
    waves = p.wave(np.array([2, 5]), (1, 3, 2, 6), N)
    found = p.double_angles(waves, less=0.25)
    expected = [pairs([turn(2 * f, k) * 0.75 for f in FREQUENCIES]) for k in (2, 5)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_motions_are_matrices_of_the_dihedral_group() -> None:
    elements = np.arange(2 * N)
    found = p.motion(elements, FREQUENCIES, N).reshape(-1, 2, 2, 2)
    for e in elements:
        for k, f in enumerate(FREQUENCIES):
            np.testing.assert_allclose(found[e, k], rotation(f, int(e)), atol=1e-12)
    assert p.motion(np.array([-1]), FREQUENCIES, N).tolist() == [[0.0] * 8]


def test_composed_motions_vote_for_the_product() -> None:
    elements = np.arange(2 * N)
    for x in elements:
        a = p.motion(np.full(2 * N, x), FREQUENCIES, N)
        product = p.compose(a, p.motion(elements, FREQUENCIES, N))
        said = p.largest(p.motion_votes(product, {1: 1, 3: 1}, N))
        k, flipped = int(x) % N, int(x) >= N
        expected = [(k + (-1 if flipped else 1) * (y % N)) % N + N * (flipped != (y >= N)) for y in elements.tolist()]
        assert said.tolist() == expected


def test_directions_keep_only_what_stands_there() -> None:
    a, b = np.array([[1.0, 2, 3, 4, 1, 2, 3, 4]]), np.array([[5.0, 6, 7, 8, 5, 6, 7, 8]])
    left, right = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
    onto = np.array([[0.25, math.sqrt(3) / 4], [math.sqrt(3) / 4, 0.75]])
    found = p.compose(a, b, left=(None, 60), between=(60, None), right=(None, 90)).reshape(2, 2, 2)
    np.testing.assert_allclose(found[0], left @ onto @ right, atol=1e-12)
    np.testing.assert_allclose(found[1], onto @ left @ right @ np.diag([0, 1]), atol=1e-12)
    weighted = p.motion_votes(a, {1: 2, 3: -1}, N)
    matrix = np.array([[1, 2], [3, 4]])
    expected = [2 * (matrix * rotation(1, z)).sum() - (matrix * rotation(3, z)).sum() for z in range(2 * N)]
    np.testing.assert_allclose(weighted[0], expected, atol=1e-12)
