"""Luck among many units: against the textbook, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from exegesis.explain.features.chance import LEVEL, Chance, chance_of, corrected_over, foretells


def drawn(units: int, seed: int = 0, nulls: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Correlations and their nulls, of one kind."""
    draws = np.random.default_rng(seed)
    return np.tanh(draws.normal(0.1, 0.2, units)), np.tanh(draws.normal(0.1, 0.2, (nulls, units)))


def passing(chance: Chance, scores: np.ndarray) -> np.ndarray:
    return scores >= chance.bars


def test_probabilities_are_those_of_the_predictive_t() -> None:
    scores, nulls = drawn(3)
    found = chance_of(scores, {"drawn": nulls})
    for unit in range(3):
        sample = np.arctanh(nulls[:, unit])
        t = (np.arctanh(scores[unit]) - sample.mean()) / np.sqrt(sample.var(ddof=1) * (1 + 1 / len(sample)))
        assert found.alone[unit] == pytest.approx(1 - stats.t.cdf(t, len(sample) - 1))


def test_holm_by_hand() -> None:
    """0.01, 0.03 and 0.04 of three: 3 · 0.01, then 2 · 0.03, then no less than that."""
    wide = np.random.default_rng(1).normal(0, 0.1, (40, 3))
    mean, width = wide.mean(0), wide.std(0, ddof=1) * np.sqrt(1 + 1 / 40)
    scores = np.tanh(mean + width * stats.t.isf([0.03, 0.01, 0.04], 39))
    found = chance_of(scores, {"drawn": np.tanh(wide)})
    np.testing.assert_allclose(found.alone, [0.03, 0.01, 0.04], rtol=1e-6)
    np.testing.assert_allclose(found.corrected, [0.06, 0.03, 0.06], rtol=1e-6)
    assert passing(found, scores).tolist() == [False, True, False]


@pytest.mark.parametrize("units", [1, 6, 40])
def test_bars_pass_exactly_what_holm_passes(units: int) -> None:
    for seed in range(10):
        scores, nulls = drawn(units, seed)
        scores[: units // 3] = np.tanh(np.arctanh(scores[: units // 3]) + 1.0)
        found = chance_of(scores, {"drawn": nulls})
        np.testing.assert_array_equal(passing(found, scores), found.corrected <= LEVEL)


def test_luck_passes_as_rarely_as_it_is_said_to() -> None:
    """Of 30 units that know nothing, one passes in some 5 % of the cases; uncorrected it would be 79 %."""
    corrected, alone = [], []
    for seed in range(120):
        scores, nulls = drawn(30, seed)
        found = chance_of(scores, {"drawn": nulls})
        corrected.append(passing(found, scores).any())
        alone.append((found.alone <= LEVEL).any())
    assert np.mean(corrected) < 0.11
    assert np.mean(alone) > 0.6


def test_the_null_that_does_best_counts() -> None:
    scores, nulls = drawn(2)
    scores[:] = 0.9
    better = np.tanh(np.arctanh(nulls) + 1.0)
    one, both = chance_of(scores, {"low": nulls}), chance_of(scores, {"low": nulls, "high": better})
    assert (both.alone > one.alone).all()
    assert (both.bars > one.bars).all()


def test_units_without_a_figure_are_no_part_of_the_family() -> None:
    scores, nulls = drawn(4)
    scores[2] = np.nan
    nulls[:20, 3] = np.nan  # four nulls are left
    found = chance_of(scores, {"drawn": nulls})
    assert found.family == 2
    assert np.isnan(found.corrected[2:]).all()
    assert found.record(2) == {}
    assert "Holm's correction over 2 units" in corrected_over(found)
    assert "the same for all inputs" in foretells("…", float(scores[2]), found, 2, 0.1).reason
    assert "fewer than 8 nulls" in foretells("…", float(scores[3]), found, 3, 0.1).reason
    assert foretells("…", 0.05, chance_of(np.array([0.05]), {"drawn": np.zeros((9, 1))}), 0, 0.1).passed is False
