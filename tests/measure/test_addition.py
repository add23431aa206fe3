"""Clocks and pizzas told apart, on networks of which one is known to multiply and the other to add."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from exegesis.measure.addition import distance_irrelevance, gradient_symmetricity
from exegesis.measure.groups import find_group
from exegesis.measure.pairs import Pairs
from exegesis.measure.responses import Account, respond

View = Callable[..., Pairs]


def irrelevance(pairs: Pairs) -> float:
    n = pairs.n
    steps = (np.arange(n)[:, None] - np.arange(n)) % n
    return distance_irrelevance(pairs.logits.reshape(n, n, n), pairs.table, steps)


def test_the_figures_of_a_pizza(networks: ModuleType, pairs_of: View) -> None:
    pairs = pairs_of(networks.pizza(13, {1: 2.0, 3: 1.0, 4: 1.5}), 3, 13)
    assert irrelevance(pairs) < 0.05
    assert gradient_symmetricity(pairs, 0) == pytest.approx(1, abs=1e-4)


def test_the_figures_of_a_clock(networks: ModuleType, pairs_of: View) -> None:
    pairs = pairs_of(networks.clock(13, {2: 2.0, 5: 1.0}), 2, 13)
    assert irrelevance(pairs) > 0.8
    assert abs(gradient_symmetricity(pairs, 0)) < 0.3


def test_irrelevance_of_logits_written_down() -> None:
    n = 11
    a, b = np.arange(n)[:, None], np.arange(n)[None]
    table, steps = (a + b) % n, (a - b) % n
    by_distance = np.zeros((n, n, n))
    np.put_along_axis(by_distance, table[..., None], np.cos(steps)[..., None], axis=2)
    assert distance_irrelevance(by_distance, table, steps) == pytest.approx(0, abs=1e-9)
    by_sum = np.zeros((n, n, n))
    np.put_along_axis(by_sum, table[..., None], np.cos(a + b)[..., None], axis=2)
    assert distance_irrelevance(by_sum, table, steps) > 0.9


def test_responses_say_which_account_is_right(networks: ModuleType, pairs_of: View) -> None:
    clock = pairs_of(networks.clock(13, {2: 2.0, 5: 1.0}), 2, 13)
    pizza = pairs_of(networks.pizza(13, {1: 2.0, 3: 1.0, 4: 1.5}), 3, 13)
    for pairs, frequencies, adds in ((clock, (2, 5), False), (pizza, (1, 3, 4), True)):
        group = find_group(pairs.table)
        assert group is not None
        for f in frequencies:
            found = respond(pairs, group, f, 0)
            accounts: tuple[Account, Account] = ("doubled", "product") if adds else ("product", "doubled")
            right, wrong = accounts
            assert found.adds is adds
            assert found.explained[right] > 0.99
            assert found.explained[wrong] < 0.9


def test_companions_are_found_where_they_are_taken_off(networks: ModuleType, pairs_of: View) -> None:
    pairs = pairs_of(networks.pizza(13, {1: 2.0, 3: 1.0, 4: 1.5}, companion=0.4), 3, 13)
    group = find_group(pairs.table)
    assert group is not None
    for f in (1, 3, 4):
        found = respond(pairs, group, f, 0)
        assert found.explained["accompanied"] > max(0.99, found.explained["doubled"] + 0.05)
        assert found.companion == pytest.approx(0.4, abs=0.02)


def test_a_frequency_whose_double_is_itself_has_no_companion(networks: ModuleType, pairs_of: View) -> None:
    pairs = pairs_of(networks.clock(12, {1: 2.0, 5: 1.0, 4: 1.0, 6: 1.0}), 2, 12)
    group = find_group(pairs.table)
    assert group is not None
    assert respond(pairs, group, 4, 0).explained.keys() == {"product", "doubled"}
    assert respond(pairs, group, 6, 0).explained.keys() == {"product"}
