"""Remove and impute: what a map ranks first is filled in from its surroundings; does the network change its answer?

ROAD, *remove and debias* (Rong et al. 2022, arXiv 2202.00449): unlike a blank, an imputed hole has no shape that gives
the class away and makes no input that is unlike all others, so nothing has to be trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.checks.imputing import imputed
from exegesis.explain.checks.trial import Maps, Trial, edges, map_of, ranked
from exegesis.explain.core import Check, Consequence
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import Model, Objective
from exegesis.explain.target import Target

NAME = "remove and impute"
BRIGHTNESS = "brightness"
MEANING = (
    "Share of inputs that keep their answer while what the map ranks first, a tenth to a half of the image, is filled "
    "in from its surroundings; a map that finds what decides keeps fewer than chance and than edges, by more than luck "
    "among inputs (95 %)."
)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
ROWS, DRAWS = 48, 4


def remove_and_impute(trial: Trial) -> Check:
    """Against a random ranking, one by edges, and (for information) one by brightness alone."""
    first = trial.settings[0]
    behavior, objective = trial.behavior, first.objective
    if behavior is None or objective.start.ndim != 4:
        return Check.undefined(NAME, MEANING, "only images have neighbours to fill a place in from")
    if not isinstance(behavior.readout, Argmax) or objective.explained != Target():
        return Check.undefined(NAME, MEANING, "it is asked of a network's own answer among classes")
    inputs = _rows(behavior, trial.seed)
    asked = Objective(objective.model, inputs, objective.explained, objective.readout)
    own = map_of(replace(first, objective=asked), trial.method.attribute(replace(first, objective=asked)))
    draws = np.random.default_rng([trial.seed, 17])
    random = [draws.random(own.shape) for _ in range(DRAWS)]
    kept = _kept(asked, behavior, own, trial.seed)
    nulls = {
        "random": np.mean([_kept(asked, behavior, maps, trial.seed) for maps in random], axis=0),
        "edges": _kept(asked, behavior, edges(asked.start), trial.seed),
    }
    bar = min(float(null.mean()) - _luck(null - kept) for null in nulls.values())
    figures = {name: float(null.mean()) for name, null in nulls.items()}
    figures[BRIGHTNESS] = float(_kept(asked, behavior, _brightness(asked.start), trial.seed).mean())
    return Check.at_most(NAME, MEANING, float(kept.mean()), bar, Consequence.MARKS, figures)


def _rows(behavior: Behavior, seed: int) -> Inputs:
    split = "test" if "test" in behavior.splits else next(iter(behavior.splits))
    rows = np.random.default_rng([seed, 18]).permutation(len(behavior.split(split)))[:ROWS]
    return read_inputs(behavior, split, rows.tolist())[0]


def _kept(objective: Objective, behavior: Behavior, maps: Maps, seed: int) -> Float[np.ndarray, " n"]:
    """For each input, over the shares removed, how often it keeps its answer."""
    before = _answers(objective.model, objective.inputs, objective.start, behavior)
    draws = np.random.default_rng([seed, 19])
    rank = ranked(maps, draws)
    places = rank[0].size
    same = []
    for share in SHARES:
        changed = imputed(objective.start, rank < share * places, draws)
        same.append(_answers(objective.model, objective.inputs, changed, behavior) == before)
    return np.asarray(np.mean(same, axis=0))


@torch.no_grad()
def _answers(model: Model, inputs: Inputs, x: Tensor, behavior: Behavior, chunk: int = 64) -> np.ndarray:
    """The answer to each input [n], as the behaviour reads outputs."""
    readout = behavior.readout
    assert isinstance(readout, Argmax)
    rows = torch.arange(len(inputs))
    outputs = torch.cat([model(x[part], inputs, part) for part in torch.split(rows, chunk)])
    competing: Sequence[int] = readout.outputs or range(outputs.shape[-1])
    return np.asarray(outputs[..., list(competing)].argmax(-1).cpu().numpy())


def _brightness(x: Float[Tensor, "n c y x"]) -> Maps:
    """How far a pixel lies from what most pixels of the data are: where the ink is, whatever the network does."""
    grey = x.mean(1).cpu().double().numpy()
    return np.asarray(np.abs(grey - np.median(grey)))


def _luck(apart: Float[np.ndarray, " n"]) -> float:
    """How far the mean of paired differences may lie from zero by luck among inputs, one-sided, 95 %."""
    n = len(apart)
    return float(stats.t.ppf(0.95, n - 1) * apart.std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
