"""Does a figure beat those of things that know nothing, when many units are looked at?

With many units some pass a test by luck. Each figure gets a probability beside its nulls, and Holm's correction holds
the chance that *any* unit of a family passes by luck at the level (S. Holm, *A simple sequentially rejective multiple
test procedure*, Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import stats

from exegesis.explain.core import Check
from exegesis.ir import Json

LEVEL = 0.05
FEWEST = 8  # nulls, below which nothing is said
WEIGHTS = "random weights"
_INSIDE = 0.999999  # correlations are kept so far from ±1, where Fisher's z is infinite


@dataclass(frozen=True, eq=False)
class Chance:
    """How likely figures as large are by luck.

    Attributes:
        alone: for each unit, the probability of a null as large, [units]; NaN where there is none.
        corrected: the same by Holm, [units]: the smallest level at which the unit passes beside the others.
        bars: the correlation that a unit has to reach at the corrected level, [units].
        usual: by kind of null, what nineteen of twenty of them stay below, [units].
    """

    alone: Float[np.ndarray, " units"]
    corrected: Float[np.ndarray, " units"]
    bars: Float[np.ndarray, " units"]

    usual: Mapping[str, Float[np.ndarray, " units"]]

    @property
    def family(self) -> int:
        """Over how many units it is corrected."""
        return int(np.isfinite(self.alone).sum())

    def record(self, unit: int) -> dict[str, Json]:
        """Of one unit, as JSON; nothing where it has none."""
        if not np.isfinite(self.alone[unit]):
            return {}
        found = {"p": float(self.alone[unit]), "p corrected (Holm)": float(self.corrected[unit])}
        return {**found, "units tested together": self.family}


def chance_of(
    scores: Float[np.ndarray, " units"], nulls: Mapping[str, Float[np.ndarray, "nulls units"]], level: float = LEVEL
) -> Chance:
    """The chance of correlations as large as these, corrected over units.

    A null is a sample of correlations of things that know nothing; in Fisher's z a further one is held to follow the
    predictive t-distribution of the sample, which has a tail beyond the largest that was drawn. Where there are several
    kinds of null, the one that does best by luck counts.

    Args:
        scores: one correlation per unit; NaN where there is none (such units are no part of the family).
        nulls: by name, correlations of the same units with things that know nothing, at least 8 that are finite.
        level: how likely any pass by luck may be.
    """
    alone, means, widths, freedom = (np.full(scores.shape, np.nan) for _ in range(4))
    for sample in nulls.values():
        count = np.isfinite(sample).sum(0)
        known = np.isfinite(scores) & (count >= FEWEST)
        z = _z(np.where(np.isfinite(sample), sample, np.nan)[:, known])
        mean, free = np.nanmean(z, 0), count[known] - 1
        width = np.maximum(1e-9, np.nanstd(z, 0, ddof=1)) * np.sqrt(1 + 1 / count[known])
        found = stats.t.sf((_z(scores[known]) - mean) / width, free)
        at = np.flatnonzero(known)
        worse = ~(alone[at] >= found)
        for kept, new in ((alone, found), (means, mean), (widths, width), (freedom, free)):
            kept[at[worse]] = new[worse]
    corrected = _holm(alone)
    # Holm's cut: those that pass are exactly those below level / (units that do not, at least one).
    left = max(1, int(np.isfinite(alone).sum() - (corrected <= level).sum()))
    bars = np.tanh(means + widths * stats.t.isf(level / left, freedom))
    return Chance(alone, corrected, np.asarray(bars), {kind: _usual(sample) for kind, sample in nulls.items()})


def foretells(
    meaning: str, score: float, chance: Chance, unit: int, least: float, more: Mapping[str, float] | None = None
) -> Check:
    """The check `predicts` of one unit: a correlation of at least `least`, beyond luck.

    Args:
        meaning: what was correlated.
        score: the unit's correlation.
        chance: of all units tested together.
        unit: which of them.
        least: what a correlation has to be to say anything.
        more: further figures to stand beside it.
    """
    if not np.isfinite(score):
        return Check.undefined("predicts", meaning, "what it foretells is the same for all inputs")
    if not np.isfinite(chance.bars[unit]):
        return Check.undefined("predicts", meaning, f"fewer than {FEWEST} nulls say anything of it")
    usual = {f"{kind}, 95 %": float(found[unit]) for kind, found in chance.usual.items()}
    return Check.at_least(
        "predicts", meaning, score, max(least, float(chance.bars[unit])), nulls={**usual, **(more or {})}
    )


def corrected_over(chance: Chance) -> str:
    """How it is corrected, in words."""
    if chance.family < 2:
        return f"by luck in {LEVEL:.0%} of the cases at most"
    return (
        f"Holm's correction over {chance.family} units: by luck one of them passes in {LEVEL:.0%} of the cases at most"
    )


def _usual(sample: Float[np.ndarray, "nulls units"]) -> Float[np.ndarray, " units"]:
    finite = [column[np.isfinite(column)] for column in sample.T]
    return np.array([float(np.quantile(known, 0.95)) if len(known) else np.nan for known in finite])


def _z(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher's z."""
    return np.asarray(np.arctanh(np.clip(correlation, -_INSIDE, _INSIDE)))


def _holm(alone: Float[np.ndarray, " units"]) -> Float[np.ndarray, " units"]:
    corrected = np.full(alone.shape, np.nan)
    order = [int(unit) for unit in np.argsort(alone) if np.isfinite(alone[unit])]
    steps = [(len(order) - rank) * alone[unit] for rank, unit in enumerate(order)]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if order else []
    return corrected
