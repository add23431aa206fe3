"""Rows to fit on and rows to accept on: bounded, apart, and topped up where the domain can be listed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Argmax, Behavior, StringsDomain
from exegesis.pipeline.rows import bench_rows


def behavior(rows: int, domain: StringsDomain | None, broken: bool = False) -> Behavior:
    made: list[dict[str, Any]] = [
        {"input_ids": [3, k % 3, (k // 3) % 3, (k // 9) % 3], "scored": [1, 3] if broken else [1, 2, 3]}
        for k in range(rows)
    ]
    return Behavior.from_sequences("b", ["a", "b", "c", "bos"], {"train": made}, Argmax(), domain=domain)


def rows_of(split: Any) -> list[tuple[int, ...]]:
    return [tuple(r.input_ids) for r in split]


DOMAIN = StringsDomain((0, 1, 2), 1, 4, prefix=(3,))


def test_many_rows_are_bounded() -> None:
    signal = behavior(27, None)
    fit, held = bench_rows(signal, signal.sequences("train"), 0, fit=40, held=24)
    assert (len(fit), len(held)) == (9, 6)
    assert not set(rows_of(fit)) & set(rows_of(held))


def test_few_rows_are_topped_up_from_the_domain() -> None:
    signal = behavior(10, DOMAIN)
    fit, held = bench_rows(signal, signal.sequences("train"), 0, fit=200, held=200)
    assert 150 < sum(fit.lengths) < 250
    assert 100 < sum(held.lengths) < 250
    drawn = rows_of(fit)[5:] + rows_of(held)[5:]
    assert len(set(drawn)) == len(drawn), "nothing is drawn twice"
    assert all(DOMAIN.contains(r) for r in drawn)
    assert {r for r in drawn if len(r) == 2} == {(3, 0), (3, 1), (3, 2)}, "short inputs are all there"
    assert all(row.scored == list(range(1, len(row.input_ids))) for row in [*fit, *held])


@pytest.mark.parametrize("signal", [behavior(10, None), behavior(10, DOMAIN, broken=True)], ids=["none", "no rule"])
def test_nothing_is_drawn_from_nowhere(signal: Behavior) -> None:
    fit, held = bench_rows(signal, signal.sequences("train"), 0, fit=200, held=200)
    assert (len(fit), len(held)) == (5, 5)


def test_the_same_seed_draws_the_same() -> None:
    signal = behavior(10, DOMAIN)
    one, two, other = (bench_rows(signal, signal.sequences("train"), s, fit=90, held=90) for s in (0, 0, 1))
    assert rows_of(one[0]) == rows_of(two[0])
    assert rows_of(one[0]) != rows_of(other[0])


def test_few_arrays_are_mixed_and_many_are_not() -> None:
    from exegesis.behavior import ArraySplit
    from exegesis.pipeline.rows import FIT_ROWS, HELD_ROWS, array_rows

    few = ArraySplit("train", np.arange(60, dtype=np.uint8).reshape(30, 2), scale=10.0)
    fit, held = array_rows(few, seed=0)
    assert (len(fit), len(held)) == (20 * 5, 10 * 5)
    natural = np.concatenate([fit.x[:20], held.x[:10]])
    assert {tuple(r) for r in natural} == {tuple(r) for r in few.x}
    mixed = fit.x[20:]
    np.testing.assert_allclose(mixed[:, 1] - mixed[:, 0], 0.1, atol=1e-5)  # true of every input, so of every mixture
    assert fit.x[:20].min() <= mixed.min()
    assert mixed.max() <= fit.x[:20].max()
    many = ArraySplit("train", np.zeros((7000, 2), np.uint8))
    assert [len(s) for s in array_rows(many, seed=0)] == [FIT_ROWS, HELD_ROWS]


def test_every_other_image_moves_by_a_pixel_of_twenty_eight_and_tables_do_not() -> None:
    """The reference: scipy's interpolation, from the angles that explain the first row of each image best."""
    from scipy.ndimage import gaussian_filter, shift
    from scipy.optimize import minimize_scalar

    from exegesis.behavior import ArraySplit
    from exegesis.pipeline.rows import array_rows

    rng = np.random.default_rng(0)
    blobs = gaussian_filter(rng.random((60, 2, 20, 28), dtype=np.float32), (0, 0, 2, 2))
    split = ArraySplit("train", blobs / blobs.max())
    given = {tuple(r) for r in split.x.reshape(60, -1).tolist()}
    fit, _ = array_rows(split, seed=3)
    natural = fit.x[:40]
    stays = np.array([tuple(r) in given for r in natural.reshape(40, -1).tolist()])
    assert stays.tolist() == [True, False] * 20
    again, _ = array_rows(split, seed=3)
    np.testing.assert_array_equal(again.x, fit.x)
    for image in natural[1:7:2]:
        origin = min(split.x, key=lambda x: float(((x - image) ** 2).sum()))

        def moved(angle: float, origin: np.ndarray = origin) -> np.ndarray:
            by = (0, np.sin(angle), np.cos(angle))
            return np.asarray(shift(origin, by, order=1, mode="nearest"))

        def off(angle: float, image: np.ndarray = image, moved: Any = moved) -> float:
            return float(((moved(angle) - image) ** 2).sum())

        start = min(np.linspace(0, 2 * np.pi, 64), key=off)
        best = minimize_scalar(off, bounds=(start - 0.1, start + 0.1), method="bounded", options={"xatol": 1e-7})
        np.testing.assert_allclose(moved(best.x), image, atol=1e-4)
    table = ArraySplit("train", rng.random((6000, 28), dtype=np.float32))
    kept, _ = array_rows(table, seed=3)
    assert {tuple(r) for r in kept.x.tolist()} <= {tuple(r) for r in table.x.tolist()}
