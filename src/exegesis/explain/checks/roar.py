"""Remove and retrain: if what a map ranks first matters, a network trained without it is worse (Hooker et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.checks.trial import Maps, Trial, edges, map_of
from exegesis.explain.core import Check, Consequence
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import Objective
from exegesis.explain.saliency.method import Setting
from exegesis.runtime import answers

NAME = "remove and retrain"
MEANING = (
    "Accuracy of a network trained and tested on inputs without the part that the map ranks first; it should be worse "
    "than without as much at random, or the map does not show what the task needs, or the place of the hole "
    "gives the class away (Rong et al. 2022)."
)
REMOVED = 0.3
TRAIN, TEST = 600, 300


def remove_and_retrain(trial: Trial) -> Check:
    """Accuracy against that after removal at random and by edges. It informs: where a hole is can tell the class."""
    behavior = trial.behavior
    if trial.retrain is None or behavior is None:
        return Check.undefined(NAME, MEANING, "no training function was given")
    if behavior.is_sequence or not isinstance(behavior.readout, Argmax) or "test" not in behavior.splits:
        return Check.undefined(NAME, MEANING, "it is defined for classes of arrays with a test split")
    draws = np.random.default_rng([trial.seed, 14])
    ranked: dict[str, Callable[[Inputs], Maps]] = {
        "": lambda inputs: _own_maps(trial, inputs),
        "random": lambda inputs: draws.random(tuple(inputs.x.shape)) if inputs.x is not None else np.empty(0),
    }
    if trial.edge_maps() is not None:
        ranked["edges"] = lambda inputs: edges(inputs.x) if inputs.x is not None else np.empty(0)
    found = {name: _accuracy(trial, behavior, maps) for name, maps in ranked.items()}
    own = found.pop("")
    return Check.at_most(NAME, MEANING, own, min(found.values()), Consequence.INFORMS, found)


def _own_maps(trial: Trial, inputs: Inputs) -> Maps:
    first = trial.settings[0]
    objective = Objective(first.objective.model, inputs, first.objective.explained, first.objective.readout)
    setting: Setting = replace(first, objective=objective)
    return map_of(setting, trial.method.attribute(setting))


def _accuracy(trial: Trial, behavior: Behavior, ranked: Callable[[Inputs], Maps]) -> float:
    """Of a network trained on inputs from which the part ranked first was removed."""
    assert trial.retrain is not None
    splits: dict[str, tuple[NDArray[np.float32], NDArray[np.int64] | None]] = {}
    mean: torch.Tensor | None = None
    for name, size in (("train", TRAIN), ("test", TEST)):
        whole = behavior.arrays(name)
        rows = np.random.default_rng([trial.seed, 15]).permutation(len(whole))[:size]
        (inputs,) = read_inputs(behavior, name, rows.tolist())
        assert inputs.x is not None
        mean = inputs.x.mean(0) if mean is None else mean
        maps = ranked(inputs)
        flat = np.nan_to_num(maps.reshape(len(maps), -1))
        top = flat.argsort(1).argsort(1) >= flat.shape[1] * (1 - REMOVED)
        mask = torch.from_numpy(top.reshape(maps.shape))
        mask = mask if mask.shape == inputs.x.shape else mask[:, None].expand(inputs.x.shape)
        splits[name] = (torch.where(mask, mean, inputs.x).numpy(), whole.y[rows] if whole.y is not None else None)
    changed = Behavior.from_arrays(behavior.name, splits, behavior.readout, output_names=behavior.output_names)
    network = trial.retrain(changed, trial.seed)
    test = changed.arrays("test")
    said = answers(network, test, changed.readout)
    return float((said == test.y).mean())
