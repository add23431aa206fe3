"""Remove and retrain: if what a map ranks first matters, a network trained without it is worse (Hooker et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.checks.trial import Maps, Trial, edges, map_of, ranked
from exegesis.explain.core import Check, Consequence
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import NetworkModel, Objective
from exegesis.explain.saliency.method import Setting
from exegesis.runtime import answers

NAME = "remove and retrain"
PLACES = "the places alone"
MEANING = (
    "Accuracy of a network trained and tested on inputs without the part that the map ranks first; it should be worse "
    "than without as much at random. Where a network that sees only which places are gone is right as well, the map "
    "spells the class by its shape, and removal tells nothing (Rong et al. 2022)."
)
REMOVED = 0.5
TRAIN, TEST = 600, 300


def remove_and_retrain(trial: Trial) -> Check:
    """Accuracy against that after removal at random and by edges, and from the removed places alone. It informs."""
    behavior, model = trial.behavior, trial.settings[0].objective.model
    if trial.retrain is None or behavior is None:
        return Check.undefined(NAME, MEANING, "no training function was given", Consequence.INFORMS)
    if behavior.is_sequence or not isinstance(behavior.readout, Argmax) or "test" not in behavior.splits:
        reason = "it is defined for classes of arrays with a test split"
        return Check.undefined(NAME, MEANING, reason, Consequence.INFORMS)
    if not isinstance(model, NetworkModel) or model.layer is not None:
        return Check.undefined(NAME, MEANING, "it is asked of the outputs of a network", Consequence.INFORMS)
    draws = np.random.default_rng([trial.seed, 14])
    ranked_by: dict[str, Callable[[Inputs], Maps]] = {
        "": lambda inputs: _own_maps(trial, inputs),
        "random": lambda inputs: draws.random(tuple(_of(inputs).shape)),
    }
    if trial.edge_maps() is not None:
        ranked_by["edges"] = lambda inputs: edges(_of(inputs))
    gone = {name: _removed(trial, behavior, maps) for name, maps in ranked_by.items()}
    found = {name: _accuracy(trial, behavior, places) for name, places in gone.items()}
    own, bar = found.pop(""), min(found["random"], found.get("edges", 1.0))
    found[PLACES] = _accuracy(trial, behavior, gone[""], places_alone=True)
    return Check.at_most(NAME, MEANING, own, bar, Consequence.INFORMS, found)


def _of(inputs: Inputs) -> Tensor:
    assert inputs.x is not None
    return inputs.x


def _own_maps(trial: Trial, inputs: Inputs) -> Maps:
    first = trial.settings[0]
    objective = Objective(first.objective.model, inputs, first.objective.explained, first.objective.readout)
    setting: Setting = replace(first, objective=objective)
    return map_of(setting, trial.method.attribute(setting))


def _rows(trial: Trial, behavior: Behavior, split: str) -> list[int]:
    size = TRAIN if split == "train" else TEST
    rows = np.random.default_rng([trial.seed, 15]).permutation(len(behavior.split(split)))[:size]
    return [int(row) for row in rows]


def _removed(trial: Trial, behavior: Behavior, maps_of: Callable[[Inputs], Maps]) -> dict[str, Tensor]:
    """By split, which numbers of each input are removed: those ranked first."""
    draws, found = np.random.default_rng([trial.seed, 21]), {}
    for split in ("train", "test"):
        (inputs,) = read_inputs(behavior, split, _rows(trial, behavior, split))
        maps = maps_of(inputs)
        first = torch.from_numpy(ranked(maps, draws) < REMOVED * maps[0].size)
        found[split] = first if first.shape == _of(inputs).shape else first[:, None].expand(_of(inputs).shape)
    return found


def _accuracy(trial: Trial, behavior: Behavior, removed: dict[str, Tensor], places_alone: bool = False) -> float:
    """Of a network trained on inputs whose removed part is at the data's mean; or on which part that is, alone."""
    assert trial.retrain is not None
    splits: dict[str, tuple[NDArray[np.float32], NDArray[np.int64] | None]] = {}
    mean: Tensor | None = None
    for split, gone in removed.items():
        rows = _rows(trial, behavior, split)
        (inputs,) = read_inputs(behavior, split, rows)
        mean = _of(inputs).mean(0) if mean is None else mean
        left = gone.float() if places_alone else torch.where(gone, mean, _of(inputs))
        y = behavior.arrays(split).y
        splits[split] = (left.numpy(), None if y is None else y[rows])
    changed = Behavior.from_arrays(behavior.name, splits, behavior.readout, output_names=behavior.output_names)
    network = trial.retrain(changed, trial.seed)
    test = changed.arrays("test")
    return float((answers(network, test, changed.readout) == test.y).mean())
