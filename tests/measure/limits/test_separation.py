"""Failures with a planted condition, at random, few, and none: found, not found, said so."""

import numpy as np
import torch
from limited_networks import Fails, echo, echo_behavior

from exegesis.measure.limits import Separation, ask, separate
from exegesis.measure.limits.separation import Share, rotated


def separated(fails: Fails, rows: int = 120) -> Separation:
    asked = ask(echo(fails), echo_behavior(rows), rows=1000, seed=0)
    return separate(asked, asked.halves(0), ((), ()), 0)


def test_a_planted_condition_is_found_and_holds_on_other_rows() -> None:
    found = separated(lambda ids, places: (places >= 15) & (ids == 2))
    assert found.found
    assert found.held_out
    assert {str(a) for a in found.condition.clauses[0]} == {
        "the position (counted from 0) is at least 15",
        "the token is c",
    }
    assert (found.covered.value, found.alarms.value) == (1.0, 0.0)
    assert found.covered.low > 0.9
    assert found.p <= 0.05


def test_random_failures_are_said_to_have_no_condition() -> None:
    found = separated(lambda ids, places: torch.rand(ids.shape, generator=torch.Generator().manual_seed(0)) < 0.1)
    assert not found.found
    assert "no condition" in found.why_none


def test_random_rows_that_fail_as_a_whole_have_no_condition() -> None:
    """Many failures, but few events: what tells these rows from others does not tell further ones."""

    def fails(ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        rng = torch.Generator().manual_seed(ids.shape[1])
        return (torch.rand(len(ids), 1, generator=rng) < 0.15).expand(ids.shape)

    assert not separated(fails).found


def test_few_failures_are_not_halved_and_fewer_are_not_explained() -> None:
    few = separated(lambda ids, places: (places >= 26) & (ids == 2), rows=60)
    assert few.found
    assert not few.held_out
    none = separated(lambda ids, places: (places >= 28) & (ids == 0), rows=10)
    assert "too few" in none.why_none


def test_a_length_is_told_but_says_nothing_at_equal_length() -> None:
    found = separated(lambda ids, places: torch.full(ids.shape, ids.shape[1] >= 24))
    assert str(found.condition) == "the length of the input is at least 24"
    assert found.p == 0.05
    assert found.p_within_length == 1.0


def test_rotated_failures_keep_their_number_and_within_length_the_number_of_each_length() -> None:
    asked = ask(echo(lambda ids, places: (places >= 15) & (ids == 2)), echo_behavior(), rows=1000, seed=0)
    rng = np.random.default_rng(0)
    moved = rotated(asked, rng, within_length=True)
    length = asked.lengths[asked.row]
    assert np.array_equal(np.bincount(length, moved), np.bincount(length, asked.wrong))
    assert not np.array_equal(moved, asked.wrong)
    assert rotated(asked, rng, within_length=False).sum() == asked.wrong.sum()


def test_shares_are_averages_over_rows() -> None:
    share = Share.among(np.array([True, True, True, False]), np.array([0, 0, 0, 1]), np.random.default_rng(0))
    assert (share.hits, share.of, share.value) == (3, 4, 0.5)
    assert share.low < 0.5 < share.high


def test_halves_have_no_row_in_common_and_all_rows_together() -> None:
    asked = ask(echo(lambda ids, places: ids == 1), echo_behavior(), rows=1000, seed=0)
    first, second = asked.halves(0)
    rows = [tuple(r) for half in (first, second) for r in half.ids.tolist()]
    assert sorted(rows) == sorted(tuple(r) for r in asked.ids.tolist())
    for half in (first, second):
        assert np.array_equal(half.wrong, half.ids[half.row, half.at] == 1)
