"""Rows to fit on and rows to accept on: bounded, apart, and topped up where the domain can be listed."""

from __future__ import annotations

from typing import Any

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
