"""Completeness: do the values sum to what the method says they sum to?"""

from __future__ import annotations

import torch

from exegesis.explain.checks.trial import Trial
from exegesis.explain.core import Check, Consequence

NAME = "completeness"
MEANING = (
    "The largest difference, over rows, between the sum of the values and what the method says it is, relative to the "
    "latter; above the tolerance some of the explained number is explained by nothing."
)


def completeness(trial: Trial) -> Check:
    """The residual of the worst row against the method's tolerance. What fails is withheld."""
    worst, tolerance = 0.0, 0.0
    for found in trial.found:
        if found.total is None:
            title = trial.method.title
            return Check.undefined(NAME, MEANING, f"{title} claims no sum", Consequence.INFORMS)
        sums = found.values.double().flatten(1).sum(1)
        if found.absorbed is not None:
            sums = sums + found.absorbed.double()
        total = found.total.double()
        floor = 0.05 * total.abs().mean().clamp(min=1e-12)  # a row whose total is next to nothing has no relative error
        worst = max(worst, float(((sums - total).abs() / torch.maximum(total.abs(), floor)).max()))
        tolerance = found.tolerance
    return Check.at_most(NAME, MEANING, worst, tolerance, Consequence.WITHHOLDS)
