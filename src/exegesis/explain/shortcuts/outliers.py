"""Which of a few sizes are too small to belong with the others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats


def small_outliers(sizes: Float[np.ndarray, " k"], level: float = 0.01) -> Float[np.ndarray, " k"]:
    """For each size the probability that one so small, or smaller, comes up among its peers by chance, [k].

    Rosner's generalised extreme Studentised deviate test, one-sided, on logarithms (sizes differ by factors): up to
    a third of the sizes may be outliers, so that two of them do not hide each other. Each is compared with all that
    are larger by Grubbs's statistic, whose t-distribution is exact for normal values, and corrected for taking the
    smallest. A size is an outlier where it, or a larger one, has a probability of at most `level`.

    Source: B. Rosner, *Technometrics* 25 (1983).

    Args:
        sizes: positive, at least 4 (with fewer nothing can stand out, and all probabilities are 1).
        level: what counts as too unlikely.

    Returns:
        Probabilities [k]; those of sizes that are no candidates are 1.
    """
    logs = np.log(np.maximum(sizes, 1e-6))
    found = np.ones(len(sizes))
    if len(sizes) < 4:
        return found
    order = np.argsort(logs)
    limit = max(1, len(sizes) // 3)
    chance = np.array([_smallest(logs[order[i:]]) for i in range(limit)])
    last = np.flatnonzero(chance <= level)
    for rank in range(limit):
        inside = len(last) > 0 and rank <= last[-1]
        found[order[rank]] = chance[rank : last[-1] + 1].min() if inside else chance[rank]
    return found


def _smallest(values: Float[np.ndarray, " n"]) -> float:
    """How likely the first of ascending normal values would be as far below the rest as it is."""
    rest = values[1:]
    spread = rest.std(ddof=1) * np.sqrt(1 + 1 / len(rest))
    if spread == 0.0:
        return 1.0 if values[0] == rest[0] else 0.0
    return float(min(1.0, len(values) * stats.t.cdf((values[0] - rest.mean()) / spread, len(rest) - 1)))
