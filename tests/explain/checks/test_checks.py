"""Each check passes what deserves it, and trips on a method with the fault it looks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from exegesis.behavior import Behavior
from exegesis.explain import Check, NetworkModel, Objective, Status, Unit, read_inputs
from exegesis.explain.checks import (
    CHECKS,
    Checker,
    Trial,
    cascading_randomisation,
    completeness,
    deletion_insertion,
    independent_randomisation,
    input_invariance,
    label_randomisation,
    remove_and_impute,
    remove_and_retrain,
    stability,
)
from exegesis.explain.checks.randomised_labels import permuted
from exegesis.explain.checks.randomised_weights import layers_from_output, randomised
from exegesis.explain.checks.trial import edges, mean_similarity, rank_similarity, ranked
from exegesis.explain.saliency import (
    AttentionRollout,
    Found,
    Gradient,
    GradientXInput,
    IntegratedGradients,
    LrpEpsilon,
    Method,
    Setting,
)
from exegesis.explain.saliency.attribution import saliency
from exegesis.pipeline.explaining import lifter, retraining
from exegesis.runtime import Network, load


@dataclass(frozen=True)
class Edges:
    """Redraws the input, whatever the network is: the fault that randomised weights look for."""

    name: ClassVar[str] = "edges"
    title: ClassVar[str] = "Edges"
    caveat: ClassVar[str] = ""

    def attribute(self, setting: Setting) -> Found:
        return Found(torch.from_numpy(edges(setting.objective.start))[:, None].float(), 8)


@dataclass(frozen=True)
class Jumpy:
    """Another map for every change of the input, however small."""

    name: ClassVar[str] = "jumpy"
    title: ClassVar[str] = "Jumpy"
    caveat: ClassVar[str] = ""

    def attribute(self, setting: Setting) -> Found:
        x = setting.objective.start
        seed = int(abs(float(x.double().sum())) * 1e9) % 2**31
        return Found(torch.from_numpy(np.random.default_rng(seed).standard_normal(tuple(x.shape))).float(), 8)


@dataclass(frozen=True)
class Backwards:
    """What matters most comes last."""

    name: ClassVar[str] = "backwards"
    title: ClassVar[str] = "Backwards"
    caveat: ClassVar[str] = ""

    def attribute(self, setting: Setting) -> Found:
        found = IntegratedGradients(8).attribute(setting)
        return Found(-found.values, found.chunk)


@dataclass(frozen=True)
class Incomplete:
    """Claims a sum that its values do not have."""

    name: ClassVar[str] = "incomplete"
    title: ClassVar[str] = "Incomplete"
    caveat: ClassVar[str] = ""

    def attribute(self, setting: Setting) -> Found:
        found = IntegratedGradients(30).attribute(setting)
        values: Tensor = found.values * 0.8
        return Found(values, found.chunk, found.total)


@dataclass(frozen=True)
class Spells:
    """Rows of the image numbered by the answer come first, whatever is on them."""

    name: ClassVar[str] = "spells"
    title: ClassVar[str] = "Spells"
    caveat: ClassVar[str] = ""

    def attribute(self, setting: Setting) -> Found:
        objective = setting.objective
        values = torch.zeros_like(objective.start)
        for row, answer in enumerate(objective.answers.tolist()):
            values[row, :, [k for k in range(4) if answer >> k & 1]] = 1.0
            values[row, :, [4 + k for k in range(4) if not answer >> k & 1]] = 1.0
        return Found(values, 8)


def trial_of(method: Method, name: str = "zoo:convnet", n: int = 6, **more: Any) -> Trial:
    network, behavior = load(name), Behavior.load(name)
    (inputs,) = read_inputs(behavior, "test", range(n))
    setting = Setting(Objective(NetworkModel(network), inputs, None, behavior.readout), 0, 32)
    return Trial(method, (setting,), (method.attribute(setting),), behavior, **more)


@pytest.mark.parametrize(
    ("check", "sound", "faulty"),
    [
        (completeness, IntegratedGradients(40), Incomplete()),
        (cascading_randomisation, Gradient(), Edges()),
        (independent_randomisation, Gradient(), Edges()),
        (stability, GradientXInput(), Jumpy()),
        (deletion_insertion, IntegratedGradients(20), Backwards()),
        (remove_and_impute, IntegratedGradients(8), Backwards()),
        (input_invariance, Gradient(), IntegratedGradients(8)),
    ],
)
def test_a_check_tells_the_sound_from_the_faulty(check: Checker, sound: Method, faulty: Method) -> None:
    assert check(trial_of(sound)).passed is True
    failed = check(trial_of(faulty))
    assert failed.passed is False
    assert failed.meaning


def test_the_unrandomised_network_is_no_part_of_the_score() -> None:
    """A map of the input alone is alike under all weights: exactly 1, not pulled up or down by anything."""
    assert cascading_randomisation(trial_of(Edges())).value == pytest.approx(1.0)
    assert independent_randomisation(trial_of(Edges())).value == pytest.approx(1.0)


def test_nulls_stand_beside_the_figure() -> None:
    for check in (cascading_randomisation, deletion_insertion, stability, input_invariance):
        assert set(check(trial_of(Gradient())).nulls) == {"random", "edges"}
    assert set(completeness(trial_of(IntegratedGradients(8))).nulls) == {"random", "edges"}
    assert completeness(trial_of(IntegratedGradients(40))).nulls["random"] > 0.5  # a map as large, summing to nothing
    assert set(stability(trial_of(Gradient(), "zoo:digits")).nulls) == {"random"}  # rows of numbers have no edges


def test_weights_are_replaced_from_the_output_down() -> None:
    trial = trial_of(Gradient())
    model = trial.settings[0].objective.model
    assert isinstance(model, NetworkModel)
    layers = layers_from_output(model, trial)
    assert [layer[0].split(".")[0] for layer in layers] == ["logits", "hidden", "conv2", "conv1"]
    new = randomised(model, layers[0], np.random.default_rng(0))
    old = model.weights["logits.weight"]
    assert set(new) == {"logits.weight", "logits.bias"}
    assert float(new["logits.weight"].std() / old.square().mean().sqrt()) == pytest.approx(1.0, abs=0.15)
    assert sorted(new["logits.bias"].tolist()) == sorted(model.weights["logits.bias"].tolist())


def test_shared_weights_stay_shared() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, input_ids: Tensor) -> Tensor:
            return self.head(self.embed(input_ids))

    model = NetworkModel(load(Tied()))
    new = randomised(model, ["head.weight"], np.random.default_rng(0))
    assert set(new) == {"head.weight", "embed.weight"}
    assert new["head.weight"] is new["embed.weight"]


def test_checks_that_retrain_are_undefined_without_training() -> None:
    for check in (label_randomisation, remove_and_retrain):
        found = check(trial_of(Gradient()))
        assert found.passed is None
        assert found.reason == "no training function was given"


def quick(network: Network, steps: int = 30) -> Any:
    whole = retraining(network)
    assert whole is not None

    from exegesis.zoo.train_convnet import RECIPE
    from exegesis.zoo.training import fit

    return lambda behavior, seed: Network(fit(RECIPE, behavior, seed, steps), network.name)


def test_labels_and_removal_tell_the_sound_from_the_faulty() -> None:
    retrain = quick(load("zoo:convnet"))
    assert label_randomisation(trial_of(GradientXInput(), retrain=retrain)).passed is True
    blind = label_randomisation(trial_of(Edges(), retrain=retrain))
    assert blind.passed is False
    assert blind.value == pytest.approx(1.0)
    removed = remove_and_retrain(trial_of(Backwards(), retrain=retrain))
    assert removed.passed is False
    assert set(removed.nulls) == {"random", "edges", "the places alone"}


def test_a_map_that_spells_the_class_is_caught_by_its_places_alone() -> None:
    """Removal in the shape of the answer: what is left of the image says less of the class than the hole does."""
    removed = remove_and_retrain(trial_of(Spells(), retrain=quick(load("zoo:convnet"), 90)))
    assert removed.nulls["the places alone"] > 0.8
    assert removed.nulls["random"] < removed.nulls["the places alone"]


def test_labels_of_a_layer_are_compared_at_that_layer() -> None:
    network, behavior = load("zoo:convnet"), Behavior.load("zoo:convnet")
    asked = {"target": Unit(1), "layer": "conv1", "checks": (label_randomisation, remove_and_retrain), "chunk": 8}
    found = saliency(network, behavior, Gradient(), index=range(4), retrain=lambda b, s: network, **asked)
    labels, removed = found.checks
    assert labels.value == pytest.approx(1.0)  # "trained" to the same weights, read at the same channel
    assert "outputs of a network" in removed.reason


def test_permuted_labels_are_the_same_labels() -> None:
    behavior = Behavior.load("zoo:convnet")
    other = permuted(behavior, 0)
    before, after = behavior.arrays("train").y, other.arrays("train").y
    assert before is not None
    assert after is not None
    assert sorted(before) == sorted(after)
    assert (before != after).mean() > 0.7
    np.testing.assert_array_equal(behavior.arrays("train").x, other.arrays("train").x)


def test_similarity_of_ranks() -> None:
    draws = np.random.default_rng(0).standard_normal((4, 5, 5))
    np.testing.assert_allclose(rank_similarity([draws], [np.exp(draws)]), 1.0)
    np.testing.assert_allclose(rank_similarity([draws], [-draws]), -1.0)
    assert np.isnan(rank_similarity([draws], [np.zeros_like(draws)])).all()  # a constant says nothing
    half = np.concatenate([draws[:2], np.zeros_like(draws[2:])])
    assert mean_similarity([draws], [half]) == pytest.approx(1.0)  # rows that vanish are left out, not called unlike


def test_equal_numbers_are_ranked_in_a_drawn_order() -> None:
    maps = np.zeros((200, 2, 5))
    maps[:, 0, 3] = 1.0
    places = ranked(maps, np.random.default_rng(0))
    assert (places[:, 0, 3] == 0).all()
    assert set(places[0].ravel()) == set(range(10))
    np.testing.assert_allclose(places.reshape(200, 10)[:, [0, 9]].mean(0), 5.0, atol=0.7)  # not in that of the page


class Vanishing(Gradient):
    """Nothing at all, where weights are not the trained ones."""

    trained: ClassVar[Any] = None

    def attribute(self, setting: Setting) -> Found:
        found = super().attribute(setting)
        return found if setting.objective.model is Vanishing.trained else Found(found.values * 0, found.chunk)


def test_a_map_that_vanishes_under_random_weights_does_not_pass_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_of(Gradient())
    monkeypatch.setattr(Vanishing, "trained", trial.settings[0].objective.model)
    vanishing = replace(trial, method=Vanishing())
    assert cascading_randomisation(vanishing).reason == "under random weights all maps vanish"


def test_sequences_are_checked_as_far_as_checks_are_defined() -> None:
    found = saliency(load("zoo:majority"), Behavior.load("zoo:majority"), GradientXInput(), index=[0], chunk=8)
    by_name = {check.name: check for check in found.checks}
    assert len(by_name) == len(CHECKS)
    assert by_name["cascading randomisation"].value is not None
    assert by_name["stability"].value is not None
    assert by_name["input invariance"].value is not None


class JumpyTokens(Jumpy):
    """Another map for every embedding, however near."""


def tokens_on_trial(method: Method) -> Trial:
    network, behavior = load("zoo:majority"), Behavior.load("zoo:majority")
    inputs = max(read_inputs(behavior, "test", range(40)), key=len)
    setting = Setting(Objective(NetworkModel(network), inputs, None, behavior.readout), 0, 32, lifter(behavior, "test"))
    return Trial(method, (setting,), (method.attribute(setting),), behavior)


def test_embeddings_take_the_noise_and_the_shift_of_sequences() -> None:
    assert stability(tokens_on_trial(GradientXInput())).passed is True
    assert stability(tokens_on_trial(JumpyTokens())).passed is False
    assert input_invariance(tokens_on_trial(Gradient())).passed is True
    assert input_invariance(tokens_on_trial(GradientXInput())).passed is False


def test_methods_that_follow_ids_say_that_noise_and_shifts_are_undefined() -> None:
    for method in (AttentionRollout(), LrpEpsilon()):
        trial = tokens_on_trial(method)
        for check in (stability, input_invariance):
            assert "follows the ids of tokens" in check(trial).reason


def test_an_incomplete_result_is_withheld() -> None:
    network, behavior = load("zoo:convnet"), Behavior.load("zoo:convnet")
    found = saliency(network, behavior, Incomplete(), index=range(2), checks=(completeness,), chunk=8)
    assert found.status is Status.WITHHELD
    check: Check = found.checks[0]
    assert check.value == pytest.approx(0.2, abs=0.05)
    assert "Withheld" in found.figure().alt
