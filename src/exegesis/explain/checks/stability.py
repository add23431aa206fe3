"""Stability: inputs that look the same and get the same answer get similar maps (Alvarez-Melis and Jaakkola 2018).

Of sequences it is the embeddings of the tokens that take the noise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from exegesis.explain.checks.trial import Trial, edges, map_at, mean_known, rank_similarity
from exegesis.explain.core import Check, Consequence
from exegesis.explain.model import Objective

NAME = "stability"
MEANING = (
    "Mean rank correlation between the maps of inputs and those of the same inputs with little noise (2 % of their "
    "range) that does not change the answer; maps that jump cannot be read."
)
NOISE = 0.02
LEAST = 0.5


def stability(trial: Trial) -> Check:
    """Below the threshold the result is marked. Tokens take no noise themselves: their embeddings do."""
    if trial.of_ids:
        return Check.undefined(NAME, MEANING, "what is explained reads the ids of tokens, which take no noise")
    scores, by_chance, of_edges = [], [], []
    randoms, edged = trial.random_maps(2), trial.edge_maps()
    for number, (setting, maps) in enumerate(zip(trial.settings, trial.maps, strict=True)):
        objective = setting.objective
        start = objective.start
        noise = np.random.default_rng([trial.seed, 13]).standard_normal(tuple(start.shape))
        near = start + torch.from_numpy(noise).to(start) * NOISE * float(start.max() - start.min())
        moved = objective.starting_at(near)
        same = (_said(objective) == _said(moved)).cpu().numpy()
        again = map_at(trial, setting, moved)
        if again is None:
            return Check.undefined(
                NAME, MEANING, f"{trial.method.title} follows the ids of tokens, which take no noise"
            )
        scores.append(rank_similarity([maps], [again])[same])
        by_chance.append(rank_similarity([maps], [randoms[number]])[same])
        if edged is not None:
            of_edges.append(rank_similarity([edged[number]], [edges(near)])[same])
    kept = np.concatenate(scores)
    if not len(kept):
        return Check.undefined(NAME, MEANING, "the noise changed every answer")
    if not np.isfinite(kept).any():
        return Check.undefined(NAME, MEANING, "all maps vanish")
    nulls = {"random": mean_known(by_chance), **({"edges": mean_known(of_edges)} if of_edges else {})}
    return Check.at_least(NAME, MEANING, mean_known(scores), LEAST, Consequence.MARKS, nulls)


def _said(objective: Objective) -> Tensor:
    """The largest output of each row, at the position that is scored where there are several."""
    outputs, at = objective.outputs, objective.inputs.at
    here = outputs[torch.arange(len(outputs)), at] if outputs.ndim == 3 and at is not None else outputs.flatten(1)
    return here.argmax(1)
