"""Concept activation vectors: does moving towards a concept raise the network's answer, more than random directions do?

Source: Kim et al., Interpretability Beyond Feature Attribution (arXiv 1711.11279), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import Generator, default_rng
from scipy.stats import t as student

from exegesis.measure.concepts.labelled import Attribute

SEEDS = 10
RANDOMS = 30
_RIDGE = 1e-1


@dataclass(frozen=True)
class Sensitivity:
    """One concept and one class.

    Attributes:
        concept: `colour: red`.
        answer: the class.
        score: share of the inputs of this class whose output for it rises when their layer moves towards the concept,
            the mean over several vectors.
        random: the same for vectors of random labels.
        p: of Welch's two-sided t test between the two, corrected for the number of concepts times classes.
    """

    concept: str
    answer: int
    score: float
    random: float
    p: float


def sensitivities(
    values: Float[np.ndarray, "n f"],
    attribute: Attribute,
    rows: Int[np.ndarray, " n"],
    slopes: Float[np.ndarray, "m f"],
    answers: Int[np.ndarray, " m"],
    *,
    seeds: int = SEEDS,
    randoms: int = RANDOMS,
    seed: int = 0,
) -> tuple[Sensitivity, ...]:
    """Scores all concepts of an attribute against all classes.

    Args:
        values: a layer on labelled inputs.
        attribute: their labels.
        rows: which inputs these are.
        slopes: the gradient of the answered output by the layer, on inputs of the behaviour.
        answers: what the network answers on these.
        seeds: vectors per concept, each from other inputs without it.
        randoms: vectors of random labels.
        seed: of what is drawn.
    """
    rng = default_rng([seed, 61])
    classes = np.unique(answers)
    shown = attribute.onehot()[rows]
    usual = np.stack(
        [
            _scores(_vector(values, _random_labels(len(values), rng), rng), slopes, answers, classes)
            for _ in range(randoms)
        ]
    )
    found: list[tuple[str, int, float, float, float]] = []
    for v, name in enumerate(attribute.values):
        if shown[:, v].sum() < 2 or (~shown[:, v]).sum() < 2:
            continue
        own = np.stack([_scores(_vector(values, shown[:, v], rng), slopes, answers, classes) for _ in range(seeds)])
        for k, answer in enumerate(classes):
            p = _welch(own[:, k], usual[:, k])
            label = f"{attribute.name}: {name}"
            found.append((label, int(answer), float(own[:, k].mean()), float(usual[:, k].mean()), p))
    corrected = _corrected([f[4] for f in found])
    return tuple(Sensitivity(*f[:4], float(p)) for f, p in zip(found, corrected, strict=True))


def _random_labels(n: int, rng: Generator) -> Bool[np.ndarray, " n"]:
    return np.asarray(rng.permutation(n) < n // 2)


def _vector(values: Float[np.ndarray, "n f"], shown: Bool[np.ndarray, " n"], rng: Generator) -> Float[np.ndarray, " f"]:
    """The unit normal of a ridge classifier between half of the inputs with the concept and as many without it."""
    inside, outside = np.flatnonzero(shown), np.flatnonzero(~shown)
    count = max(2, min(len(inside), len(outside)) * 3 // 4)
    rows = np.concatenate([rng.choice(side, min(count, len(side)), replace=False) for side in (inside, outside)])
    x = values[rows].astype(np.float64)
    x = x - x.mean(0)
    y = np.where(shown[rows], 1.0, -1.0)
    gram = x @ x.T
    weight = x.T @ np.linalg.solve(gram + _RIDGE * max(np.trace(gram) / len(x), 1e-9) * np.eye(len(x)), y - y.mean())
    return np.asarray(weight / max(float(np.linalg.norm(weight)), 1e-12))


def _scores(
    vector: Float[np.ndarray, " f"],
    slopes: Float[np.ndarray, "m f"],
    answers: Int[np.ndarray, " m"],
    classes: Int[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    rises = slopes @ vector > 0
    return np.array([rises[answers == c].mean() for c in classes])


def _welch(own: Float[np.ndarray, " s"], usual: Float[np.ndarray, " r"]) -> float:
    """Two-sided p value of Welch's t test (1947); groups without any spread count as spread by a thousandth."""
    a, b = (max(float(x.var(ddof=1)), 1e-6) / len(x) for x in (own, usual))
    freedom = (a + b) ** 2 / (a**2 / (len(own) - 1) + b**2 / (len(usual) - 1))
    return float(2 * student.sf(abs(own.mean() - usual.mean()) / np.sqrt(a + b), freedom))


def _corrected(p: Sequence[float]) -> Float[np.ndarray, " k"]:
    """Bonferroni's correction."""
    return np.asarray(np.minimum(1.0, np.array(p, dtype=np.float64) * max(1, len(p))))
