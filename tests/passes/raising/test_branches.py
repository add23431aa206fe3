"""Cases: trees over expressions are found where the truth has cases, as shallow as it is, and not where it has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Type
from exegesis.passes.raising.branches import Tree, expressions, grow, most
from exegesis.passes.raising.observations import Observations

N, CLASSES = 800, 7
ONE = Type("category", ("batch", "pos"), "answer")


def observed(task: Callable[..., np.ndarray], seed: int = 0) -> Observations:
    rng = np.random.default_rng(seed)
    token, before = rng.integers(0, CLASSES, N), rng.integers(-1, CLASSES, N)
    seen = rng.integers(0, 9, (N, CLASSES)).astype(float)
    return Observations(
        {"token": token, "before": before},
        {"token": CLASSES, "before": CLASSES},
        {"seen": seen},
        task(token, before, seen),
        CLASSES,
    )


def grown(seen: Observations, tolerance: float = 0.0, depth: int = 3) -> Tree | None:
    exprs = expressions(seen, ONE, CLASSES)
    return grow(seen, exprs, np.ones(len(seen), bool), tolerance=tolerance, depth=depth)


def depth(tree: Tree) -> int:
    if tree.leaf is not None:
        return 0
    assert tree.yes is not None
    assert tree.no is not None
    return 1 + max(depth(tree.yes), depth(tree.no))


TASKS: dict[str, tuple[int, Callable[..., np.ndarray]]] = {
    "no case": (0, lambda t, b, s: t),
    "one case": (1, lambda t, b, s: np.where(s[:, 0] > s[:, 1], t, np.maximum(b, 0) * 0 + 5)),
    "two variables": (1, lambda t, b, s: np.where(t == 3, b, t)),
    "two cases": (2, lambda t, b, s: np.where(t == 3, 6, np.where(s[:, 2] > 4, b, t))),
}


@pytest.mark.parametrize(("cases", "task"), TASKS.values(), ids=TASKS.keys())
def test_a_tree_has_the_cases_that_the_truth_has(hand: Any, cases: int, task: Callable[..., np.ndarray]) -> None:
    made, fresh = observed(task), observed(task, seed=5)
    tree = grown(made)
    assert tree is not None
    assert depth(tree) == cases
    np.testing.assert_array_equal(tree.said(made), made.answers)
    written = hand.written(lambda d: tree.write(d, ONE), fresh)
    np.testing.assert_array_equal(written, fresh.answers)


def test_what_needs_more_cases_than_allowed_is_refused() -> None:
    made = observed(TASKS["two cases"][1])
    assert grown(made, depth=1) is None
    assert grown(made, depth=2) is not None


@pytest.mark.parametrize("seed", range(2))
def test_chance_has_no_cases(seed: int) -> None:
    rng = np.random.default_rng(70 + seed)
    assert grown(observed(lambda t, b, s: rng.integers(0, CLASSES, N), seed), tolerance=0.01) is None


def test_errors_stay_within_the_tolerance() -> None:
    made = observed(TASKS["two variables"][1])
    made.answers[:5] = (made.answers[:5] + 1) % CLASSES
    assert grown(made) is None
    tree = grown(made, tolerance=0.01)
    assert tree is not None
    assert 0 < int((tree.said(made) != made.answers).sum()) <= 8


def test_expressions_say_what_their_nodes_say(hand: Any) -> None:
    made = observed(lambda t, b, s: (t + 1) % CLASSES)
    for expression in expressions(made, ONE, CLASSES):
        sure = expression.said >= 0
        np.testing.assert_array_equal(hand.written(expression.write, made)[sure], expression.said[sure])
    assert any(
        (e.said == np.where(made.categories["token"] == 6, -1, made.answers)).all() for e in expressions(made, ONE, 7)
    )


def test_most_does_not_break_ties() -> None:
    values = np.array([[1.0, 2, 0], [2, 2, 0], [0, 0, 5], [3, 3, 3]])
    assert most(values, np.array([0, 1])).tolist() == [1, -1, -1, -1]
    assert most(values, np.array([0, 1, 2])).tolist() == [1, -1, 2, -1]
