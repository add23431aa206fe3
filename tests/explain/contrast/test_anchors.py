"""Anchors of tables, images and strings where the truth is known; columns in their own units; what may not change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.explain.contrast import anchor, counterfactuals
from exegesis.explain.contrast.anchors import band
from exegesis.explain.core import Status, WithheldError
from exegesis.ir import InputError
from exegesis.runtime import Network, load

UNITS = np.array([1.0, 1000.0, 0.01, 10.0], dtype=np.float32)
NAMES = ("height", "area", "gap", "count")


class Both(nn.Module):
    """Says yes where the area is above 500 and the gap at most 0.005; the others count for nothing."""

    def forward(self, x: Tensor) -> Tensor:
        score = torch.minimum((x[:, 1] - 500) / 100, (0.005 - x[:, 2]) / 0.001)
        return torch.stack([-score, score], 1)


class Sum(nn.Module):
    """Says yes where area and gap together are far enough on the right side."""

    def forward(self, x: Tensor) -> Tensor:
        score = (x[:, 1] - 500) / 100 + (0.005 - x[:, 2]) / 0.001
        return torch.stack([-score, score], 1)


class Corner(nn.Module):
    """Whether the upper left corner of an image is bright."""

    def forward(self, x: Tensor) -> Tensor:
        score = x[:, 0, :2, :2].mean((1, 2)) - 0.5
        return torch.stack([-score, score], 1)


class Adds(nn.Module):
    """At every position, whether an `a` has come so far (token 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 1)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [0.0], [0.0]]))

    def forward(self, input_ids: Tensor) -> Tensor:
        found = self.embedding(input_ids)[..., 0].cumsum(1).clamp(max=1.0)
        return torch.stack([0.5 - found, found - 0.5], -1)


@pytest.fixture(scope="module")
def both() -> Network:
    return load(Both())


@pytest.fixture(scope="module")
def named() -> Behavior:
    x = np.random.default_rng(0).random((1200, 4)).astype(np.float32) * UNITS
    splits = {"train": (x[:600], None), "test": (x[600:], None)}
    return Behavior.from_arrays("table", splits, Argmax(), output_names=["no", "yes"], features=NAMES)


def strings(rows: list[list[int]]) -> Behavior:
    given = [SequenceRow(row, [len(row) - 1]) for row in rows]
    return Behavior.from_sequences(
        "adds", list("abcde"), {"test": given}, Argmax((0, 1)), output_names=["none", "some"]
    )


def test_an_anchor_of_a_table_is_the_rule_on_sides_of_quartiles(both: Network, named: Behavior) -> None:
    x = named.arrays("test").x
    row = int(np.flatnonzero((x[:, 1] > 800) & (x[:, 2] < 0.002))[0])
    found = anchor(both, named, row, precision=0.9)
    assert found.status is Status.SHOWN, found.why
    assert set(found.arrays["features"]) == {1, 2}
    by_name = dict(
        zip(found.arrays["features"], zip(found.arrays["low"], found.arrays["high"], strict=True), strict=True)
    )
    quartiles = np.quantile(named.arrays("train").x, [0.25, 0.5, 0.75], axis=0)
    assert np.abs(quartiles[:, 1] - by_name[1][0]).min() < 1.0
    assert by_name[1][1] == np.inf
    assert by_name[2][0] == -np.inf
    assert "area > " in found.rule
    assert "gap ≤ " in found.rule
    assert found.rule.endswith(": yes")
    # Precision by drawing what it says, coverage by counting.
    draws = np.random.default_rng(1)
    inside = [x[(x[:, k] > low) & (x[:, k] <= high), k] for k, (low, high) in by_name.items()]
    mixed = x[draws.integers(len(x), size=20000)].copy()
    for k, values in zip(by_name, inside, strict=True):
        mixed[:, k] = draws.choice(values, size=len(mixed))
    share = ((mixed[:, 1] > 500) & (mixed[:, 2] < 0.005)).mean()
    precision, coverage = found.checks
    assert precision.value is not None
    assert share - 0.03 < precision.value <= share + 0.01  # a lower bound
    held = np.all([(x[:, k] > low) & (x[:, k] <= high) for k, (low, high) in by_name.items()], axis=0)
    assert coverage.value == pytest.approx(held.mean())
    assert precision.nulls["nothing held"] < 0.4


def test_the_wider_of_two_sides_is_taken_and_what_is_not_needed_is_let_go(both: Network, named: Behavior) -> None:
    x = named.arrays("test").x
    row = int(np.flatnonzero((x[:, 1] < 200) & (x[:, 2] < 0.002))[0])
    found = anchor(both, named, row)
    assert found.arrays["features"].tolist() == [1]  # a small area says no, whatever the gap
    assert found.arrays["high"][0] == pytest.approx(np.quantile(named.arrays("train").x[:, 1], 0.5), rel=0.02)
    assert found.rule.startswith("area ≤ ")


def test_an_anchor_of_an_image_holds_its_tile() -> None:
    draws = np.random.default_rng(0)
    images = draws.random((400, 1, 4, 4)).astype(np.float32)
    signal = Behavior.from_arrays("images", {"train": (images[:200], None), "test": (images[200:], None)}, Argmax())
    row = int(images[200:, 0, :2, :2].mean((1, 2)).argmax())
    found = anchor(load(Corner()), signal, row, tile=2)
    assert found.status is Status.SHOWN, found.why
    assert found.arrays["features"].tolist() == [0, 1, 4, 5]
    assert "4 of 16 numbers" in found.rule


def test_an_anchor_of_a_string_holds_the_letters_that_decide() -> None:
    draws = np.random.default_rng(0)
    rows = [[1, 0, 3, 2], *(draws.integers(5, size=4).tolist() for _ in range(60)), [4, 3, 2, 1]]
    signal, network = strings(rows), load(Adds())
    found = anchor(network, signal, 0)
    assert found.status is Status.SHOWN, found.why
    assert found.arrays["features"].tolist() == [1]
    assert found.rule == "a at 1: some"
    others = np.array([row for row in rows if row != rows[0]])
    assert found.checks[1].value == pytest.approx((others[:, 1] == 0).mean())
    none = anchor(network, signal, 61)
    assert set(none.arrays["features"]) == {0, 1, 2, 3}  # no a anywhere: all letters are needed
    early = anchor(network, signal, 61, position=1)
    assert set(early.arrays["features"]) == {0, 1}
    assert early.arrays["position"] == 1


def test_where_few_strings_are_alike_letters_are_drawn() -> None:
    found = anchor(load(Adds()), strings([[1, 0, 3, 2], [2, 2, 2], [1, 1, 1, 1, 1]]), 0)
    assert found.rule == "a at 1: some"
    expected = 1 - (4 / 5) ** 4
    assert found.checks[0].nulls["nothing held"] == pytest.approx(expected, abs=0.03)
    assert found.checks[1].value == pytest.approx(1 / 5, abs=0.02)


def test_a_string_whose_letters_do_not_suffice_is_withheld() -> None:
    found = anchor(load(Adds()), strings([[4, 3, 2, 1]]), 0, most=1)
    assert found.status is Status.WITHHELD
    with pytest.raises(WithheldError):
        _ = found.rule


def test_bands_in_words() -> None:
    assert band("a", -np.inf, 2.0) == "a ≤ 2"
    assert band("a", 1.0, np.inf) == "a > 1"
    assert band("a", 1.0, 2.0) == "1 < a ≤ 2"


def test_counterfactuals_of_a_table_change_each_column_in_its_own_units(both: Network, named: Behavior) -> None:
    x = named.arrays("test").x
    row = int(np.flatnonzero((x[:, 1] > 700) & (np.abs(x[:, 2] - 0.0045) < 0.0003))[0])
    found = counterfactuals(both, named, [row])
    assert found.status is Status.SHOWN, found.why
    moved = np.abs(found.arrays["changed"][0] - x[row]) / UNITS
    assert moved[2] == pytest.approx(abs(0.005 - x[row, 2]) / 0.01, abs=0.05)  # the gap is nearest to its threshold
    np.testing.assert_array_equal(np.delete(moved, 2), 0.0)


def test_what_may_not_change_does_not(named: Behavior) -> None:
    x, both = named.arrays("test").x, load(Sum())
    row = int(np.flatnonzero((x[:, 1] > 700) & (np.abs(x[:, 2] - 0.0045) < 0.0003))[0])
    found = counterfactuals(both, named, [row], immutable=[2])
    changed = found.arrays["changed"][0]
    assert changed[2] == x[row, 2]
    assert changed[1] <= 500  # so the area has to
    none = counterfactuals(both, named, [row], immutable=[1, 2], steps=20)
    assert none.status is Status.MARKED
    assert "no change within the range of the data" in none.undefined[0]
    with pytest.raises(InputError, match="All features are immutable"):
        counterfactuals(both, named, [row], immutable=range(4))
    with pytest.raises(InputError, match="no feature 9"):
        counterfactuals(both, named, [row], immutable=[9])


def test_a_row_beyond_the_data_is_not_moved_into_it(both: Network) -> None:
    x = np.random.default_rng(0).random((60, 4)).astype(np.float32) * UNITS
    far = np.array([[0.5, 400.0, 0.001, 90.0]], dtype=np.float32)  # nine times the largest count
    rows = np.concatenate([far, x])
    signal = Behavior.from_arrays(
        "far", {"train": (x, None), "test": (x, None), "asked": (rows, None)}, Argmax(), features=NAMES
    )
    found = counterfactuals(both, signal, [0], split="asked")
    assert found.arrays["changed"][0, 3] == far[0, 3]
    assert found.arrays["places"].tolist() == [1]


def test_letters_that_may_not_change_do_not() -> None:
    network, signal = load(Adds()), strings([[1, 0, 3, 2]])
    free = counterfactuals(network, signal, [0])
    assert free.arrays["changed"][0, 1] != 0
    held = counterfactuals(network, signal, [0], immutable=[1], most=2)
    assert held.status is Status.MARKED  # nothing else turns it
    for places in itertools.combinations(range(4), 1):
        again = counterfactuals(network, signal, [0], immutable=[p for p in range(4) if p not in places], most=1)
        assert (0 in again.undefined) == (places != (1,))


def test_what_cannot_be_asked(both: Network, named: Behavior) -> None:
    with pytest.raises(InputError, match="share between 0 and 1"):
        anchor(both, named, 0, precision=1.5)
    with pytest.raises(InputError, match="Only sequences have positions"):
        anchor(both, named, 0, position=2)
    with pytest.raises(InputError, match="none at 7"):
        anchor(load(Adds()), strings([[1, 0]]), 0, position=7)
    with pytest.raises(InputError, match="of strings letters are held"):
        anchor(load(Adds()), strings([[1, 0]]), 0, tile=2)
    with pytest.raises(InputError, match="has no row 9"):
        anchor(load(Adds()), strings([[1, 0]]), 9)
