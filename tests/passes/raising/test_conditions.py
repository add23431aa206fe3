"""Learning conditions: planted formulas come back in short form, chance gives nothing, and what is written says the
same as a program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.passes.raising.conditions import learn
from exegesis.passes.raising.formulas import Above, All, Formula, IsIn, Not, Some
from exegesis.passes.raising.observations import Observations, error_bits

N, CLASSES = 1200, 6


def observed(seed: int = 0, n: int = N, cost: dict[str, float] | None = None) -> Observations:
    """Two categories of six classes and counts of four; nothing is answered yet."""
    rng = np.random.default_rng(seed)
    return Observations(
        categories={"token": rng.integers(0, CLASSES, n), "before": rng.integers(-1, CLASSES, n)},
        sizes={"token": CLASSES, "before": CLASSES},
        counts={"seen": rng.integers(0, 8, (n, 4)).astype(float), "share": rng.random((n, 3)).round(2)},
        answers=np.zeros(n, np.int64),
        cost=cost or {},
    )


def is_in(name: str, *values: int) -> IsIn:
    return IsIn(name, values, CLASSES)


PLANTED: dict[str, tuple[Formula, type]] = {
    "one category": (is_in("token", 2), IsIn),
    "two categories": (is_in("token", 1, 4), IsIn),
    "all but one": (Not(is_in("token", 3)), Not),
    "none before": (is_in("before", -1), IsIn),
    "more a than b": (Above(((1.0, "seen", 0), (-1.0, "seen", 1)), 0.0), Above),
    "at least three": (Above(((1.0, "seen", 2),), 2.0), Above),
    "across variables": (Above(((1.0, "seen", 0), (-2.0, "seen", 3)), 1.0), Above),
    "either": (Some((is_in("token", 1), Above(((1.0, "seen", 0),), 3.0))), Some),
    "both": (All((Not(is_in("token", 0)), Above(((1.0, "seen", 0), (-1.0, "seen", 1)), 0.0))), All),
}


@pytest.mark.parametrize(("truth", "kind"), PLANTED.values(), ids=PLANTED.keys())
def test_planted_formulas_come_back(truth: Formula, kind: type) -> None:
    seen = observed()
    target = truth.holds(seen.values)
    found = learn(target, seen, tolerance=0.0)
    assert found is not None
    assert found.errors == 0
    assert isinstance(found.formula, kind)
    assert found.formula.variables == truth.variables
    assert found.bits <= truth.bits + 1
    fresh = observed(seed=9)
    np.testing.assert_array_equal(found.formula.holds(fresh.values), truth.holds(fresh.values))


@pytest.mark.parametrize("always", [True, False])
def test_a_constant_needs_no_variable(always: bool) -> None:
    found = learn(np.full(N, always), observed(), tolerance=0.0)
    assert found is not None
    assert found.formula == (All() if always else Some())
    assert found.formula.variables == frozenset()


@pytest.mark.parametrize("seed", range(3))
def test_chance_gives_nothing(seed: int) -> None:
    target = np.random.default_rng(100 + seed).random(N) > 0.5
    assert learn(target, observed(seed), tolerance=0.01) is None


def test_what_two_categories_decide_only_together_is_refused() -> None:
    seen = observed()
    assert learn(seen.categories["token"] == seen.categories["before"], seen, tolerance=0.0) is None


def test_a_formula_may_be_wrong_as_often_as_told_and_pays_for_it() -> None:
    seen = observed()
    target = seen.categories["token"] == 2
    wrong = np.random.default_rng(1).choice(N, 5, replace=False)
    target[wrong] ^= True
    assert learn(target, seen, tolerance=0.0) is None
    found = learn(target, seen, tolerance=0.01)
    assert found is not None
    assert (found.formula, found.errors) == (is_in("token", 2), 5)
    assert found.total(N) == pytest.approx(found.bits + error_bits(5, N, 2))


def test_what_is_said_anyway_is_named_again() -> None:
    seen = observed()
    known = Above(((1.0, "seen", 0), (-1.0, "seen", 1)), 0.0)
    found = learn(~known.holds(seen.values), seen, tolerance=0.0, known=[known])
    assert found is not None
    assert found.formula == Not(known)
    assert found.bits < known.bits


def test_the_cheaper_variable_wins() -> None:
    seen = observed()
    twin = Observations(
        {**seen.categories, "twin": seen.categories["token"]},
        {**seen.sizes, "twin": CLASSES},
        seen.counts,
        seen.answers,
        cost={"token": 50.0, "twin": 1.0},
    )
    found = learn(seen.categories["token"] == 1, twin, tolerance=0.0)
    assert found is not None
    assert found.formula.variables == {"twin"}


PLANS = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(["token", "before"]), st.integers(-1, 5), st.integers(-1, 5)),
        st.tuples(st.sampled_from([-3.0, -1.0, 1.0, 2.0]), st.integers(0, 3), st.integers(-4, 9)),
    ),
    lambda inner: st.one_of(st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=4,
)


def made(plan: Any) -> Formula:
    """A formula from plain values: the type checker of the tests draws numbers, which strategies may not."""
    match plan:
        case ["not", of]:
            return Not(made(of))
        case ["and" | "or" as junction, a, b]:
            return (All if junction == "and" else Some)((made(a), made(b)))
        case [str(variable), int(a), int(b)]:
            return is_in(variable, a, b)
        case [weight, cls, threshold]:
            return Above(((weight, "seen", cls), (-1.0, "share", 1)), threshold / 2)
    raise AssertionError(plan)


def by_hand(formula: Formula, token: int, before: int, seen: np.ndarray, share: np.ndarray) -> bool:
    match formula:
        case IsIn(variable, values):
            return {"token": token, "before": before}[variable] in values
        case Above(terms, threshold):
            return sum(w * {"seen": seen, "share": share}[v][k] for w, v, k in terms) > threshold
        case Not(of):
            return not by_hand(of, token, before, seen, share)
        case All(parts):
            return all(by_hand(p, token, before, seen, share) for p in parts)
        case Some(parts):
            return any(by_hand(p, token, before, seen, share) for p in parts)


@given(plan=PLANS)
def test_a_formula_says_what_its_nodes_say(hand: Any, plan: Any) -> None:
    """Written out one observation at a time, evaluated on arrays, and run as drafted nodes."""
    formula = made(plan)
    obs = observed(seed=3, n=24)
    rows = zip(obs.categories["token"], obs.categories["before"], obs.counts["seen"], obs.counts["share"], strict=True)
    expected = [by_hand(formula, *row) for row in rows]
    assert formula.holds(obs.values).tolist() == expected
    assert hand.written(formula.draft, obs).tolist() == expected
