"""Weights at random in place of the trained ones: cascading from the output, and one layer at a time.

J. Adebayo et al., *Sanity checks for saliency maps* (NeurIPS 2018). The unrandomised network, whose maps equal
themselves, is never part of a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from exegesis.explain.checks.trial import Trial, mean_similarity
from exegesis.explain.core import Check, Consequence
from exegesis.explain.model import Model, NetworkModel

DRAWS = 2
MOST = 0.3  # what is called a medium correlation (Cohen 1988)
CASCADING = "cascading randomisation"
INDEPENDENT = "independent randomisation"
CASCADING_MEANING = (
    "Mean rank correlation between the maps and those of the network with its weights replaced by random ones, from "
    "the output down to each layer in turn; maps that stay alike do not show what was learned. "
    "Weights that hardly matter to the outputs are left out."
)
INDEPENDENT_MEANING = (
    "Mean rank correlation between the maps and those of the network with the weights of one layer replaced by random "
    "ones, over layers; maps that stay alike do not show what was learned."
)


def cascading_randomisation(trial: Trial) -> Check:
    """All layers from the output down to each in turn at random. Above the threshold the result is marked."""
    return _check(trial, CASCADING, CASCADING_MEANING, lambda layers, i: layers[: i + 1])


def independent_randomisation(trial: Trial) -> Check:
    """One layer at random, all others as trained. Above the threshold the result is marked."""
    return _check(trial, INDEPENDENT, INDEPENDENT_MEANING, lambda layers, i: layers[i : i + 1])


def _check(
    trial: Trial, name: str, meaning: str, chosen: Callable[[Sequence[tuple[str, ...]], int], Sequence[tuple[str, ...]]]
) -> Check:
    model = trial.settings[0].objective.model
    if not isinstance(model, NetworkModel):
        return Check.undefined(name, meaning, "only a network's weights can be replaced")
    layers = layers_from_output(model, trial)
    if not layers:
        return Check.undefined(name, meaning, "the network has no weights")
    draws = np.random.default_rng([trial.seed, 11])
    scores = []
    for i in range(len(layers)):
        for _ in range(DRAWS):
            other = model.with_weights(randomised(model, [n for layer in chosen(layers, i) for n in layer], draws))
            if _does_something_else(trial, other):
                scores.append(mean_similarity(trial.maps, trial.again(other)))
    if not scores:
        return Check.undefined(name, meaning, "random weights hardly change what the network gives")
    known = [score for score in scores if np.isfinite(score)]
    if not known:
        return Check.undefined(name, meaning, "under random weights all maps vanish")
    return Check.at_most(name, meaning, float(np.mean(known)), MOST, Consequence.MARKS, trial.likeness_of_nulls())


@torch.no_grad()
def _does_something_else(trial: Trial, other: Model) -> bool:
    """Whether outputs moved by more than half of their spread: where they did not, maps have no reason to change."""
    moved, spread = 0.0, 0.0
    for setting in trial.settings:
        objective = setting.objective
        before = objective.outputs
        after = other(other.start(objective.inputs), objective.inputs, torch.arange(len(objective)))
        moved += float((after - before).square().sum())
        spread += float((before - before.mean()).square().sum())
    return moved > 0.25 * spread


def layers_from_output(model: NetworkModel, trial: Trial) -> list[tuple[str, ...]]:
    """The names of the parameters of each module that has its own, in the reverse order in which modules run."""
    seen: list[str] = []
    own = {path: m for path, m in model.network.module.named_modules() if list(m.parameters(recurse=False))}
    hooks = [m.register_forward_hook(_noting(seen, path)) for path, m in own.items()]
    setting = trial.settings[0]
    try:
        with torch.no_grad():
            model(setting.objective.start[:1], setting.objective.inputs, torch.zeros(1, dtype=torch.long))
    finally:
        for hook in hooks:
            hook.remove()
    order = list(dict.fromkeys(seen))
    inner = [path for path in own if path not in order]  # modules whose parameters their parents use
    return [
        tuple(f"{path}.{name}".lstrip(".") for name, _ in own[path].named_parameters(recurse=False))
        for path in [*reversed(order), *inner]
    ]


def _noting(seen: list[str], path: str) -> Callable[[nn.Module, object, object], None]:
    def note(module: nn.Module, given: object, out: object) -> None:
        seen.append(path)

    return note


def randomised(model: NetworkModel, names: Sequence[str], draws: np.random.Generator) -> Mapping[str, Tensor]:
    """Random weights of the size of the trained ones: normal with their root mean square; biases and scales shuffled.

    Weights that several modules share stay shared.
    """
    changed: dict[str, Tensor] = {}
    storage = {name: value.data_ptr() for name, value in model.network.module.state_dict(keep_vars=True).items()}
    for name in names:
        if name in changed:
            continue
        old = model.weights[name]
        if old.ndim > 1:
            size = float(old.float().square().mean().sqrt())
            new = torch.from_numpy(draws.standard_normal(tuple(old.shape)) * size).to(old)
        else:
            new = old.flatten()[torch.from_numpy(draws.permutation(old.numel())).to(old.device)].view(old.shape)
        same = [other for other, place in storage.items() if place == storage[name] and storage[name]]
        changed.update(dict.fromkeys({name, *same}, new))
    return changed
