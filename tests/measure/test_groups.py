"""Groups recovered from tables written down from the definitions, with names permuted and entries broken."""

from itertools import permutations

import numpy as np
import pytest

from exegesis.measure.groups import Group, find_group, multiplied


def cyclic(n: int) -> np.ndarray:
    return np.array([[(a + b) % n for b in range(n)] for a in range(n)])


def dihedral(n: int) -> np.ndarray:
    """From what the elements do to the corners of a polygon: k turns by k, n + k sends corner c to k - c."""
    moves = [tuple((k + c) % n for c in range(n)) for k in range(n)]
    moves += [tuple((k - c) % n for c in range(n)) for k in range(n)]
    return composed(moves)


def composed(moves: list[tuple[int, ...]]) -> np.ndarray:
    """The table of moves, the second of which is made first."""
    place = {m: i for i, m in enumerate(moves)}
    return np.array([[place[tuple(a[c] for c in b)] for b in moves] for a in moves], dtype=np.int64)


def renamed(table: np.ndarray, seed: int) -> np.ndarray:
    """The table of the same group up to names: rows, columns and answers are permuted each in their own way."""
    rng = np.random.default_rng(seed)
    rows, columns, answers = (rng.permutation(len(table)) for _ in range(3))
    return np.asarray(answers[table[rows][:, columns]])


def products(found: Group) -> np.ndarray:
    """The element that each row and column should give."""
    a, b = found.rows[:, None], found.columns[None]
    return multiplied(found.kind, found.period, *((b, a) if found.swapped else (a, b)))


def symmetric(degree: int, even: bool = False) -> np.ndarray:
    moves = list(permutations(range(degree)))
    return composed([m for m in moves if not even or np.linalg.det(np.eye(degree)[list(m)]) > 0])


@pytest.mark.parametrize("n", [2, 5, 12, 31])
def test_cyclic_groups_keep_their_plain_names(n: int) -> None:
    found = find_group(cyclic(n))
    assert found is not None
    assert (found.kind, found.order, found.period, found.agreement, found.associative) == ("cyclic", n, n, 1.0, 1.0)
    for names in (found.rows, found.columns, found.answers):
        assert names.tolist() == list(range(n))


@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_dihedral_groups_keep_their_plain_names(n: int) -> None:
    found = find_group(dihedral(n))
    assert found is not None
    assert (found.kind, found.order, found.period, found.agreement) == ("dihedral", 2 * n, n, 1.0)
    assert found.rows.tolist() == found.answers.tolist() == list(range(2 * n))


@pytest.mark.parametrize(("degree", "even"), [(4, False), (4, True), (5, True), (5, False)])
def test_permutations_keep_their_lexicographic_numbers_in_either_order(degree: int, even: bool) -> None:
    table = symmetric(degree, even)
    for swapped, given in ((False, table), (True, table.T)):
        found = find_group(given)
        assert found is not None
        assert (found.kind, found.period, found.swapped) == ("alternating" if even else "symmetric", degree, swapped)
        assert found.agreement == 1.0
        assert found.rows.tolist() == found.columns.tolist() == found.answers.tolist() == list(range(len(table)))


TABLES = {
    "C9": cyclic(9),
    "C16": cyclic(16),
    "D5": dihedral(5),
    "D8": dihedral(8),
    "S4": symmetric(4),
    "A5": symmetric(5, True),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_names_are_found_however_rows_columns_and_answers_are_permuted(table: np.ndarray) -> None:
    for seed in range(3):
        found = find_group(renamed(table, seed))
        assert found is not None
        assert found.agreement == 1.0
        assert (products(found) == found.answers[renamed(table, seed)]).all()


def test_subtraction_and_shifted_sums_are_addition_under_other_names() -> None:
    n = 11
    a, b = np.arange(n)[:, None], np.arange(n)[None]
    found = find_group((a - b) % n)
    assert found is not None
    assert found.columns.tolist() == (-np.arange(n) % n).tolist()
    shifted = find_group((a + b + 3) % n)
    assert shifted is not None
    assert shifted.agreement == 1.0


def test_multiplication_of_units_is_cyclic_under_discrete_logarithms() -> None:
    units = np.arange(1, 13)
    found = find_group(units[:, None] * units % 13 - 1)
    assert found is not None
    assert (found.kind, found.agreement) == ("cyclic", 1.0)


def test_a_few_errors_are_borne_and_counted() -> None:
    table, rng = cyclic(31), np.random.default_rng(0)
    wrong = rng.random(table.shape) < 0.01
    table[wrong] = (table[wrong] + rng.integers(1, 31, wrong.sum())) % 31
    found = find_group(table)
    assert found is not None
    assert found.kind == "cyclic"
    assert found.agreement == 1 - wrong.mean()
    assert found.rows.tolist() == list(range(31))


def test_another_group_is_told_apart() -> None:
    found = find_group(np.array([[a ^ b for b in range(8)] for a in range(8)]))
    assert found is not None
    assert (found.kind, found.order, found.agreement) == ("other", 8, 1.0)


@pytest.mark.parametrize(
    "table",
    [
        np.random.default_rng(0).integers(0, 12, (12, 12)),
        np.array([[a * b % 12 for b in range(12)] for a in range(12)]),
        np.array([[max(a, b) for b in range(9)] for a in range(9)]),
        np.zeros((7, 7), dtype=int),
        np.array([[(2 * a + 3 * b) % 11 if a != b else a for b in range(11)] for a in range(11)]),
    ],
    ids=["random", "times", "max", "constant", "idempotent"],
)
def test_what_is_no_group_is_refused(table: np.ndarray) -> None:
    assert find_group(table) is None
