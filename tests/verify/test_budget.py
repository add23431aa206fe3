"""Times as people write them, and stages that share them."""

import time

import pytest

from exegesis.ir import InputError
from exegesis.verify.budget import Budget, computing_clock, seconds_of


@pytest.mark.parametrize(
    ("budget", "seconds"), [("2m", 120.0), ("90s", 90.0), ("1.5h", 5400.0), (" 250 ms ", 0.25), ("7", 7.0), (3, 3.0)]
)
def test_times(budget: str | float, seconds: float) -> None:
    assert seconds_of(budget) == seconds


@pytest.mark.parametrize("budget", ["", "fast", "-2m", "0s", "2 days", 0, -1, float("nan"), float("inf"), "1e3"])
def test_what_is_no_time_is_refused(budget: str | float) -> None:
    with pytest.raises(InputError, match="A budget is a positive time"):
        seconds_of(budget)


def test_a_part_ends_with_the_whole_and_begins_when_it_is_asked_for() -> None:
    now = [100.0]
    budget = Budget(10.0, lambda: now[0])
    part = budget.part(0.5)
    assert (part.left, part.over) == (5.0, False)
    now[0] = 104.0
    assert part.left == 1.0
    assert budget.part(0.5).at == 109.0
    assert budget.part(0.9).at == 110.0
    now[0] = 110.0
    assert part.over
    assert budget.whole.over
    assert budget.part(0.5).left == 0.0


def test_a_share_of_what_is_left() -> None:
    now = [100.0]
    deadline = Budget(10.0, lambda: now[0]).whole
    now[0] = 104.0
    assert deadline.first(0.5).at == 107.0
    assert deadline.first(1.0).at == 110.0
    now[0] = 120.0
    assert deadline.first(0.5).over


def test_waiting_for_others_hardly_counts() -> None:
    clock = computing_clock()
    time.sleep(0.4)
    waited = clock()
    assert 0.05 <= waited < 0.2
    until = time.thread_time() + 0.3
    while time.thread_time() < until:
        pass
    assert clock() >= 0.3
