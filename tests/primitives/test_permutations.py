"""Representations of permutations against what makes them representations, and characters known from tables."""

from itertools import permutations

import numpy as np
import pytest

from exegesis import primitives as p
from exegesis.primitives.permutations import dimension, lexicographic, representation_table

PARTITIONS = [(3,), (2, 1), (1, 1, 1), (3, 1), (2, 2), (2, 1, 1), (4, 1), (3, 2), (3, 1, 1), (2, 2, 1), (1, 1, 1, 1, 1)]


def product(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a[k] for k in b)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_matrices_multiply_as_permutations_do_and_are_orthogonal(partition: tuple[int, ...]) -> None:
    elements = list(permutations(range(sum(partition))))
    matrices = representation_table(partition)
    assert matrices.shape == (len(elements), dimension(partition), dimension(partition))
    rng = np.random.default_rng(0)
    for a, b in rng.integers(len(elements), size=(60, 2)).tolist():
        made = elements.index(product(elements[a], elements[b]))
        np.testing.assert_allclose(matrices[a] @ matrices[b], matrices[made], atol=1e-12)
        np.testing.assert_allclose(matrices[a].T @ matrices[a], np.eye(dimension(partition)), atol=1e-12)


def test_characters_are_those_of_the_tables() -> None:
    elements = list(permutations(range(5)))
    fixed = np.array([sum(k == v for k, v in enumerate(e)) for e in elements])
    sign = np.array([np.linalg.det(np.eye(5)[list(e)]) for e in elements])
    trace = {q: np.einsum("nii->n", representation_table(q)) for q in [(4, 1), (2, 1, 1, 1), (1, 1, 1, 1, 1), (3, 2)]}
    np.testing.assert_allclose(trace[4, 1], fixed - 1, atol=1e-12)
    np.testing.assert_allclose(trace[1, 1, 1, 1, 1], sign, atol=1e-12)
    np.testing.assert_allclose(trace[2, 1, 1, 1], sign * (fixed - 1), atol=1e-12)
    swap, three_cycle = elements.index((1, 0, 2, 3, 4)), elements.index((1, 2, 0, 3, 4))
    assert (trace[3, 2][[0, swap, three_cycle]]).round(9).tolist() == [5, 1, -1]


def test_dimensions_squared_add_up_to_the_order() -> None:
    assert sum(dimension(q) ** 2 for q in PARTITIONS if sum(q) == 4) + dimension((4,)) + dimension((1, 1, 1, 1)) == 24
    assert dimension((3, 2, 1)) == 16


def test_even_elements_are_the_even_ones_in_order() -> None:
    even = lexicographic(4, even=True)
    assert even == [e for e in permutations(range(4)) if np.linalg.det(np.eye(4)[list(e)]) > 0]
    np.testing.assert_array_equal(
        representation_table((3, 1), True)[5], representation_table((3, 1))[list(permutations(range(4))).index(even[5])]
    )


def test_products_vote_for_the_composed_permutation() -> None:
    elements = list(permutations(range(4)))
    rng = np.random.default_rng(1)
    a, b = rng.integers(24, size=(2, 40))
    partitions = [(3, 1), (2, 1, 1)]
    first, second = (p.representation(x, partitions) for x in (a, b))
    made = p.matrix_product(first, second, partitions)
    said = p.largest(p.representation_votes(made, {(3, 1): 2, (2, 1, 1): 1}))
    assert said.tolist() == [elements.index(product(elements[x], elements[y])) for x, y in zip(a, b, strict=True)]
    assert p.representation(np.array([-1, 24]), [(3, 1)])[0].tolist() == [0.0] * 9
    np.testing.assert_array_equal(p.representation(np.array([24]), [(3, 1)]), p.representation(np.array([0]), [(3, 1)]))


def test_directions_keep_only_what_stands_there() -> None:
    a, b = p.representation(np.array([7]), [(2, 1)]), p.representation(np.array([3]), [(2, 1)])
    one, two = a.reshape(2, 2), b.reshape(2, 2)
    direction = np.array([3.0, 4.0])
    found = p.matrix_product(a, b, [(2, 1)], between=[direction.tolist()])
    np.testing.assert_allclose(found.reshape(2, 2), one @ np.outer(direction, direction) / 25 @ two, atol=1e-12)
