"""The test for sizes that are too small, against simulation and by hand."""

import numpy as np
import pytest
from scipy import stats

from exegesis.explain.shortcuts.outliers import small_outliers


def test_false_alarms_come_as_often_as_the_level_says() -> None:
    draws = np.random.default_rng(0)
    sizes = np.exp(draws.normal(3.0, 0.5, (2000, 10)))
    alarms = np.mean([(small_outliers(row, 0.05) <= 0.05).any() for row in sizes])
    # One tail per step, up to three steps: at most about three times the level, and not nothing.
    assert 0.02 < alarms < 0.12


def test_the_smallest_is_grubbs_statistic() -> None:
    sizes = np.array([1.0, 9.0, 10.0, 11.0, 12.0])
    logs = np.log(sizes[1:])
    t = (np.log(1.0) - logs.mean()) / (logs.std(ddof=1) * np.sqrt(1 + 1 / 4))
    assert small_outliers(sizes)[0] == pytest.approx(5 * stats.t.cdf(t, 3))


def test_two_planted_sizes_do_not_hide_each_other() -> None:
    sizes = np.array([70.0, 2.0, 75.0, 80.0, 2.1, 72.0, 77.0, 83.0, 69.0, 74.0])
    assert set(np.flatnonzero(small_outliers(sizes) <= 0.01)) == {1, 4}


@pytest.mark.parametrize("sizes", [np.array([1.0, 50.0, 60.0]), np.full(10, 7.0)])
def test_nothing_stands_out_among_few_or_equals(sizes: np.ndarray) -> None:
    assert (small_outliers(sizes) == 1.0).all()
