"""Removal and rounding against brute force on small maps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from exegesis.passes.compressing.least_squares import Moments, quantised, removal


def made(n: int = 400, k: int = 6, m: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Moments]:
    """Correlated inputs, targets that are nearly linear in them, the weight behind these, and the moments."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k)) @ rng.normal(size=(k, k)) + 2
    weight = rng.normal(size=(k, m))
    z = x @ weight + 1 + 0.01 * rng.normal(size=(n, m))
    xc, zc = x - x.mean(0), z - z.mean(0)
    return x, z, weight, Moments(x.mean(0), z.mean(0), xc.T @ xc / n, xc.T @ zc / n, (zc**2).mean(0), n)


def left_over(x: np.ndarray, z: np.ndarray, kept: list[int]) -> float:
    """Squared error of the best map from these columns, per case: by numpy's own least squares."""
    design = np.concatenate([x[:, kept], np.ones((len(x), 1))], axis=1)
    solution = np.linalg.lstsq(design, z, rcond=None)[0]
    return float(((z - design @ solution) ** 2).sum() / len(x))


def test_a_fitted_weight_is_that_of_least_squares() -> None:
    x, z, weight, moments = made()
    noisy = weight + 0.5
    fitted = moments.fitted(noisy)
    error = ((z - x @ fitted - moments.bias(fitted)) ** 2).sum() / len(x)
    best = left_over(x, z, list(range(6)))
    assert best <= error < best + 1e-3 * moments.zz.sum()  # the damping holds it a little nearer to where it was
    assert moments.error(fitted) == pytest.approx(error / moments.zz.sum(), rel=1e-6, abs=1e-9)
    assert moments.error(noisy) > 100 * moments.error(fitted)


def test_the_first_to_go_is_the_one_that_the_others_replace_best() -> None:
    for seed in range(5):
        x, z, _weight, moments = made(seed=seed)
        found = removal([moments], 6)
        costs = [left_over(x, z, [i for i in range(6) if i != gone]) for gone in range(6)]
        assert costs[found.order[0]] < 1.1 * min(costs) + 0.01 * moments.zz.sum()
        assert (np.diff(found.cost) >= -1e-12).all()


def test_blocks_of_rows_go_together() -> None:
    x, z, _weight, moments = made()
    found = removal([moments], 3)
    costs = [left_over(x, z, [i for i in range(6) if i // 2 != gone]) for gone in range(3)]
    assert found.order[0] == int(np.argmin(costs))


def test_a_copy_goes_at_no_cost() -> None:
    x, z, _weight, _ = made()
    x = np.concatenate([x, x[:, :1]], axis=1)
    xc, zc = x - x.mean(0), z - z.mean(0)
    n = len(x)
    moments = Moments(x.mean(0), z.mean(0), xc.T @ xc / n, xc.T @ zc / n, (zc**2).mean(0), n)
    found = removal([moments], 7)
    assert found.order[0] in (0, 6)
    assert found.cost[0] < 1e-3 < found.cost[3]


def test_kept_leaves_at_least_one() -> None:
    _, _, _weight, moments = made()
    found = removal([moments], 6)
    assert found.kept(1e9).sum() == 1
    assert found.kept(-1.0).all()


def test_rounding_makes_up_for_what_it_loses() -> None:
    _x, _z, weight, moments = made(k=5, m=1, seed=3)
    step = 0.5
    whole = quantised(moments, weight, step, dead=0.5)
    assert np.issubdtype(whole.dtype, np.integer)

    def error(counts: np.ndarray) -> float:
        return moments.error(counts * step)

    plain = np.rint(weight / step).astype(int)
    around = [plain + np.array(t)[:, None] for t in itertools.product((-1, 0, 1), repeat=5)]
    best = min(error(a) for a in around)
    assert best <= error(whole) + 1e-12
    assert error(whole) < 0.5 * error(plain)
    assert error(whole) < 2 * best


def test_a_wider_dead_zone_makes_more_zeros() -> None:
    _, _, weight, moments = made(k=40, m=20)
    counts = [int((quantised(moments, weight, 1.0, dead) == 0).sum()) for dead in (0.5, 0.7, 0.9)]
    assert counts[0] < counts[1] < counts[2]


def test_what_never_varies_can_be_solved_for() -> None:
    """A value that is the same for all inputs, far from zero, has a covariance of rounding errors, not all positive."""
    rng = np.random.default_rng(0)
    x = np.full((300, 6), 3.7e3) + rng.normal(scale=1e-9, size=(300, 6))
    z = rng.normal(size=(300, 2))
    mean_x, mean_z = x.mean(0), z.mean(0)
    xx = x.T @ x / 300 - np.outer(mean_x, mean_x)
    assert np.linalg.eigvalsh(xx).min() < 0
    moments = Moments(mean_x, mean_z, xx, x.T @ z / 300 - np.outer(mean_x, mean_z), z.var(0), 300)
    weight = rng.normal(size=(6, 2))
    assert np.isfinite(moments.fitted(weight)).all()
