"""Relevance propagation against dense matrix algebra, and its conservation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from explain_networks import setting_of
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.explain import NetworkModel, Objective, Target, read_inputs
from exegesis.explain.saliency import LrpEpsilon, LrpGamma, Setting, UndefinedMethodError, lrp_rules
from exegesis.pipeline.explaining import lifter
from exegesis.runtime import Network, load


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def by_algebra(module: Dense, x: Tensor, output: int, gamma: float) -> Tensor:
    """Layer by layer with matrices: R_i = Σ_j x_i w'_ij R_j / z'_j."""
    linear = [m for m in module.layers if isinstance(m, nn.Linear)]
    values = [x]
    for number, layer in enumerate(linear):
        z = layer(values[-1])
        values.append(z if number == len(linear) - 1 else z.clamp(min=0))
    relevance = torch.zeros_like(values[-1])
    relevance[:, output] = values[-1][:, output]
    for layer, given in zip(reversed(linear), reversed(values[:-1]), strict=True):
        favours = gamma if bool((given >= 0).all()) else 0.0
        weight, bias = (p.detach() + favours * p.detach().clamp(min=0) for p in (layer.weight, layer.bias))
        z = given @ weight.T + bias
        contributions = given[:, None, :] * weight
        relevance = torch.einsum("njo,nj->no", contributions, relevance / z)
    return relevance.detach()


@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_dense_networks(table: Behavior, gamma: float) -> None:
    torch.manual_seed(4)
    network = load(Dense())
    setting = setting_of(network, table, target=Target(1))
    rule = LrpGamma(gamma) if gamma else LrpEpsilon()
    wanted = by_algebra(network.module, setting.objective.start, 1, gamma)
    torch.testing.assert_close(rule.attribute(setting).values, wanted, rtol=1e-3, atol=1e-5)


class Pooled(nn.Module):
    """With a module for each of its steps, as captum's LRP needs them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1, self.pool = nn.Conv2d(1, 5, 3), nn.ReLU(), nn.MaxPool2d(2)
        self.conv2, self.relu2, self.out = nn.Conv2d(5, 6, 3), nn.ReLU(), nn.Linear(6 * 3 * 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.relu2(self.conv2(self.pool(self.relu1(self.conv1(x))))).flatten(1))


def test_a_convnet_against_captum(images: Behavior) -> None:
    torch.manual_seed(12)
    network = load(Pooled())
    setting = setting_of(network, images, 4, Target(2))
    found = LrpEpsilon(1e-9).attribute(setting).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.attr import LRP
        from captum.attr._utils.lrp_rules import EpsilonRule

        for module in network.module.children():
            module.rule = EpsilonRule(1e-9)  # its default for a ReLU hands relevance on as it is
        wanted = LRP(network.module).attribute(setting.objective.start.clone(), target=2).detach()
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rule", [LrpEpsilon(), LrpGamma()])
def test_relevance_is_conserved_in_a_convnet(convnet: Network, images: Behavior, rule: LrpEpsilon | LrpGamma) -> None:
    found = rule.attribute(setting_of(convnet, images, 6, Target(2)))
    sums = found.values.double().flatten(1).sum(1) + found.absorbed.double()
    assert float(((sums - found.total) / found.total).abs().max()) < 1e-4


def test_without_biases_all_relevance_reaches_the_input(convnet: Network, images: Behavior) -> None:
    with torch.no_grad():
        for name, weight in convnet.module.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    found = LrpEpsilon().attribute(setting_of(convnet, images, 6, Target(2)))
    sums = found.values.double().flatten(1).sum(1)
    assert float(((sums - found.total) / found.total).abs().max()) < 1e-4


@pytest.mark.parametrize("name", ["zoo:copy", "zoo:majority"])
def test_relevance_is_conserved_in_transformers(name: str) -> None:
    network, behavior = load(name), Behavior.load(name)
    (inputs,) = read_inputs(behavior, "test", [0])
    objective = Objective(NetworkModel(network), inputs, None, behavior.readout)
    found = LrpEpsilon().attribute(Setting(objective, 0, 8, lifter(behavior, "test")))
    sums = found.values.double().sum(1) + found.absorbed.double()
    assert float(((sums - found.total) / found.total).abs().max()) < 1e-4
    assert float(found.values.abs().max()) > 0


def test_a_rule_that_loses_relevance_is_found(
    convnet: Network, images: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is no tautology: constants are counted on their own, so a wrong rule breaks the sum."""
    monkeypatch.setattr(lrp_rules, "_choice", lambda walk, node, relevance: {
        node.inputs[0]: torch.zeros_like(walk.known[node.inputs[0]])
    })  # fmt: skip
    found = LrpEpsilon().attribute(setting_of(convnet, images, 3, Target(2)))
    sums = found.values.double().flatten(1).sum(1) + found.absorbed.double()
    assert float(((sums - found.total) / found.total).abs().max()) > 0.05


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cumprod(x, 1)


def test_an_op_without_a_rule_is_named(table: Behavior) -> None:
    setting = setting_of(load(Odd()), table, 3, Target(1))
    with pytest.raises(UndefinedMethodError, match=r"LRP has no rule for .*cumprod"):
        LrpEpsilon().attribute(Setting(setting.objective, 0, 8, lifter(table, "test")))


class Residual(nn.Module):
    """Products and sums of two values, an average, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = x + torch.sigmoid(self.a(x)) * self.b(x)
        return self.out(self.norm(h))


def test_products_and_norms_conserve_too(table: Behavior) -> None:
    torch.manual_seed(6)
    network = load(Residual())
    setting = setting_of(network, table, 6, Target(0))
    found = LrpEpsilon().attribute(Setting(setting.objective, 0, 8, lifter(table, "test")))
    sums = found.values.double().sum(1) + found.absorbed.double()
    np.testing.assert_allclose(sums, found.total.double(), rtol=1e-3, atol=1e-4)
