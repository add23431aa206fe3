"""Counterfactuals, anchors, dependence, importance and surrogates, each where the truth is known."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow, Value
from exegesis.explain.contrast import anchor, counterfactuals, dependence, permutation_importance, surrogate
from exegesis.explain.contrast.surrogate import Surrogate
from exegesis.explain.core import Status, WithheldError
from exegesis.ir import InputError
from exegesis.runtime import Network, load


class Rule(nn.Module):
    """Says 1 where features 2 and 5 sum to more than 1; the others count for nothing."""

    def forward(self, x: Tensor) -> Tensor:
        score = 8 * (x[:, 2] + x[:, 5] - 1.0)
        return torch.stack([-score, score], 1)


class Curve(nn.Module):
    """3 x0² + x0 x1, with x2 unused."""

    def forward(self, x: Tensor) -> Tensor:
        return (3 * x[:, 0] ** 2 + x[:, 0] * x[:, 1])[:, None]


def table(x: np.ndarray, readout: object | None = None) -> Behavior:
    half = len(x) // 2
    return Behavior.from_arrays("table", {"train": (x[:half], None), "test": (x[half:], None)}, readout or Argmax())


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    return table(np.random.default_rng(0).random((800, 8)).astype(np.float32))


@pytest.fixture(scope="module")
def network() -> Network:
    return load(Rule())


def test_what_could_have_been_spared_is_marked(
    network: Network, behavior: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = counterfactuals(network, behavior, [0, 1, 1])
    assert next(c for c in sound.checks if c.name == "minimal").passed is True
    assert sound.arrays["rows"].tolist() == [0, 1]  # a row that is asked for twice is answered once
    monkeypatch.setattr(
        sys.modules["exegesis.explain.contrast.counterfactuals"], "_sparse", lambda *given: given[3] + 1e-4
    )
    faulty = counterfactuals(network, behavior, [0, 1])
    assert next(c for c in faulty.checks if c.name == "minimal").passed is False


def test_a_counterfactual_crosses_the_boundary_by_the_shortest_way(network: Network, behavior: Behavior) -> None:
    x = behavior.arrays("test").x
    rows = [int(r) for r in np.flatnonzero(np.abs(x[:, 2] + x[:, 5] - 1.0) < 0.3)[:6]]
    found = counterfactuals(network, behavior, rows)
    assert found.status is Status.SHOWN, found.why
    changed = found.arrays["changed"] - x[rows]
    distance = np.abs(x[rows, 2] + x[rows, 5] - 1.0)  # the smallest change in absolute value that there is
    np.testing.assert_array_equal(np.delete(changed, [2, 5], axis=1), 0.0)
    assert (np.abs(changed).sum(1) < distance + 0.06).all()
    assert (found.arrays["before"] != found.arrays["after"]).all()
    assert found.checks[0].nulls["the same change at other places"] < 0.7


def test_what_cannot_be_turned_is_undefined_and_marked(behavior: Behavior) -> None:
    module = nn.Linear(8, 2)
    nn.init.zeros_(module.weight)
    with torch.no_grad():
        module.bias.copy_(torch.tensor([0.0, 1.0]))
    found = counterfactuals(load(module), behavior, [0, 1], steps=10)
    assert found.status is Status.MARKED
    assert set(found.undefined) == {0, 1}
    assert np.isnan(found.raw["changed"]).all()
    same = counterfactuals(load(module), behavior, [0], to=1, steps=2)
    assert "says 1 already" in same.undefined[0]


class Contains(nn.Module):
    """Whether the string holds an `a` (token 0), at every position."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 1)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [0.0], [0.0]]))

    def forward(self, input_ids: Tensor) -> Tensor:
        found = self.embedding(input_ids).amax((1, 2))
        return torch.stack([0.5 - found, found - 0.5], -1)[:, None].expand(-1, input_ids.shape[1], -1)


def strings(rows: list[list[int]]) -> Behavior:
    given = [SequenceRow(row, [len(row) - 1]) for row in rows]
    return Behavior.from_sequences("contains", list("abcde"), {"test": given}, Argmax((0, 1)))


def test_the_fewest_letters_by_trying_all() -> None:
    network, signal = load(Contains()), strings([[1, 2, 3, 4], [1, 0, 2, 3, 4], [0, 0, 2, 1], [2, 1, 0, 0, 0]])
    found = counterfactuals(network, signal, [0, 1, 2, 3], most=3)
    for k, row in enumerate(signal.sequences("test").rows):
        ids = row.input_ids
        best = min(
            sum(a != b for a, b in zip(ids, other, strict=True))
            for other in itertools.product(range(5), repeat=len(ids))
            if (0 in other) != (0 in ids)
        )
        assert found.arrays["places"][k] == best
    assert found.status is Status.SHOWN
    few = counterfactuals(network, signal, [3], most=1)
    assert few.status is Status.MARKED
    assert "1 letters were not enough" in few.undefined[0]


def test_an_anchor_holds_what_the_rule_reads(network: Network, behavior: Behavior) -> None:
    x = behavior.arrays("test").x
    row = int((x[:, 2] + x[:, 5]).argmax())
    found = anchor(network, behavior, row, precision=0.97)
    assert found.status is Status.SHOWN, found.why
    assert set(found.arrays["features"]) <= {2, 5}
    assert found.checks[0].nulls["nothing held"] < 0.8
    coverage = next(c for c in found.checks if c.name == "coverage")
    near = np.abs(x[:, found.arrays["features"]] - x[row, found.arrays["features"]]) <= 0.1
    assert coverage.value == pytest.approx(near.all(1).mean(), abs=0.02)


def test_an_anchor_that_is_not_precise_is_withheld(network: Network, behavior: Behavior) -> None:
    x = behavior.arrays("test").x
    row = int(np.abs(x[:, 2] + x[:, 5] - 1.02).argmin())
    found = anchor(network, behavior, row, most=1)
    assert found.status is Status.WITHHELD
    with pytest.raises(WithheldError):
        _ = found.arrays


def test_dependence_is_the_integral() -> None:
    x = np.random.default_rng(0).random((1200, 3)).astype(np.float32)
    found = dependence(load(Curve()), table(x, Value(0.1)), 0, points=15)
    grid, mean = found.arrays["grid"], found.arrays["mean"]
    held_out = x[600:]
    expected = 3 * grid**2 + grid * held_out[:, 1].mean()
    np.testing.assert_allclose(mean, expected, atol=0.02)
    local = found.arrays["local"]
    edges = found.arrays["edges"]
    truth = 3 * edges**2 + 0.5 * edges
    np.testing.assert_allclose(local - local.mean(), truth - truth.mean(), atol=0.06)
    assert found.status is Status.SHOWN, found.why
    assert "<svg" in found.figure().svg
    alone = dependence(load(Curve()), table(x, Value(0.1)), 2)
    assert np.ptp(alone.raw["mean"]) == 0.0


def test_correlated_features_are_marked() -> None:
    draws = np.random.default_rng(0)
    first = draws.random(400)
    x = np.stack([first, first + 0.02 * draws.normal(size=400), draws.random(400)], 1).astype(np.float32)
    found = dependence(load(Curve()), table(x, Value(0.1)), 0)
    assert found.status is Status.MARKED
    assert "independent" in found.why


def test_importance_names_the_features_the_rule_reads(network: Network, behavior: Behavior) -> None:
    found = permutation_importance(network, behavior)
    drops = found.arrays["drops"].mean(0)
    assert set(np.argsort(-drops)[:2]) == {2, 5}
    np.testing.assert_array_equal(np.delete(drops, [2, 5]), 0.0)
    draws = np.random.default_rng(1)
    x = behavior.arrays("test").x
    dealt = x.copy()
    dealt[:, 2] = draws.permutation(dealt[:, 2])
    expected = ((dealt[:, 2] + dealt[:, 5] > 1) != (x[:, 2] + x[:, 5] > 1)).mean()
    assert drops[2] == pytest.approx(expected, abs=0.06)


def test_where_nothing_matters_importance_is_undefined(behavior: Behavior) -> None:
    module = nn.Linear(8, 2)
    nn.init.zeros_(module.weight)
    found = permutation_importance(load(module), behavior)
    assert found.status is Status.MARKED
    assert "no feature matters" in found.checks[0].reason


def test_a_tree_says_what_a_tree_like_network_says(behavior: Behavior, tmp_path: Path) -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            one = ((x[:, 1] > 0.4) & (x[:, 6] <= 0.7)).float()
            return torch.stack([1 - one, one], 1)

    network = load(Steps())
    found = surrogate(network, behavior, leaves=6)
    assert found.status is Status.SHOWN
    assert found.checks[0].value is not None
    assert found.checks[0].value > 0.97
    x = behavior.arrays("test").x
    agreed = (found.answers(x) == network(torch.from_numpy(x)).argmax(1).numpy()).mean()
    assert agreed == pytest.approx(found.checks[0].value)
    assert any("x1" in rule and "x6" in rule for rule in found.rules)
    found.save(tmp_path)
    np.testing.assert_array_equal(Surrogate.open(tmp_path).answers(x), found.answers(x))


def test_a_tree_too_small_is_marked(network: Network, behavior: Behavior) -> None:
    found = surrogate(network, behavior, leaves=2)
    assert found.status is Status.MARKED
    assert "fidelity" in found.why


def test_what_cannot_be_asked(network: Network, behavior: Behavior) -> None:
    with pytest.raises(InputError, match="No rows were named"):
        counterfactuals(network, behavior, [])
    with pytest.raises(InputError, match="has no row 9999"):
        counterfactuals(network, behavior, [9999])
    with pytest.raises(InputError, match="There is no output 7"):
        counterfactuals(network, behavior, [0], to=7)
    with pytest.raises(InputError, match="need images"):
        anchor(network, behavior, 0, tile=3)
    with pytest.raises(InputError, match="There is no feature 80"):
        dependence(network, behavior, 80)
    with pytest.raises(InputError, match="There is no output 4"):
        dependence(network, behavior, 0, output=4)
    with pytest.raises(InputError, match="decides nothing"):
        surrogate(network, behavior, leaves=1)
    constant = np.random.default_rng(0).random((60, 8)).astype(np.float32)
    constant[:, 3] = 0.5
    with pytest.raises(InputError, match="Feature x3 is the same in all inputs"):
        dependence(network, table(constant), 3)
