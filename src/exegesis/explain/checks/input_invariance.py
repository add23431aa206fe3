"""Input invariance: a constant is added to the input and taken away in the first bias, so that nothing has changed.

Of sequences it is the embeddings that are shifted: what comes after takes the constant away again.

P.-J. Kindermans et al., *The (un)reliability of saliency methods* (2017, arXiv 1711.00867).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from exegesis.explain.checks.trial import Maps, Trial, edges, map_at, mean_known
from exegesis.explain.core import Check, Consequence
from exegesis.explain.inputs import Inputs
from exegesis.explain.model import Model, NetworkModel, Objective

NAME = "input invariance"
MEANING = (
    "How far maps move, relative to their size, when a constant is added to the input (to embeddings, of tokens) "
    "and taken away by what comes first, which changes nothing; methods that take zero for 'nothing' depend on where "
    "zero lies."
)
MOST = 0.05


class _Shifted:
    """A model that takes a constant from its input first."""

    def __init__(self, model: Model, by: float | Tensor) -> None:
        self.name, self.fingerprint, self.device = model.name, model.fingerprint, model.device
        self._model = model
        self._by = by

    def start(self, inputs: Inputs) -> Tensor:
        start = self._model.start(inputs)
        return start if inputs.tokens is None else start + self._by  # arrays are shifted already

    def __call__(self, x: Tensor, inputs: Inputs, rows: Tensor) -> Tensor:
        return self._model(x - self._by, inputs, rows)


def input_invariance(trial: Trial) -> Check:
    """The mean relative change of the maps. It informs: a method that depends on a baseline says so by name."""
    if trial.of_ids:
        reason = "what is explained reads the ids of tokens, to which nothing can be added"
        return Check.undefined(NAME, MEANING, reason, Consequence.INFORMS)
    moved, by_chance, of_edges = [], [], []
    for number, (setting, maps) in enumerate(zip(trial.settings, trial.maps, strict=True)):
        objective = setting.objective
        start = objective.start
        by = float(start.max() - start.min()) / 2 or 1.0
        if objective.inputs.tokens is not None:
            # A vector, for a layer norm takes away what is the same in all entries whether it should or not.
            draws = np.random.default_rng([trial.seed, 16]).standard_normal(start.shape[-1])
            shifted = objective.under(_Shifted(objective.model, by * torch.from_numpy(draws).to(start)))
        else:
            model = _absorbed(objective, by) or _Shifted(objective.model, by)
            if isinstance(model, _Shifted) and trial.method.name.startswith("lrp"):
                return Check.undefined(NAME, MEANING, "the first layer cannot absorb a constant", Consequence.INFORMS)
            shifted = Objective(model, _plus(objective.inputs, by), objective.explained, objective.readout)
        again = map_at(trial, setting, shifted)
        if again is None:
            reason = f"{trial.method.title} follows the ids of tokens, to which nothing can be added"
            return Check.undefined(NAME, MEANING, reason, Consequence.INFORMS)
        moved.append(_apart(maps, again))
        random = [trial.random_maps(5, draw)[number] for draw in range(2)]
        by_chance.append(_apart(*random))
        if start.ndim == 4:
            of_edges.append(_apart(edges(start), edges(start + by)))
    nulls = {"random": mean_known(by_chance), **({"edges": mean_known(of_edges)} if of_edges else {})}
    return Check.at_most(NAME, MEANING, mean_known(moved), MOST, Consequence.INFORMS, nulls)


def _apart(maps: Maps, again: Maps) -> Maps:
    """How far each map moved, relative to its size; NaN where it has none."""
    size = np.linalg.norm(maps.reshape(len(maps), -1), axis=1)
    apart = np.linalg.norm((again - maps).reshape(len(maps), -1), axis=1)
    return np.asarray(np.divide(apart, size, out=np.full_like(apart, np.nan), where=size > 0))


def _plus(inputs: Inputs, by: float) -> Inputs:
    assert inputs.x is not None
    return Inputs(inputs.rows, x=inputs.x + by, expected=inputs.expected)


def _absorbed(objective: Objective, by: float) -> NetworkModel | None:
    """The network with b − W·c as the bias of its first layer, if that computes the same from x + c; else None."""
    model = objective.model
    if not isinstance(model, NetworkModel) or model.layer is not None:
        return None
    modules = model.network.module.named_modules()
    layers = [path for path, m in modules if isinstance(m, nn.Linear | nn.Conv2d) and m.bias is not None]
    for path in layers:
        weight, bias = (model.weights[f"{path}.{part}".lstrip(".")] for part in ("weight", "bias"))
        changed = model.with_weights({f"{path}.bias".lstrip("."): bias - by * weight.flatten(1).sum(1)})
        rows = torch.arange(min(4, len(objective)))
        with torch.no_grad():
            before = model(objective.start[rows], objective.inputs, rows)
            after = changed(objective.start[rows] + by, objective.inputs, rows)
        if torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max())):
            return changed
    return None
