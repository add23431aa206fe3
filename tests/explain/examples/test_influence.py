"""Influence: each score against an independent reference, its test by retraining, and what trips that test."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, Value
from exegesis.explain.core import Status, WithheldError
from exegesis.explain.examples import EkFac, GradientProduct, Scorer, TracIn, influence_of
from exegesis.explain.examples.influence import Question, last_layer_products
from exegesis.explain.examples.retraining import Retrained, margin
from exegesis.ir import ExegesisError, InputError
from exegesis.runtime import Network, load

needs_kronfluence = pytest.mark.skipif(
    importlib.util.find_spec("kronfluence") is None, reason="kronfluence is not installed"
)


def data(count: int, skip: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return (x[skip : skip + count] / 16).astype(np.float32), y[skip : skip + count].astype(np.int64)


def trained(rows: np.ndarray, seed: int) -> Network:
    """A linear network on some of 120 digits: its loss is convex, so that influence is what it is defined to be."""
    x, y = data(120)
    module = nn.Linear(64, 10)
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    optimizer = torch.optim.Adam(module.parameters(), 3e-2)
    draws = np.random.default_rng(seed)
    for _ in range(60):
        at = rows[draws.integers(len(rows), size=64)]
        optimizer.zero_grad()
        F.cross_entropy(module(torch.from_numpy(x[at])), torch.from_numpy(y[at])).backward()
        optimizer.step()
    return load(module.eval())


@pytest.fixture(scope="module")
def few() -> Behavior:
    return Behavior.from_arrays("few", {"train": data(120), "test": data(300, 900)}, Argmax())


@pytest.fixture(scope="module")
def network() -> Network:
    return trained(np.arange(120), 0)


@pytest.fixture(scope="module")
def deep() -> Network:
    torch.manual_seed(0)
    return load(nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10)).eval())


def gradients(network: Network, number: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """One row of parameters after another, by autograd."""
    rows = []
    for one, label in zip(x, y, strict=True):
        found = torch.autograd.grad(number(network.module(one[None]), label[None]), list(network.module.parameters()))
        rows.append(torch.cat([g.flatten() for g in found]))
    return torch.stack(rows)


def test_products_on_the_last_layer_are_autograd_s(deep: Network) -> None:
    a, la = (torch.from_numpy(part) for part in data(3))
    b, lb = (torch.from_numpy(part) for part in data(4, 3))
    last = sum(p.numel() for p in deep.module[2].parameters())
    left, right = (gradients(deep, F.cross_entropy, *pair)[:, -last:] for pair in ((a, la), (b, lb)))
    torch.testing.assert_close(last_layer_products(deep, a, la, b, lb), left @ right.T, rtol=1e-4, atol=1e-5)


def test_gradient_products_are_autograd_s_whatever_fits_into_memory(
    deep: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, la = (torch.from_numpy(part) for part in data(3))
    b, lb = (torch.from_numpy(part) for part in data(7, 3))
    expected = gradients(deep, lambda out, y: -margin(out, y)[0], a, la) @ gradients(deep, F.cross_entropy, b, lb).T
    question = Question(deep, a, la, b, lb)
    torch.testing.assert_close(GradientProduct().scores(question), expected, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr("exegesis.explain.examples.influence.ROOM", 1)
    torch.testing.assert_close(GradientProduct().scores(question), expected, rtol=1e-4, atol=1e-5)


def dense_ek_fac(network: Network, a: Tensor, la: Tensor, b: Tensor, lb: Tensor, damping: float) -> np.ndarray:
    """EK-FAC of two linear layers, written out; the expectation over labels is a sum over all of them."""
    first, last = network.module[0], network.module[2]
    bias = torch.ones(len(b), 1)
    with torch.no_grad():
        hidden = torch.tanh(first(b))
        p = last(hidden).softmax(1)
        inner = {"first": torch.cat([b, bias], 1), "last": torch.cat([hidden, bias], 1)}
        residual = p[:, None, :] - torch.eye(10)[None]  # [n, drawn label, logit]
        outer = {"last": residual, "first": (residual @ last.weight) * (1 - hidden**2)[:, None, :]}
    scores = np.zeros((len(a), len(b)))
    left, right = (
        gradients(network, lambda out, y: -margin(out, y)[0], a, la),
        gradients(network, F.cross_entropy, b, lb),
    )
    start = 0
    for name, layer in (("first", first), ("last", last)):
        x, g = inner[name].numpy().astype(np.float64), outer[name].numpy().astype(np.float64)
        weight = p.numpy().astype(np.float64) / len(b)
        _, q_a = np.linalg.eigh(x.T @ x / len(b))
        _, q_s = np.linalg.eigh(np.einsum("ny,nyo,nyr->or", weight, g, g))
        curvature = np.einsum("ny,nyo,ni->oi", weight, (g @ q_s) ** 2, (x @ q_a) ** 2)
        size, width = layer.weight.numel(), layer.weight.shape[1]

        def rotated(
            rows: Tensor, begin: int, size: int = size, width: int = width, q_s: np.ndarray = q_s, q_a: np.ndarray = q_a
        ) -> np.ndarray:
            matrix = rows[:, begin : begin + size].reshape(len(rows), -1, width)
            whole = torch.cat([matrix, rows[:, begin + size : begin + size + size // width, None]], 2).numpy()
            return (q_s.T @ whole.astype(np.float64) @ q_a).reshape(len(rows), -1)

        scores += (rotated(left, start) / (curvature.reshape(-1) + damping)) @ rotated(right, start).T
        start += size + layer.bias.numel()
    return scores


@needs_kronfluence
def test_ek_fac_is_ek_fac_written_out(deep: Network) -> None:
    a, la = (torch.from_numpy(part) for part in data(4))
    b, lb = (torch.from_numpy(part).repeat_interleave(60, 0) for part in data(30, 3))  # many labels are drawn of each
    found = EkFac(damping=1e-3).scores(Question(deep, a, la, b, lb))[:, ::60].numpy()
    expected = dense_ek_fac(deep, a, la, b, lb, 1e-3)[:, ::60]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    plain = GradientProduct().scores(Question(deep, a, la, b[::60], lb[::60])).numpy()
    assert np.corrcoef(plain.ravel(), expected.ravel())[0, 1] < 0.98  # the curvature does something


@needs_kronfluence
def test_much_damping_makes_ek_fac_the_gradient_product_and_nothing_is_changed(deep: Network) -> None:
    a, la = (torch.from_numpy(part) for part in data(4))
    b, lb = (torch.from_numpy(part) for part in data(30, 3))
    before = {name: value.clone() for name, value in deep.module.state_dict().items()}
    state = torch.random.get_rng_state()
    found = EkFac(damping=1e4).scores(Question(deep, a, la, b, lb))
    torch.testing.assert_close(
        found * 1e4, GradientProduct().scores(Question(deep, a, la, b, lb)), rtol=1e-2, atol=1e-4
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in deep.module.state_dict().items())
    torch.testing.assert_close(EkFac(damping=1e4).scores(Question(deep, a, la, b, lb)), found, rtol=0, atol=0)


def test_without_kronfluence_the_extra_is_named(deep: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("exegesis.explain.examples.ek_fac.import_module", absent)
    a, la = (torch.from_numpy(part) for part in data(2))
    with pytest.raises(ExegesisError, match=r"exegesis\[influence\]"):
        EkFac().scores(Question(deep, a, la, a, la))


@pytest.mark.parametrize("scorer", [TracIn(), GradientProduct()])
def test_influence_is_checked_by_retraining(network: Network, few: Behavior, scorer: Scorer) -> None:
    found = influence_of(network, few, list(range(12)), scorer, retrain=trained)
    (check,) = found.checks
    assert found.status is Status.SHOWN, found.why
    assert check.value is not None
    assert check.value > check.nulls["networks dealt to other subsets, 99 %"] + 0.1
    assert abs(check.nulls["random"]) < check.value
    best, worst = found.strongest(0, 3)
    assert found.arrays["scores"][0, best[0]] >= found.arrays["scores"][0, worst[0]]
    np.testing.assert_array_equal(found.arrays["examples"][0, 0, :3], best)
    np.testing.assert_array_equal(found.arrays["example_labels"][0, 1, :3], few.arrays("train").y[worst])


def test_the_score_is_the_mean_rank_correlation() -> None:
    draws = np.random.default_rng(0)
    masks, margins = draws.random((9, 20)) < 0.5, draws.normal(size=(9, 3))
    scores = torch.from_numpy(draws.normal(size=(3, 20)))
    expected = [spearmanr([scores[k, mask].sum() for mask in masks], margins[:, k]).statistic for k in range(3)]
    assert Retrained(masks, margins).score(scores) == pytest.approx(np.mean(expected))
    assert Retrained(masks, margins).score(torch.zeros(3, 20)) == 0.0


class Upside:
    """The gradient product with its sign turned."""

    title = "upside down"

    def settings(self) -> dict[str, object]:
        return {}

    def scores(self, question: Question) -> Tensor:
        return -GradientProduct().scores(question)


def test_of_several_the_one_that_ranks_best_is_kept_and_tested_on_other_networks(
    network: Network, few: Behavior
) -> None:
    calls: list[int] = []

    def retrain(rows: np.ndarray, seed: int) -> Network:
        calls.append(seed)
        return trained(rows, seed)

    found = influence_of(network, few, list(range(12)), [Upside(), GradientProduct()], retrain=retrain, subsets=10)
    assert found.provenance.method == "gradient product"
    assert found.provenance.parameters["chosen among"] == 2
    assert len(calls) == len(set(calls)) == 20
    wrong = influence_of(network, few, list(range(12)), Upside(), retrain=trained)
    assert wrong.status is Status.WITHHELD


def test_influence_that_foretells_nothing_is_withheld(few: Behavior) -> None:
    draws = np.random.default_rng(0)

    def unrelated(rows: np.ndarray, seed: int) -> Network:
        module = nn.Linear(64, 10)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(draws.normal(size=(10, 64))))
        return load(module)

    found = influence_of(unrelated(np.arange(3), 0), few, list(range(10)), retrain=unrelated, subsets=20)
    assert found.status is Status.WITHHELD
    with pytest.raises(WithheldError):
        found.strongest(0)


def test_influence_nobody_tested_is_marked(network: Network, few: Behavior) -> None:
    found = influence_of(network, few, [0], TracIn((network, network), (0.1, 0.2)))
    assert found.status is Status.MARKED
    alone = influence_of(network, few, [0])
    np.testing.assert_allclose(found.raw["scores"], 0.3 * alone.raw["scores"], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_asked(network: Network, few: Behavior) -> None:
    with pytest.raises(InputError, match="2 learning rates"):
        influence_of(network, few, [0], TracIn(rates=(1.0, 2.0)))
    with pytest.raises(InputError, match="no linear layer"):
        influence_of(load(nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 10, 8), nn.Flatten())), few, [0])
    with pytest.raises(InputError, match="has no row 400"):
        influence_of(network, few, [400])
    with pytest.raises(InputError, match="No rows were named"):
        influence_of(network, few, [])
    with pytest.raises(InputError, match="3 subsets are too few"):
        influence_of(network, few, [0], retrain=trained, subsets=3)
    with pytest.raises(InputError, match="positive number"):
        EkFac(damping=-1.0)
    x, y = data(20)
    with pytest.raises(InputError, match="no classes as labels"):
        influence_of(
            network, Behavior.from_arrays("values", {"train": (x, y * 1.0), "test": (x, y * 1.0)}, Value(0.1)), [0]
        )
