"""Deletion and insertion: take away, or put in, what a map ranks first (Petsiuk et al. 2018, arXiv 1806.07421)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exegesis.explain.checks.trial import Maps, Trial, ranked
from exegesis.explain.core import Check, Consequence
from exegesis.explain.parts import reads_ids
from exegesis.explain.saliency.gradient_shap import GradientShap
from exegesis.explain.saliency.integrated_gradients import value_at
from exegesis.explain.saliency.method import Method, Setting, fitted_baseline

NAME = "deletion and insertion"
MEANING = (
    "Mean explained number while what the map ranks first is put in, less the mean while it is taken away, relative to "
    "the whole effect of the input; a map that ranks no better than edges or chance is not faithful."
)


@runtime_checkable
class _HasBaseline(Protocol):
    """Methods that say what an absent number is."""

    @property
    def baseline(self) -> float | NDArray[np.floating]: ...


STEPS = 12
DRAWS = 4  # random rankings, whose mean is the null
CHUNK = 64


def deletion_insertion(trial: Trial) -> Check:
    """Against a random ranking and one by edges. Where it beats not both, the result is marked."""
    own = _score(trial.method, trial.settings, trial.maps)
    if own is None:
        return Check.undefined(NAME, MEANING, "the inputs do no more than blank ones do")
    random = [_score(trial.method, trial.settings, trial.random_maps(3, draw)) or 0.0 for draw in range(DRAWS)]
    nulls = {"random": float(np.mean(random))}
    if (of_input := trial.edge_maps()) is not None:
        nulls["edges"] = _score(trial.method, trial.settings, of_input) or 0.0
    return Check.at_least(NAME, MEANING, own, max(0.0, *nulls.values()), Consequence.MARKS, nulls)


@torch.no_grad()
def _score(method: Method, settings: Sequence[Setting], maps: Sequence[Maps]) -> float | None:
    gained, whole = 0.0, 0.0
    for setting, given in zip(settings, maps, strict=True):
        objective = setting.objective
        start = objective.start
        blank = _other_letters(setting) if reads_ids(objective.model) else _blank(method, start)
        rank = torch.from_numpy(ranked(given, np.random.default_rng([setting.seed, 20]))).to(start.device)
        chunk = setting.chunk or CHUNK
        places = rank[0].numel()
        full, none = value_at(objective, start, chunk), value_at(objective, blank, chunk)
        for step in range(1, STEPS):
            first = _like(rank < places * step / STEPS, start)
            put_in = value_at(objective, torch.where(first, start, blank), chunk)
            taken = value_at(objective, torch.where(first, blank, start), chunk)
            gained += float((put_in - taken).sum()) / (STEPS - 1)
        whole += float((full - none).abs().sum())
    return gained / whole if whole > 0 else None


def _blank(method: Method, start: Tensor) -> Tensor:
    """What an absent number is: as the method itself has it, zero where it says nothing."""
    if isinstance(method, GradientShap) and method.baselines is None:
        return start.mean(0, keepdim=True).expand(start.shape)
    return fitted_baseline(method.baseline if isinstance(method, _HasBaseline) else 0.0, start)


def _other_letters(setting: Setting) -> Tensor:
    """Ids that stand for 'nothing': letters of the rows, drawn, since no id means nothing."""
    tokens, start = setting.objective.inputs.tokens, setting.objective.start
    assert tokens is not None
    drawn = np.random.default_rng([setting.seed, 22]).choice(torch.unique(tokens).numpy(), tuple(tokens.shape))
    return torch.from_numpy(drawn)[..., None].to(start)


def _like(mask: Tensor, start: Tensor) -> Tensor:
    """[n, y, x], [n, k] or [n, s] in the shape of the inputs."""
    if mask.shape == start.shape:
        return mask
    return (mask[:, None] if start.ndim == 4 else mask[..., None]).expand(start.shape)
