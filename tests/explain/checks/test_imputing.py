"""Filling in: against dense algebra, and where it is decided by nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exegesis.behavior import Behavior
from exegesis.explain import Target
from exegesis.explain.checks import remove_and_impute
from exegesis.explain.checks.imputing import imputed
from exegesis.explain.saliency import Gradient
from exegesis.explain.saliency.attribution import saliency
from exegesis.runtime import load


def by_algebra(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """One image [y, x]: every removed pixel is the mean of its neighbours, straight ones counting twice."""
    height, width = image.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    system, right = np.eye(len(places)), image.reshape(-1).copy()
    for at, (y, x) in enumerate(places):
        if not removed[y, x]:
            continue
        near = [(b, a) for b, a in places if max(abs(b - y), abs(a - x)) == 1]
        weights = np.array([2.0 if b == y or a == x else 1.0 for b, a in near])
        for (b, a), weight in zip(near, weights / weights.sum(), strict=True):
            system[at, b * width + a] -= weight
        right[at] = 0.0
    return np.linalg.solve(system, right).reshape(height, width)


def test_what_is_filled_in_solves_the_system() -> None:
    draws = np.random.default_rng(0)
    x, removed = draws.random((3, 2, 6, 7)), draws.random((3, 6, 7)) < 0.6
    found = imputed(torch.from_numpy(x), removed, draws, noise=0.0).numpy()
    for image in range(3):
        for channel in range(2):
            np.testing.assert_allclose(found[image, channel], by_algebra(x[image, channel], removed[image]), atol=1e-4)


def test_what_is_left_stays_and_noise_is_on_the_rest_alone() -> None:
    draws = np.random.default_rng(0)
    x, removed = torch.rand(2, 1, 8, 8), draws.random((2, 8, 8)) < 0.5
    plain, noisy = (imputed(x, removed, np.random.default_rng(1), noise) for noise in (0.0, 0.1))
    mask = torch.from_numpy(removed)[:, None]
    torch.testing.assert_close(noisy[~mask], x[~mask])
    assert 0.05 < float((noisy - plain)[mask].std()) < 0.15
    torch.testing.assert_close(imputed(x, np.zeros((2, 8, 8), dtype=bool), draws), x)


def test_an_image_of_which_nothing_is_left_is_its_mean() -> None:
    x = torch.rand(1, 1, 5, 5)
    found = imputed(x, np.ones((1, 5, 5), dtype=bool), np.random.default_rng(0), noise=0.0)
    torch.testing.assert_close(found, x.mean().expand_as(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("zoo:digits", None, "only images have neighbours"),
        ("zoo:majority", None, "only images have neighbours"),
        ("zoo:convnet", Target(3), "own answer among classes"),
    ],
)
def test_where_it_is_undefined_it_says_so(name: str, target: Target | None, reason: str) -> None:
    found = saliency(
        load(name), Behavior.load(name), Gradient(), index=[0], target=target, checks=(remove_and_impute,), chunk=8
    )
    assert reason in found.checks[0].reason
