"""Completeness: do the values sum to what the method says they sum to?"""

from __future__ import annotations

import torch
from torch import Tensor

from exegesis.explain.checks.trial import Trial
from exegesis.explain.core import Check, Consequence

NAME = "completeness"
MEANING = (
    "The largest difference, over rows, between the sum of the values and what the method says it is, relative to the "
    "latter; above the tolerance some of the explained number is explained by nothing. The nulls are maps as large."
)


def completeness(trial: Trial) -> Check:
    """The residual of the worst row against the method's tolerance. What fails is withheld."""
    worst, tolerance = 0.0, 0.0
    others = {"random": trial.random_maps(6)}
    if (of_input := trial.edge_maps()) is not None:
        others["edges"] = of_input
    nulls = dict.fromkeys(others, 0.0)
    for number, found in enumerate(trial.found):
        if found.total is None:
            title = trial.method.title
            return Check.undefined(NAME, MEANING, f"{title} claims no sum", Consequence.INFORMS)
        sums = found.values.double().flatten(1).sum(1)
        absorbed = 0.0 if found.absorbed is None else found.absorbed.double()
        worst = max(worst, _residual(sums + absorbed, found.total))
        tolerance = found.tolerance
        size = found.values.double().flatten(1).norm(dim=1)
        for name, maps in others.items():
            flat = torch.from_numpy(maps[number]).flatten(1).to(size)
            sums = flat.sum(1) / flat.norm(dim=1).clamp(min=1e-12) * size
            nulls[name] = max(nulls[name], _residual(sums + absorbed, found.total))
    return Check.at_most(NAME, MEANING, worst, tolerance, Consequence.WITHHOLDS, nulls)


def _residual(sums: Tensor, total: Tensor) -> float:
    """Of the worst row, relative; a row whose total is next to nothing has no relative error of its own."""
    size = total.double().abs()
    floor = 0.05 * size.mean().clamp(min=1e-12)
    return float(((sums - total.double()).abs() / torch.maximum(size, floor)).max())
