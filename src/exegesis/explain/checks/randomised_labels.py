"""Labels at random: a network trained on permuted answers has learned nothing of the task, and maps should tell.

J. Adebayo et al., *Sanity checks for saliency maps* (NeurIPS 2018).
"""

from __future__ import annotations

import numpy as np

from exegesis.behavior import Behavior
from exegesis.explain.checks.trial import Trial, mean_similarity
from exegesis.explain.core import Check, Consequence
from exegesis.explain.model import NetworkModel

NAME = "label randomisation"
MEANING = (
    "Mean rank correlation between the maps and those of a network trained on permuted answers; maps that stay alike "
    "do not show what was learned of the task. Beside it stands another network trained on the true answers: where "
    "that is no more alike, maps tell one training from another, not the task."
)
TRUE = "true answers, trained anew"
MOST = 0.3  # what is called a medium correlation (Cohen 1988)


def label_randomisation(trial: Trial) -> Check:
    """Trains on permuted answers, and compares. Above the threshold the result is marked."""
    behavior = trial.behavior
    if trial.retrain is None or behavior is None:
        return Check.undefined(NAME, MEANING, "no training function was given")
    if behavior.is_sequence:
        return Check.undefined(NAME, MEANING, "answers of sequences are not permuted")
    if behavior.arrays("train").y is None:
        return Check.undefined(NAME, MEANING, "nobody knows the answers of the training split")
    model = trial.settings[0].objective.model
    if not isinstance(model, NetworkModel):
        return Check.undefined(NAME, MEANING, "only a network is trained")
    dealt, true = trial.retrain(permuted(behavior, trial.seed), trial.seed), trial.retrain(behavior, trial.seed + 1)
    score, of_true = (
        mean_similarity(trial.maps, trial.again(NetworkModel(network, model.layer))) for network in (dealt, true)
    )
    return Check.at_most(NAME, MEANING, score, MOST, Consequence.MARKS, {**trial.likeness_of_nulls(1), TRUE: of_true})


def permuted(behavior: Behavior, seed: int) -> Behavior:
    """The same inputs with the answers of the training split dealt out at random."""
    splits = {}
    for name in behavior.splits:
        split = behavior.arrays(name)
        y = split.y
        if name == "train" and y is not None:
            y = y[np.random.default_rng([seed, 12]).permutation(len(y))]
        splits[name] = (split.stored, y)
    scale = behavior.layout.scale if behavior.layout else 1.0
    names = behavior.output_names
    return Behavior.from_arrays(behavior.name, splits, behavior.readout, output_names=names, scale=scale)
