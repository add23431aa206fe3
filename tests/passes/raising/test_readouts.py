"""Readout idioms on made observations: each is found where it is the truth, says the same when it is written as nodes,
and gives way where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Graph, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.observations import Observations
from exegesis.passes.raising.readouts import ARGMAX, LAST_RESORT, SIGN, propose

N, CLASSES = 900, 6
ONE = Type("category", ("batch", "pos"), "answer")
SET = Type("bool", ("batch", "pos", "answer"))
BLANK = Graph((), ())
Task = Callable[[Observations], np.ndarray]


def observed(task: Task, seed: int = 0) -> Observations:
    rng = np.random.default_rng(seed)
    blank = Observations(
        categories={"token": rng.integers(0, CLASSES, N), "before": rng.integers(-1, CLASSES, N)},
        sizes={"token": CLASSES, "before": CLASSES},
        counts={"seen": rng.integers(0, 9, (N, CLASSES)).astype(float)},
        answers=np.zeros(N, np.int64),
        classes=CLASSES,
    )
    return replace(blank, answers=task(blank))


def token(s: Observations) -> np.ndarray:
    return s.categories["token"]


def before(s: Observations) -> np.ndarray:
    return s.categories["before"]


def seen(s: Observations, k: int) -> np.ndarray:
    return s.counts["seen"][:, k]


def commonest(s: Observations) -> np.ndarray:
    """Ties go to the smallest, as in the language."""
    return s.counts["seen"].argmax(1)


def without_ties(task: Task) -> Observations:
    """Observations in which one class has most: a readout must not guess what breaks ties."""
    made = observed(task)
    top = np.sort(made.counts["seen"], 1)
    return made.at(top[:, -1] > top[:, -2])


ARGMAX_TASKS: dict[str, tuple[str, Task]] = {
    "constant": ("always", lambda s: np.full(len(s), 4)),
    "the token": ("copied", token),
    "the one before, none is two": ("copied", lambda s: np.where(before(s) == -1, 2, before(s))),
    "two tokens change places": ("copied", lambda s: np.array([1, 0, 2, 3, 4, 5])[token(s)]),
    "a table": ("looked_up", lambda s: np.array([3, 3, 1, 3, 0, 1])[token(s)]),
    "a table of what was before": ("looked_up", lambda s: np.array([5, 2, 2, 2, 2, 0, 2])[before(s) + 1]),
    "more a than b": ("chosen", lambda s: np.where(seen(s, 0) > seen(s, 1), 0, 3)),
    "three ways": ("chosen", lambda s: np.where(token(s) == 2, 5, np.where(seen(s, 0) > 3, 0, 1))),
    "the token unless it was seen": ("chosen", lambda s: np.where(seen(s, 0) > 4, 2, token(s))),
    "one or the other": ("branched", lambda s: np.where(seen(s, 0) > seen(s, 1), token(s), np.maximum(before(s), 0))),
}


@pytest.mark.parametrize(("idiom", "task"), ARGMAX_TASKS.values(), ids=ARGMAX_TASKS.keys())
def test_the_true_readout_is_found_and_says_the_same_as_a_program(hand: Any, idiom: str, task: Task) -> None:
    made, fresh = observed(task), observed(task, seed=7)
    best = propose(made, tolerance=0.0, answer=ONE)[0]
    assert best.idiom == idiom
    assert best.errors(made) == 0
    np.testing.assert_array_equal(best.said, made.answers)
    np.testing.assert_array_equal(hand.written(best.write, made), made.answers)
    np.testing.assert_array_equal(hand.written(best.write, fresh), fresh.answers)


def test_the_commonest_is_found_where_nothing_ties(hand: Any) -> None:
    made = without_ties(commonest)
    best = propose(made, tolerance=0.0, answer=ONE)[0]
    assert best.idiom == "largest"
    np.testing.assert_array_equal(hand.written(best.write, made), made.answers)


def test_the_commonest_is_no_answer_where_counts_tie() -> None:
    """Whichever class a network favours there, the idiom does not know it."""
    made = observed(commonest)
    assert "largest" not in {r.idiom for r in propose(made, tolerance=0.0, answer=ONE)}


SIGN_TASKS: dict[str, Task] = {
    "brackets": lambda s: np.stack([seen(s, 0) - seen(s, 1) < 3, seen(s, 0) > seen(s, 1), seen(s, 0) <= seen(s, 1)], 1),
    "always and never": lambda s: np.stack([np.ones(len(s), bool), np.zeros(len(s), bool), token(s) == 3], 1),
    "by token": lambda s: np.stack([token(s) < 2, token(s) >= 2, before(s) == -1], 1),
    "nested": lambda s: np.stack([(token(s) != 4) & (seen(s, 2) > 3), (token(s) == 1) | (seen(s, 0) > 5)], 1),
}


@pytest.mark.parametrize("task", SIGN_TASKS.values(), ids=SIGN_TASKS.keys())
def test_sets_are_found_output_by_output(hand: Any, task: Task) -> None:
    made, fresh = observed(task), observed(task, seed=7)
    width = made.answers.shape[1]
    made, fresh = replace(made, classes=width), replace(fresh, classes=width)
    best = propose(made, tolerance=0.0, answer=SET)[0]
    assert best.idiom == "allowed"
    np.testing.assert_array_equal(best.said, made.answers)
    np.testing.assert_array_equal(hand.written(best.write, fresh), fresh.answers)


@pytest.mark.parametrize("seed", range(3))
def test_answers_by_chance_have_no_readout(seed: int) -> None:
    rng = np.random.default_rng(50 + seed)
    assert propose(observed(lambda s: rng.integers(0, CLASSES, N), seed), tolerance=0.01, answer=ONE) == []
    assert propose(observed(lambda s: rng.random((N, 3)) > 0.5, seed), tolerance=0.01, answer=SET) == []


def test_what_only_two_categories_decide_together_is_refused() -> None:
    task: Task = lambda s: (token(s) + 2 * np.maximum(before(s), 0)) % CLASSES  # noqa: E731
    assert propose(observed(task), tolerance=0.002, answer=ONE) == []


def test_every_proposal_is_within_the_tolerance_and_the_shortest_comes_first() -> None:
    made = observed(lambda s: np.where(np.arange(len(s)) < 6, 3, token(s)))
    for tolerance in (0.0, 0.01):
        found = propose(made, tolerance=tolerance, answer=ONE)
        assert all(r.errors(made) <= tolerance * N for r in found)
        totals = [r.total(made) for r in found]
        assert totals == sorted(totals)
        assert bool(found) is (tolerance > 0)
    wrong = int((made.answers != token(made)).sum())
    assert found[0].errors(made) == wrong > 0
    assert found[0].total(made) > found[0].bits


def test_dear_variables_are_avoided() -> None:
    made = observed(token)
    twin = replace(
        made,
        categories={**made.categories, "twin": token(made)},
        sizes={**made.sizes, "twin": CLASSES},
        cost={"token": 100.0},
    )
    names = [propose(o, tolerance=0.0, answer=ONE)[0].write(Draft(BLANK, "test")) for o in (made, twin)]
    assert names == ["token", "twin"], "a copy is written as the variable itself"


@pytest.mark.parametrize("idiom", [*ARGMAX, *LAST_RESORT], ids=lambda i: i.__name__)
@pytest.mark.parametrize("task", [t for _, t in ARGMAX_TASKS.values()], ids=ARGMAX_TASKS.keys())
def test_an_idiom_is_deterministic_and_says_what_it_writes(hand: Any, idiom: Any, task: Task) -> None:
    made = observed(task)
    before_ = made.answers.copy()
    first, second = (idiom(made, 0.01, ONE) for _ in range(2))
    assert [(r.idiom, r.bits) for r in first] == [(r.idiom, r.bits) for r in second]
    np.testing.assert_array_equal(made.answers, before_)
    for readout in first:
        sure = readout.said >= 0  # −1 says that the idiom does not decide
        np.testing.assert_array_equal(hand.written(readout.write, made)[sure], readout.said[sure])


def test_every_idiom_is_listed() -> None:
    assert {i.__name__ for i in (*ARGMAX, *SIGN, *LAST_RESORT)} == {
        "always",
        "copied",
        "looked_up",
        "largest",
        "chosen",
        "allowed",
        "branched",
    }
