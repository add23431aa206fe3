"""Each method against an implementation that shares nothing with it: captum where it has one, plain loops elsewhere."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from explain_networks import make_behavior, setting_of
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.explain import NetworkModel, Objective, Target, read_inputs
from exegesis.explain.saliency import (
    GradCam,
    Gradient,
    GradientShap,
    GradientXInput,
    GuidedBackprop,
    IntegratedGradients,
    KernelShap,
    Occlusion,
    Setting,
    ShapleySampling,
    SmoothGrad,
)
from exegesis.explain.saliency.attribution import saliency
from exegesis.runtime import Network, load

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import captum.attr as captum

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


class Modules(nn.Module):
    """With modules for its activations, as captum's guided backpropagation needs them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 5, 3), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(5, 6, 3), nn.ReLU()
        self.out = nn.Linear(6 * 8 * 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.relu2(self.conv2(self.relu1(self.conv1(x)))).flatten(1))


def leaf(setting: Setting) -> Tensor:
    return setting.objective.start.clone().requires_grad_(True)


@pytest.fixture
def modules() -> Network:
    torch.manual_seed(5)
    return load(Modules())


def test_gradient(convnet: Network, images: Behavior) -> None:
    setting = setting_of(convnet, images, target=Target(2))
    wanted = captum.Saliency(convnet.module).attribute(leaf(setting), 2, abs=False)
    torch.testing.assert_close(Gradient().attribute(setting).values, wanted, **CLOSE)
    product = captum.InputXGradient(convnet.module).attribute(leaf(setting), 2)
    torch.testing.assert_close(GradientXInput().attribute(setting).values, product.detach(), **CLOSE)


@pytest.mark.parametrize("baseline", [0.0, 0.3])
def test_integrated_gradients(convnet: Network, images: Behavior, baseline: float) -> None:
    setting = setting_of(convnet, images, target=Target(1))
    start = setting.objective.start
    wanted = captum.IntegratedGradients(convnet.module).attribute(
        start.clone(), baselines=baseline, target=1, n_steps=20, method="gausslegendre"
    )
    found = IntegratedGradients(20, baseline).attribute(setting)
    torch.testing.assert_close(found.values, wanted.detach().float(), **CLOSE)
    with torch.no_grad():
        total = convnet.module(start)[:, 1] - convnet.module(torch.full_like(start, baseline))[:, 1]
    torch.testing.assert_close(found.total, total, **CLOSE)


def test_smoothgrad_by_a_loop(convnet: Network, images: Behavior) -> None:
    setting = setting_of(convnet, images, target=Target(0))
    start = setting.objective.start
    draws = torch.from_numpy(np.random.default_rng([0, 1]).standard_normal((6, 1, 12, 12))).float()
    wanted = torch.zeros_like(start)
    for row in range(3):
        spread = 0.15 * (start[row].max() - start[row].min())
        for noise in draws:
            x = (start[row] + spread * noise)[None].requires_grad_(True)
            wanted[row] += torch.autograd.grad(convnet.module(x)[0, 0], x)[0][0] / 6
    torch.testing.assert_close(SmoothGrad(6).attribute(setting).values, wanted, **CLOSE)


def test_occlusion(convnet: Network, images: Behavior) -> None:
    setting = setting_of(convnet, images, target=Target(3))
    wanted = captum.Occlusion(convnet.module).attribute(
        setting.objective.start.clone(), (1, 4, 4), strides=(1, 2, 2), target=3, baselines=0.5
    )
    torch.testing.assert_close(Occlusion(4, 2, 0.5).attribute(setting).values, wanted.float(), **CLOSE)


def test_grad_cam(modules: Network, images: Behavior) -> None:
    setting = setting_of(modules, images, target=Target(2))
    oracle = captum.LayerGradCam(modules.module, modules.module.conv2)
    small = oracle.attribute(setting.objective.start.clone(), 2, relu_attributions=True).detach()
    wanted = nn.functional.interpolate(small, size=(12, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(GradCam().attribute(setting).values, wanted, **CLOSE)


def test_guided_backprop(modules: Network, images: Behavior) -> None:
    setting = setting_of(modules, images, target=Target(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = captum.GuidedBackprop(modules.module).attribute(leaf(setting), 2)
    torch.testing.assert_close(GuidedBackprop().attribute(setting).values, wanted.detach(), **CLOSE)


def shapley(network: nn.Module, x: Tensor, output: int) -> Tensor:
    """By definition: the weighted mean of gains over all coalitions."""
    k = len(x)

    def value(coalition: tuple[int, ...]) -> float:
        point = torch.zeros_like(x)
        point[list(coalition)] = x[list(coalition)]
        return float(network(point[None])[0, output])

    found = torch.zeros(k)
    for i in range(k):
        others = [j for j in range(k) if j != i]
        for size in range(k):
            weight = math.factorial(size) * math.factorial(k - size - 1) / math.factorial(k)
            for coalition in itertools.combinations(others, size):
                found[i] += weight * (value((*coalition, i)) - value(coalition))
    return found


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@torch.no_grad()
def test_kernel_shap_is_exact_where_all_coalitions_fit(table: Behavior) -> None:
    torch.manual_seed(7)
    network = load(Table())
    setting = setting_of(network, table, target=Target(1))
    found = KernelShap(coalitions=2**6 - 2).attribute(setting)
    wanted = torch.stack([shapley(network.module, x, 1) for x in setting.objective.start])
    torch.testing.assert_close(found.values, wanted, **CLOSE)


@torch.no_grad()
def test_shapley_sampling_is_exact_where_all_orders_fit() -> None:
    torch.manual_seed(8)
    network = load(nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 2)))
    setting = setting_of(network, make_behavior((4,), 2), target=Target(1))
    wanted = torch.stack([shapley(network.module, x, 1) for x in setting.objective.start])
    torch.testing.assert_close(ShapleySampling(orders=24).attribute(setting).values, wanted, **CLOSE)
    torch.testing.assert_close(KernelShap(coalitions=14).attribute(setting).values, wanted, **CLOSE)
    assert not torch.allclose(ShapleySampling(orders=2).attribute(setting).values, wanted, **CLOSE)


class Quadratic(nn.Module):
    """x ↦ w·x + xᵀ A x, of which every integral is known."""

    def __init__(self, curved: float) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(9)
        self.weight = nn.Parameter(torch.randn(6, generator=draws))
        self.form = nn.Parameter(curved * torch.randn(6, 6, generator=draws))

    def forward(self, x: Tensor) -> Tensor:
        value = x @ self.weight + torch.einsum("ni,ij,nj->n", x, self.form, x)
        return torch.stack([value, -value], 1)

    def expected(self, x: Tensor, baselines: Tensor) -> Tensor:
        """Mean over baselines b of (x − b) ∘ (w + (A + Aᵀ)(x + b) / 2): the slope is linear on the way."""
        way, middle = x[:, None] - baselines, (x[:, None] + baselines) / 2
        return (way * (self.weight + middle @ (self.form + self.form.T))).mean(1).detach()


@pytest.mark.parametrize("curved", [0.0, 1.0])
def test_gradient_shap_has_the_analytic_answer_of_linear_and_quadratic_functions(
    table: Behavior, curved: float
) -> None:
    module = Quadratic(curved)
    setting = setting_of(load(module), table, target=Target(0))
    x = setting.objective.start
    one = np.full((1, 6), 0.3, dtype=np.float32)
    found = GradientShap(samples=4000, baselines=one).attribute(Setting(setting.objective, 0, 4000)).values
    torch.testing.assert_close(found, module.expected(x, torch.from_numpy(one)), rtol=1e-4, atol=2e-5)
    many = torch.rand(5, 6, generator=torch.Generator().manual_seed(2))
    drawn = GradientShap(samples=4000, baselines=many.numpy()).attribute(Setting(setting.objective, 0, 4000)).values
    error = (drawn - module.expected(x, many)).abs().max()
    assert float(error) < 0.1  # five standard errors of 4,000 draws of the baseline
    assert not torch.allclose(module.expected(x, many), module.expected(x, torch.from_numpy(one)), atol=0.1)


@torch.no_grad()
def test_estimates_of_shapley_values_come_close(table: Behavior) -> None:
    torch.manual_seed(7)
    network = load(Table())
    setting = setting_of(network, table, target=Target(1))
    wanted = torch.stack([shapley(network.module, x, 1) for x in setting.objective.start])
    size = float(wanted.abs().max())
    sampled = ShapleySampling(orders=200).attribute(setting).values
    assert float((sampled - wanted).abs().max()) < 0.08 * size
    drawn = KernelShap(coalitions=50).attribute(setting).values
    assert float((drawn - wanted).abs().max()) < 0.3 * size


@torch.no_grad()
def test_shapley_sampling_by_a_loop(table: Behavior) -> None:
    torch.manual_seed(7)
    network = load(Table())
    setting = setting_of(network, table, target=Target(2))
    half = np.random.default_rng([0, 3]).permuted(np.tile(np.arange(6), (2, 1)), axis=1)
    wanted = torch.zeros(3, 6)
    for row, x in enumerate(setting.objective.start):
        for order in [*half, *half[:, ::-1]]:
            point = torch.zeros(6)
            before = network.module(point[None])[0, 2]
            for feature in order:
                point[feature] = x[feature]
                after = network.module(point[None])[0, 2]
                wanted[row, feature] += (after - before) / 4
                before = after
    torch.testing.assert_close(ShapleySampling(orders=4).attribute(setting).values, wanted, **CLOSE)


def test_slopes_of_embeddings_are_lengths_and_shares_are_sums() -> None:
    """In front of a layer norm the slopes of an embedding add up to zero, so their sum would be rounding."""
    network, behavior = load("zoo:majority"), Behavior.load("zoo:majority")
    slopes = saliency(network, behavior, Gradient(), index=[0], checks=(), chunk=8)
    shares = saliency(network, behavior, GradientXInput(), index=[0], checks=(), chunk=8)
    (inputs,) = read_inputs(behavior, "test", [0])
    objective = Objective(NetworkModel(network), inputs, None, behavior.readout)
    slope = objective.gradient(objective.start, torch.arange(1))[1]
    assert float(slope.sum(-1).abs().max()) < 1e-4 * float(slope.abs().sum(-1).max())
    torch.testing.assert_close(torch.from_numpy(np.array(slopes.values)), slope.norm(dim=-1), **CLOSE)
    torch.testing.assert_close(torch.from_numpy(np.array(shares.values)), (slope * objective.start).sum(-1), **CLOSE)


def test_token_importance_by_a_loop() -> None:
    from exegesis.explain.saliency import TokenImportance

    network, behavior = load("zoo:majority"), Behavior.load("zoo:majority")
    inputs = next(i for i in read_inputs(behavior, "test", range(12)) if len(i) > 1)
    objective = Objective(NetworkModel(network), inputs, None, behavior.readout)
    found = TokenImportance(exchanges=99).attribute(Setting(objective, 0, 8)).values
    tokens, letters = inputs.tokens, inputs.tokens.unique()
    whole = objective.outputs
    for row in range(2):
        answer, at = int(objective.answers[row]), int(inputs.at[row])
        for place in range(tokens.shape[1]):
            fallen = []
            for letter in letters:
                if letter != tokens[row, place]:
                    changed = tokens[row : row + 1].clone()
                    changed[0, place] = letter
                    position = None if inputs.positions is None else inputs.positions[row : row + 1]
                    fallen.append(whole[row, at, answer] - network.logits(changed, position)[0, at, answer])
            assert float(found[row, place]) == pytest.approx(float(torch.stack(fallen).mean()), abs=1e-4)


def test_attention_rollout_by_a_loop() -> None:
    from exegesis.explain import NetworkModel, Objective, read_inputs
    from exegesis.explain.saliency import AttentionRollout
    from exegesis.pipeline.explaining import lifter

    network, behavior = load("zoo:copy"), Behavior.load("zoo:copy")
    (inputs,) = read_inputs(behavior, "test", [0])
    objective = Objective(NetworkModel(network), inputs, None, behavior.readout)
    found = AttentionRollout().attribute(Setting(objective, 0, 8, lifter(behavior, "test"))).values
    module, x = network.module, objective.start + network.module.wpe(inputs.positions)
    rolled = torch.eye(x.shape[1])
    with torch.no_grad():
        for norm, attention in zip(module.norms, module.attentions, strict=True):
            h = norm(x)
            q, k, _ = attention.qkv(h).split(64, -1)
            scores = (q @ k.transpose(1, 2) / 8).masked_fill(
                torch.ones(x.shape[1], x.shape[1]).triu(1).bool(), -torch.inf
            )
            rolled = (scores.softmax(-1)[0] + torch.eye(x.shape[1])) / 2 @ rolled
            x = x + attention(h)
    torch.testing.assert_close(found[0], rolled[int(inputs.at[0])], rtol=1e-4, atol=1e-5)
