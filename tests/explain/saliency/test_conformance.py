"""What every attribution method must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from explain_networks import lifter, make_behavior, setting_of
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.explain import NetworkModel, NotDifferentiableError, Objective, Target, TargetError, read_inputs
from exegesis.explain.checks import completeness
from exegesis.explain.saliency import (
    METHODS,
    GradientShap,
    Method,
    Setting,
    TokenImportance,
    UndefinedMethodError,
    method,
)
from exegesis.explain.saliency.attribution import Attribution, saliency
from exegesis.explain.saliency.features import feature_ids
from exegesis.ir import InputError
from exegesis.runtime import Network, load

NAMES = [make().name for make in METHODS]
OF_TOKENS = ("token-importance", "attention-rollout")
OF_REAL = [name for name in NAMES if name not in OF_TOKENS]
WITH_BASELINE = ("integrated-gradients", "occlusion", "shapley-sampling", "kernel-shap")


CHEAP: dict[str, dict[str, int]] = {
    "integrated-gradients": {"steps": 6},
    "smoothgrad": {"samples": 4},
    "gradient-shap": {"samples": 6},
    "shapley-sampling": {"orders": 2, "patch": 6},
    "kernel-shap": {"coalitions": 20, "patch": 6},
    "occlusion": {"size": 6, "stride": 6},
}


def run(network: Network, behavior: Behavior, name: str | Method, **options: object) -> Attribution:
    made = type(method(name))(**CHEAP.get(name, {})) if isinstance(name, str) else name
    lift = lifter(torch.from_numpy(behavior.arrays("test").x))
    given = {"index": range(3), "checks": (), "chunk": 16, "lift": lift, **options}
    return saliency(network, behavior, made, **given)  # type: ignore[arg-type]


def test_names_are_unique_and_wrong_ones_are_answered() -> None:
    assert len(set(NAMES)) == len(NAMES)
    with pytest.raises(InputError, match="no method 'grad'; there are gradient,"):
        method("grad")


@pytest.mark.parametrize("name", OF_REAL)
def test_one_seed_gives_the_same_bytes_and_the_input_stays(
    name: str, convnet: Network, images: Behavior, tmp_path: Path
) -> None:
    before = images.arrays("test").stored.copy()
    weights = {key: value.clone() for key, value in convnet.module.state_dict().items()}
    first, second = run(convnet, images, name, seed=3), run(convnet, images, name, seed=3)
    np.testing.assert_array_equal(first.raw["values"], second.raw["values"])
    assert first.to_json() == second.to_json()
    assert first.raw["values"].shape == (3, 1, 12, 12)
    assert np.isfinite(first.raw["values"]).all()
    np.testing.assert_array_equal(images.arrays("test").stored, before)
    assert all(torch.equal(value, weights[key]) for key, value in convnet.module.state_dict().items())
    first.save(tmp_path)
    again = Attribution.open(tmp_path)
    np.testing.assert_array_equal(again.raw["values"], first.raw["values"])
    assert again.to_json() == first.to_json()


@pytest.mark.parametrize("name", OF_REAL)
def test_chunks_change_nothing_but_rounding(name: str, convnet: Network, images: Behavior) -> None:
    one, other = run(convnet, images, name, chunk=1), run(convnet, images, name, chunk=64)
    np.testing.assert_allclose(one.raw["values"], other.raw["values"], atol=2e-5)


@pytest.mark.parametrize("name", [n for n in OF_REAL if n not in ("grad-cam", "guided-backprop")])
def test_a_linear_network_gives_what_algebra_says(name: str, linear: Network, table: Behavior) -> None:
    setting = setting_of(linear, table, 3, Target(1))
    found = method(name).attribute(setting)
    weight, bias = linear.module.out.weight.detach()[1], linear.module.out.bias.detach()[1]
    x = setting.objective.start
    share = x * weight  # gradient times input, and Shapley values from zero
    wanted = {
        "gradient": weight.expand_as(x),
        "smoothgrad": weight.expand_as(x),
        "lrp-gamma": _gamma_rule(x, weight, bias),
        "gradient-shap": None,  # (x − b) · w on average over drawn b
    }.get(name, share)
    if wanted is None:
        made = [float((found.values[i] / weight).isfinite().all()) for i in range(3)]
        assert made == [1.0, 1.0, 1.0]
        inside = found.values / weight - x  # minus a mean of rows: in the hull of the rows
        assert (-inside <= x.max(0).values + 1e-5).all()
        assert (-inside >= x.min(0).values - 1e-5).all()
        return
    torch.testing.assert_close(found.values, wanted, rtol=1e-3, atol=1e-5)
    if name == "lrp-epsilon":
        assert found.absorbed is not None
        torch.testing.assert_close(found.absorbed, bias.expand(3), rtol=1e-4, atol=1e-5)


def test_gradient_shap_of_a_linear_network_from_one_baseline(linear: Network, table: Behavior) -> None:
    setting = setting_of(linear, table, 3, Target(1))
    one = np.full((1, 6), 0.25, dtype=np.float32)
    found = GradientShap(samples=3, baselines=one).attribute(setting)
    weight = linear.module.out.weight.detach()[1]
    torch.testing.assert_close(found.values, (setting.objective.start - 0.25) * weight, rtol=1e-5, atol=1e-6)


class _Bag(nn.Module):
    """Linear in its tokens: each adds a number of its own, at every place."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(5, 4), nn.Linear(4, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.embedding(input_ids)).cumsum(1)


@pytest.mark.parametrize("name", ["token-importance", "occlusion", "shapley-sampling", "gradient-x-input"])
def test_a_linear_network_over_tokens_gives_what_algebra_says(name: str) -> None:
    torch.manual_seed(11)
    network, draws = load(_Bag()), np.random.default_rng(0)
    rows = [SequenceRow(draws.integers(5, size=6).tolist(), [5]) for _ in range(12)]
    behavior = Behavior.from_sequences("bag", list("abcde"), {"test": rows}, Argmax((0, 1, 2)))
    (inputs,) = read_inputs(behavior, "test", range(12))
    setting = Setting(Objective(NetworkModel(network), inputs, Target(1), behavior.readout), 0, 16)
    made = TokenImportance(exchanges=4) if name == "token-importance" else method(name)
    found = made.attribute(setting).per_token()
    of_letter = (network.module.embedding.weight @ network.module.out.weight[1]).detach()
    own = of_letter[inputs.tokens]
    wanted = own - (of_letter.sum() - own) / 4 if name == "token-importance" else own  # less the mean of the other four
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def _gamma_rule(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each input's share of the sum with positive weights made larger by a quarter, times the output."""
    favoured, plus = weight + 0.25 * weight.clamp(min=0), bias + 0.25 * bias.clamp(min=0)
    return x * favoured / (x @ favoured + plus)[:, None] * (x @ weight + bias)[:, None]


def test_grad_cam_of_a_linear_network(linear_images: Network, small_images: Behavior) -> None:
    from exegesis.explain.saliency import GradCam

    setting = setting_of(linear_images, small_images, 3, Target(1))
    found = GradCam(signed=True).attribute(setting)
    layer = linear_images.module.conv(setting.objective.start).detach()
    slopes = linear_images.module.out.weight.detach()[1].view(3, 6, 6).mean((1, 2))
    cam = torch.einsum("nchw,c->nhw", layer, slopes)[:, None]
    wanted = nn.functional.interpolate(cam, size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found.values, wanted, rtol=1e-4, atol=1e-6)


class _Relu(nn.Module):
    """Linear where its input is positive, as it is here."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x.relu())


def test_guided_backprop_of_a_linear_network(linear: Network, table: Behavior) -> None:
    setting = setting_of(load(_Relu(linear.module.out)), table, 3, Target(1))
    found = method("guided-backprop").attribute(setting)
    weight = linear.module.out.weight.detach()[1]
    torch.testing.assert_close(found.values, weight.clamp(min=0).expand_as(found.values))


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_does_not_exist(name: str, convnet: Network, images: Behavior) -> None:
    with pytest.raises(TargetError, match="There is no output 9: the network has 4"):
        run(convnet, images, name, target=Target(9))


class _Dead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) - 1e3).relu().mean((2, 3)) * 1.0


@pytest.mark.parametrize("name", [n for n in OF_REAL if not n.startswith("lrp")])
def test_zeros_everywhere_are_no_result(name: str, images: Behavior) -> None:
    with pytest.raises(InputError, match="All attributions are zero"):
        run(load(_Dead()), images, name)


class _Threshold(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([(x > 0.5).float().sum((1, 2, 3)), torch.ones_like(x[:, 0, 0, 0])], dim=1)


@pytest.mark.parametrize("name", OF_REAL)
def test_a_path_without_gradient(name: str, images: Behavior) -> None:
    if name in ("occlusion", "shapley-sampling", "kernel-shap"):
        assert np.isfinite(run(load(_Threshold()), images, name).raw["values"]).all()  # they need no gradient
    else:
        with pytest.raises((NotDifferentiableError, UndefinedMethodError)):
            run(load(_Threshold()), images, name)


@pytest.mark.parametrize("name", WITH_BASELINE)
def test_a_baseline_of_another_shape(name: str, convnet: Network, images: Behavior) -> None:
    made = type(method(name))
    with pytest.raises(InputError, match=r"A baseline of shape \[5\] fits neither one input \[1, 12, 12\]"):
        run(convnet, images, made(**CHEAP[name], baseline=np.zeros(5)))
    with pytest.raises(InputError, match="baseline holds a number that is NaN"):
        run(convnet, images, made(**CHEAP[name], baseline=np.float64("nan")))
    one = run(convnet, images, made(**CHEAP[name], baseline=np.full((1, 12, 12), 0.25)))
    number = run(convnet, images, made(**CHEAP[name], baseline=0.25))
    np.testing.assert_allclose(one.raw["values"], number.raw["values"], atol=1e-6)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "grad-cam" and n != "guided-backprop"])
def test_sequences_are_explained_or_refused(name: str) -> None:
    network, behavior = load("zoo:majority"), Behavior.load("zoo:majority")
    from exegesis.pipeline.explaining import lifter as program_of

    found = saliency(
        network,
        behavior,
        method(name),
        index=range(4),
        checks=(completeness,),
        chunk=16,
        lift=program_of(behavior, "test"),
    )
    tokens, values = found.raw["tokens"], found.raw["values"]
    assert values.shape == tokens.shape
    assert (np.isnan(values) == (tokens < 0)).all()
    assert found.checks[0].passed is not False


@pytest.mark.parametrize("name", ["grad-cam", "guided-backprop"])
def test_methods_for_convnets_are_undefined_elsewhere(name: str) -> None:
    with pytest.raises(UndefinedMethodError, match=r"none over images|calls none"):
        saliency(load("zoo:majority"), Behavior.load("zoo:majority"), method(name), index=range(2), checks=())


@pytest.mark.parametrize("name", OF_TOKENS)
def test_methods_for_tokens_are_undefined_elsewhere(name: str, convnet: Network, images: Behavior) -> None:
    with pytest.raises(UndefinedMethodError, match="for sequences of tokens"):
        run(convnet, images, name)


def test_lrp_without_a_program_says_so(convnet: Network, images: Behavior) -> None:
    with pytest.raises(UndefinedMethodError, match="none was given"):
        run(convnet, images, "lrp-epsilon", lift=None)


def test_rows_come_back_in_the_order_that_was_asked_for(convnet: Network, images: Behavior) -> None:
    plain, turned = run(convnet, images, "gradient", index=[0, 1, 2]), run(convnet, images, "gradient", index=[2, 0])
    np.testing.assert_allclose(turned.raw["values"], plain.raw["values"][[2, 0]], atol=1e-7)
    assert turned.raw["rows"].tolist() == [2, 0]


def test_patches_cover_an_image_and_windows_each_pixel(images: Behavior) -> None:
    from exegesis.explain.saliency.features import windows

    (inputs,) = read_inputs(images, "test", range(1))
    ids = feature_ids(inputs, (1, 12, 12), 5)
    assert sorted(set(ids.flatten().tolist())) == list(range(9))
    assert windows(inputs, (1, 12, 12), 5, 4).any(0).all()
    for wrong in (0, 13):
        with pytest.raises(InputError, match="does not fit images"):
            feature_ids(inputs, (1, 12, 12), wrong)
    with pytest.raises(InputError, match="does not cover images"):
        windows(inputs, (1, 12, 12), 4, 5)


def test_one_dead_row_among_live_ones_is_undefined_not_zero() -> None:
    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x - 2.0).relu().flatten(1).sum(1, keepdim=True).expand(-1, 2) * torch.tensor([1.0, 0.5])

    x = np.stack([np.zeros((1, 6, 6)), np.full((1, 6, 6), 3.0)]).astype(np.float32)
    behavior = Behavior.from_arrays("two", {"test": (x, np.array([0, 0]))}, make_behavior((6,), 2).readout)
    found = saliency(load(Gate()), behavior, method("gradient"), index=range(2), checks=(), chunk=2)
    assert np.isnan(found.raw["values"][0]).all()
    assert (found.raw["values"][1] == 1).all()
    assert "does not respond" in found.undefined[0]
