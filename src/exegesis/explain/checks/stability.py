"""Stability: inputs that look the same and get the same answer get similar maps (Alvarez-Melis and Jaakkola 2018)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from exegesis.explain.checks.trial import Trial, map_of, rank_similarity
from exegesis.explain.core import Check, Consequence
from exegesis.explain.inputs import Inputs
from exegesis.explain.model import Objective

NAME = "stability"
MEANING = (
    "Mean rank correlation between the maps of inputs and those of the same inputs with little noise (2 % of their "
    "range) that does not change the answer; maps that jump cannot be read."
)
NOISE = 0.02
LEAST = 0.5


def stability(trial: Trial) -> Check:
    """Below the threshold the result is marked."""
    scores, by_chance = [], []
    randoms = trial.random_maps(2)
    for setting, maps, random in zip(trial.settings, trial.maps, randoms, strict=True):
        objective = setting.objective
        x = objective.inputs.x
        if x is None:
            return Check.undefined(NAME, MEANING, "tokens take no small noise")
        noise = np.random.default_rng([trial.seed, 13]).standard_normal(tuple(x.shape))
        near = x + torch.from_numpy(noise).to(x) * NOISE * float(x.max() - x.min())
        inputs = Inputs(objective.inputs.rows, x=near, expected=objective.inputs.expected)
        with torch.no_grad():
            outputs = objective.model(objective.model.start(inputs), inputs, torch.arange(len(inputs)))
        before, after = objective.outputs.flatten(1).argmax(1), outputs.flatten(1).argmax(1)
        same = (before == after).cpu().numpy()
        moved = Objective(objective.model, inputs, objective.explained, objective.readout)
        again = map_of(setting, trial.method.attribute(replace(setting, objective=moved)))
        scores.append(rank_similarity([maps], [again])[same])
        by_chance.append(rank_similarity([maps], [random])[same])
    kept = np.concatenate(scores)
    if not len(kept):
        return Check.undefined(NAME, MEANING, "the noise changed every answer")
    nulls = {"random": float(np.concatenate(by_chance).mean())}
    return Check.at_least(NAME, MEANING, float(kept.mean()), LEAST, Consequence.MARKS, nulls)
