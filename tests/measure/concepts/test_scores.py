"""Scores of layers in which a concept was planted, and of layers in which there is none."""

import numpy as np
import pytest
import torch

from exegesis.measure.concepts import Attribute, directions, dissect, kinds_of, probe, rotate, sensitivities
from exegesis.measure.concepts.scores import _pooling

N = 240
RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=N)
ATTRIBUTE = Attribute("kind", ("a", "b", "c"), LABELS)
ROWS = (np.arange(0, N, 2), np.arange(1, N, 2))


def layer(strength: float, width: int = 12) -> np.ndarray:
    """Noise, with the label in the first three units."""
    values = np.random.default_rng(1).standard_normal((N, width))
    values[np.arange(N), LABELS] += strength
    return values


def halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values[ROWS[0]], values[ROWS[1]]


def test_probes_find_what_is_there_and_nothing_else() -> None:
    kinds = kinds_of(np.random.default_rng(2).standard_normal((N, 6)).astype(np.float32), 0)
    assert len(np.unique(kinds)) == 32
    good = probe(*halves(layer(6.0)), ATTRIBUTE, ROWS, kinds, nulls=39)
    assert good.accuracy > 0.95
    assert good.p == pytest.approx(1 / 40)
    assert good.selectivity > 0.4
    none = probe(*halves(layer(0.0)), ATTRIBUTE, ROWS, kinds, nulls=39)
    assert none.accuracy < 0.5
    assert none.p > 0.05


def test_control_tasks_show_what_a_probe_can_learn_by_heart() -> None:
    places = np.random.default_rng(3).standard_normal((8, 40))
    kinds = np.random.default_rng(4).integers(8, size=N)
    values = 5 * places[kinds] + np.random.default_rng(5).standard_normal((N, 40))
    found = probe(*halves(values), ATTRIBUTE, ROWS, kinds, nulls=19)
    assert found.control > 0.9  # any labels of the eight kinds can be read off
    assert found.selectivity < -0.3


def test_the_unit_that_says_it_is_found_with_its_intersection_over_union() -> None:
    values = layer(0.0)
    values[:, 7] = (LABELS == 1) + 0.1 * np.random.default_rng(6).random(N)
    found = dissect(*halves(values), ATTRIBUTE, ROWS, nulls=39)
    assert (found[1].concept, found[1].unit) == ("kind: b", 7)
    said, there = values[ROWS[1], 7] > found[1].threshold, LABELS[ROWS[1]] == 1
    assert found[1].iou == pytest.approx((said & there).sum() / (said | there).sum())
    assert found[1].p == pytest.approx(1 / 40)
    assert found[1].null < 0.5
    assert found[0].p > 0.05


def test_units_with_places_are_compared_with_masks() -> None:
    mask = np.zeros((N, 8, 8), dtype=bool)
    corner = np.random.default_rng(7).integers(4, size=N)
    for i, c in enumerate(corner):
        mask[i, 4 * (c // 2) : 4 * (c // 2) + 4, 4 * (c % 2) : 4 * (c % 2) + 4] = True
    attribute = Attribute("kind", ("a", "b", "c"), LABELS, mask)
    values = np.random.default_rng(8).random((N, 5, 4, 4))
    shown = mask.reshape(N, 4, 2, 4, 2).any((2, 4)) & (LABELS == 2)[:, None, None]
    values[:, 3] = shown + 0.1 * values[:, 3]
    found = dissect(*halves(values), attribute, ROWS, nulls=19)[2]
    assert found.unit == 3
    assert found.iou > 0.9
    assert found.null < 0.3


@pytest.mark.parametrize(("size", "places"), [(8, 4), (28, 6), (9, 9), (5, 2)])
def test_pooling_is_torchs_area_mean_where_that_divides(size: int, places: int) -> None:
    found = _pooling(size, places)
    np.testing.assert_allclose(found.sum(1), 1)
    if size % places == 0:
        line = torch.arange(size, dtype=torch.float64)[None, None]
        expected = torch.nn.functional.adaptive_avg_pool1d(line, places)[0, 0].numpy()
        np.testing.assert_allclose(found @ np.arange(size), expected)


def test_rotations_undo_a_rotation() -> None:
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((12, 12)))[0]
    found = rotate(*halves(layer(8.0) @ turn), ATTRIBUTE, ROWS)
    straight = rotate(*halves(layer(8.0)), ATTRIBUTE, ROWS)
    assert found.aligned == pytest.approx(straight.aligned, abs=0.02)
    assert found.aligned > 0.85
    assert found.units < straight.units - 0.03
    assert found.p == pytest.approx(0.05, abs=0.01)
    assert rotate(*halves(layer(0.0)), ATTRIBUTE, ROWS).p > 0.05


def test_directions_span_where_the_means_differ() -> None:
    means = np.zeros((3, 12))
    means[1, 2], means[2, 5] = 4, 3
    basis = directions(means[LABELS], LABELS, 3)
    assert basis.shape == (2, 12)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(np.abs(basis[:, [2, 5]]).max(1) > 0.5, True)
    assert np.abs(np.delete(basis, [2, 5], 1)).max() < 1e-9
    assert directions(means[LABELS], np.where(LABELS == 1, 0, 1), 2).shape == (1, 12)


def test_concept_vectors_tell_a_used_concept_from_an_unused_one() -> None:
    values = layer(5.0)
    answers = RNG.integers(2, size=N)
    slopes = np.zeros((N, 12))
    slopes[answers == 0, 0] = 1.0  # class 0 rises with concept a, class 1 with nothing that has a name
    slopes[answers == 1, 9] = 1.0
    found = {
        (s.concept, s.answer): s for s in sensitivities(values, ATTRIBUTE, np.arange(N), slopes, answers, randoms=30)
    }
    assert found["kind: a", 0].score == 1.0
    assert found["kind: a", 0].random == pytest.approx(0.5, abs=0.2)
    assert found["kind: a", 0].p < 0.01
    assert found["kind: b", 0].score < 0.2
    assert len(found) == 6


def test_concept_vectors_of_labels_that_mean_nothing_are_seldom_significant() -> None:
    values = np.random.default_rng(10).standard_normal((N, 12))
    slopes = np.random.default_rng(11).standard_normal((N, 12))
    answers = np.arange(N) % 2
    hits = 0
    for seed in range(10):
        labels = np.random.default_rng(100 + seed).integers(2, size=N)
        attribute = Attribute("none", ("no", "yes"), labels)
        found = sensitivities(values, attribute, np.arange(N), slopes, answers, seed=seed)
        hits += sum(s.p <= 0.05 for s in found)
    assert hits <= 20  # vectors of one concept share their inputs, so that the test is not sharp
