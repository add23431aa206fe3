"""Exact confidence bounds against a brute-force binomial tail in rational arithmetic."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.evidence import clopper_pearson


def tail_at_least(k: int, n: int, p: Fraction) -> Fraction:
    """P[X >= k] for X ~ Binomial(n, p), every term added up."""
    return sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)), start=Fraction(0))


def tail_at_most(k: int, n: int, p: Fraction) -> Fraction:
    return sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)), start=Fraction(0))


results = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])


@given(result=results, confidence=confidences)
def test_each_bound_leaves_half_of_the_error_in_its_tail(result: tuple[int, int], confidence: float) -> None:
    k, n = result
    lower, upper = clopper_pearson(k, n, confidence)
    half = (1 - confidence) / 2
    assert 0.0 <= lower <= k / n + 1e-12
    assert k / n - 1e-12 <= upper <= 1.0
    if k == 0:
        assert lower == 0.0
    else:
        assert float(tail_at_least(k, n, Fraction(lower))) == pytest.approx(half, rel=1e-6)
    if k == n:
        assert upper == 1.0
    else:
        assert float(tail_at_most(k, n, Fraction(upper))) == pytest.approx(half, rel=1e-6)


@given(n=st.integers(1, 25), tenths=st.integers(1, 9))
def test_the_interval_covers_the_truth_as_often_as_it_says(n: int, tenths: int) -> None:
    """Exact coverage: the probability, under each proportion, of a result whose interval contains it."""
    p = Fraction(tenths, 10)
    covered = Fraction(0)
    for k in range(n + 1):
        lower, upper = clopper_pearson(k, n, 0.9)
        if lower <= float(p) <= upper:
            covered += comb(n, k) * p**k * (1 - p) ** (n - k)
    assert float(covered) >= 0.9


def test_the_rule_of_three() -> None:
    """Without a failure in n trials the one-sided 95 % bound is near 1 - 3/n (J. A. Hanley, JAMA 249, 1983)."""
    lower, upper = clopper_pearson(1000, 1000, 0.90)
    assert upper == 1.0
    assert lower == pytest.approx(1 - 3 / 1000, abs=1e-4)


@pytest.mark.parametrize(
    ("successes", "n", "confidence"), [(1, 0, 0.9), (-1, 3, 0.9), (4, 3, 0.9), (1, 2, 1.0), (1, 2, 0.0)]
)
def test_what_is_no_binomial_result_is_refused(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"not (a binomial result|at)"):
        clopper_pearson(successes, n, confidence)
