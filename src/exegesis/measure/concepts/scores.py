"""How well units, directions and whole layers match labelled concepts, each score beside its null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import default_rng

from exegesis.measure.concepts.labelled import Attribute

QUANTILES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
NULLS = 100
TYPES = 32
_RIDGE = 1e-2


@dataclass(frozen=True)
class UnitMatch:
    """The unit that matches a concept best.

    Attributes:
        concept: `colour: red`.
        unit: which, chosen with its threshold on one half of the inputs.
        threshold: above which it counts as saying so.
        iou: on the other half, intersection over union of where (or when) it says so and where the concept is.
        null: the mean of the same with labels dealt out anew, best unit and threshold chosen each time.
        p: how often that null is as good.
    """

    concept: str
    unit: int
    threshold: float
    iou: float
    null: float
    p: float


def dissect(
    first: Float[np.ndarray, "a u ..."],
    second: Float[np.ndarray, "b u ..."],
    attribute: Attribute,
    rows: tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]],
    *,
    nulls: int = NULLS,
    seed: int = 0,
) -> tuple[UnitMatch, ...]:
    """Intersection over union between units above a threshold and each concept of an attribute.

    Where units have places and the attribute has masks, both are compared place by place (the mask is averaged over the
    part of the picture that each place stands for); else input by input, by a unit's largest activation.

    Source: Bau et al., Network Dissection (arXiv 1704.05796), section 2; the threshold is chosen on other inputs here.

    Args:
        first, second: activations on the inputs to choose on and on those to judge on.
        attribute: the labels of all inputs.
        rows: which inputs these are.
        nulls: how often labels are dealt out anew.
        seed: of these.
    """
    marks = [_marks(values, attribute, at) for values, at in zip((first, second), rows, strict=True)]
    said = [_flat(values, mark.shape[1:-1]) for values, mark in zip((first, second), marks, strict=True)]
    levels = np.stack([np.quantile(said[0].reshape(-1, said[0].shape[-1]), q, axis=0) for q in QUANTILES])
    own = _chosen(said, levels, marks)
    null = np.empty((nulls, len(attribute.values)))
    for i in range(nulls):
        rng = default_rng([seed, 41, i])
        null[i] = _chosen(said, levels, [m[rng.permutation(len(m))] for m in marks])[2]
    return tuple(
        UnitMatch(
            concept=f"{attribute.name}: {value}",
            unit=int(own[0][v]),
            threshold=float(own[1][v]),
            iou=float(own[2][v]),
            null=float(null[:, v].mean()),
            p=float((1 + (null[:, v] >= own[2][v]).sum()) / (1 + nulls)),
        )
        for v, value in enumerate(attribute.values)
    )


def _marks(
    values: Float[np.ndarray, "n u ..."], attribute: Attribute, rows: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, "n ... v"]:
    """Where each concept is, [n, (places,) v]."""
    shown = attribute.onehot()[rows]
    if attribute.mask is None or values.ndim != 4:
        return np.asarray(shown)
    fine = attribute.mask[rows].astype(np.float32)
    down, across = (_pooling(fine.shape[1 + i], values.shape[2 + i]) for i in range(2))
    there = (np.einsum("ph,nhw,qw->npq", down, fine, across, optimize=True) >= 0.5).reshape(len(fine), -1)
    return np.asarray(there[:, :, None] & shown[:, None, :])


def _pooling(size: int, places: int) -> Float[np.ndarray, "p h"]:
    """The mean over the part of an axis that each place stands for."""
    ends = np.linspace(0, size, places + 1)
    lines = np.arange(size)
    over = np.minimum(lines + 1, ends[1:, None]) - np.maximum(lines, ends[:-1, None])
    return np.asarray(over.clip(0) * places / size)


def _flat(values: Float[np.ndarray, "n u ..."], places: tuple[int, ...]) -> Float[np.ndarray, "n ... u"]:
    """Units last: by place where places are compared, else the largest of all places."""
    flat = values.reshape(len(values), values.shape[1], -1)
    return np.moveaxis(flat, 1, 2) if places else np.asarray(flat.max(2))


def _chosen(
    said: list[Float[np.ndarray, "_ ... u"]], levels: Float[np.ndarray, "t u"], marks: list[Bool[np.ndarray, "_ ... v"]]
) -> tuple[Int[np.ndarray, " v"], Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """For each concept the best unit and threshold on the first half, and the intersection over union on the second."""
    t, u = levels.shape
    best = _ious(said[0], levels, marks[0]).reshape(t * u, -1).argmax(0)
    level, unit = np.divmod(best, u)
    judged = _ious(said[1], levels, marks[1])
    return unit, levels[level, unit], judged[level, unit, np.arange(len(best))]


def _ious(
    said: Float[np.ndarray, "n ... u"], levels: Float[np.ndarray, "t u"], marks: Bool[np.ndarray, "n ... v"]
) -> Float[np.ndarray, "t u v"]:
    flat, there = said.reshape(-1, said.shape[-1]), marks.reshape(-1, marks.shape[-1]).astype(np.float32)
    out = np.empty((*levels.shape, there.shape[1]))
    for i, level in enumerate(levels):
        on = (flat > level).astype(np.float32)
        both = on.T @ there
        out[i] = both / (on.sum(0)[:, None] + there.sum(0) - both).clip(1)
    return out


@dataclass(frozen=True)
class Probe:
    """A linear probe of a layer for an attribute.

    Attributes:
        accuracy: on inputs it was not fitted to, the mean over values of the share it gets right.
        chance: 1 / values.
        control: the same for labels that only depend on which of 32 kinds of input it is, dealt out at random: what a
            probe can learn by heart.
        selectivity: `accuracy` less `control`.
        p: how often a probe fitted to labels dealt out anew is as good.
    """

    accuracy: float
    chance: float
    control: float
    selectivity: float
    p: float


def probe(
    first: Float[np.ndarray, "a f"],
    second: Float[np.ndarray, "b f"],
    attribute: Attribute,
    rows: tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]],
    kinds: Int[np.ndarray, " n"],
    *,
    nulls: int = NULLS,
    seed: int = 0,
) -> Probe:
    """Fits a ridge classifier on one half of the inputs and judges it on the other.

    Source: Hewitt and Liang, Designing and Interpreting Probes with Control Tasks (arXiv 1909.03368).

    Args:
        first, second: the layer on the two halves.
        attribute: the labels.
        rows: which inputs these are.
        kinds: a kind for each input, the same for inputs that are alike (`kinds_of`).
        nulls: how often labels are dealt out anew.
        seed: of these, and of the control task.
    """
    known = [attribute.of[at] >= 0 for at in rows]
    labels = [attribute.of[at][k] for at, k in zip(rows, known, strict=True)]
    fit, judge = _solver(first[known[0]]), _design(second[known[1]], first[known[0]])
    values = len(attribute.values)

    def accuracy(train: Int[np.ndarray, " a"], test: Int[np.ndarray, " b"]) -> float:
        return _balanced((judge @ (fit @ _targets(train, values))).argmax(1), test)

    rng = default_rng([seed, 42])
    found = accuracy(*labels)
    drawn = [accuracy(rng.permutation(labels[0]), labels[1]) for _ in range(nulls)]
    controls = []
    for _ in range(5):
        dealt = rng.integers(values, size=int(kinds.max()) + 1)[kinds]
        controls.append(accuracy(dealt[rows[0]][known[0]], dealt[rows[1]][known[1]]))
    control = float(np.mean(controls))
    p = float((1 + sum(d >= found for d in drawn)) / (1 + nulls))
    return Probe(found, 1 / values, control, found - control, p)


def kinds_of(x: Float[np.ndarray, "n ..."], seed: int) -> Int[np.ndarray, " n"]:
    """Inputs sorted into 32 kinds by k-means: what plays the part of word types in the control task."""
    from exegesis.measure.modularity.kmeans import lloyd

    flat = x.reshape(len(x), -1)
    return np.asarray(lloyd(flat, min(TYPES, len(x) // 4), default_rng([seed, 43]), 1)[0])


def _design(values: Float[np.ndarray, "n f"], reference: Float[np.ndarray, "m f"]) -> Float[np.ndarray, "n g"]:
    spread = reference.std(0)
    scaled = (values - reference.mean(0)) / np.where(spread > 1e-9, spread, 1)
    return np.asarray(np.concatenate([scaled, np.ones((len(values), 1))], axis=1), dtype=np.float64)


def _solver(values: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "g n"]:
    """From targets to the weights of the ridge regression, by whichever side is smaller."""
    x = _design(values, values)
    n, f = x.shape
    if f <= n:
        return np.asarray(np.linalg.solve(x.T @ x + _RIDGE * n * np.eye(f), x.T))
    return np.asarray(x.T @ np.linalg.inv(x @ x.T + _RIDGE * n * np.eye(n)))


def _targets(labels: Int[np.ndarray, " n"], values: int) -> Float[np.ndarray, "n v"]:
    """One-hot, each value weighed alike in sum."""
    onehot = (labels[:, None] == np.arange(values)).astype(np.float64)
    return np.asarray((onehot - onehot.mean(0)) / np.sqrt(onehot.mean(0).clip(1e-9)))


def _balanced(said: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> float:
    return float(np.mean([(said[labels == v] == v).mean() for v in np.unique(labels)]))


def directions(values: Float[np.ndarray, "n f"], labels: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, "k f"]:
    """An orthonormal basis of the subspace in which the means of the concepts differ, [k, f], k < concepts.

    Directions along which they hardly differ (less than a hundredth of the largest) are left out.
    """
    there = np.unique(labels[labels >= 0])
    means = np.stack([values[labels == v].mean(0) for v in there[:count]])
    _, size, rows = np.linalg.svd(means - means.mean(0), full_matrices=False)
    return np.asarray(rows[size > 0.01 * max(float(size[0]), 1e-12)][: len(there) - 1])


@dataclass(frozen=True)
class Rotation:
    """A layer turned so that its axes match the concepts of an attribute as well as they can.

    Attributes:
        aligned: mean over concepts of the correlation of its axis with it, on inputs the rotation was not fitted to.
        units: the same for the best single unit of each, as the layer stands.
        null: the mean of `aligned` for labels dealt out anew.
        p: how often that is as good.
    """

    aligned: float
    units: float
    null: float
    p: float


def rotate(
    first: Float[np.ndarray, "a f"],
    second: Float[np.ndarray, "b f"],
    attribute: Attribute,
    rows: tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]],
    *,
    nulls: int = 20,
    seed: int = 0,
) -> Rotation:
    """The orthogonal map of a layer that brings its axes closest to the concepts (Schönemann, 1966).

    The layer is whitened first, on the half that the rotation is fitted to, so that strong units do not decide alone.
    """
    known = [attribute.of[at] >= 0 for at in rows]
    labels = [attribute.onehot()[at][k].astype(np.float64) for at, k in zip(rows, known, strict=True)]
    seen = [v[k].astype(np.float64) for v, k in zip((first, second), known, strict=True)]
    white = _whitened(*seen)

    def aligned(fit: Float[np.ndarray, "a v"]) -> float:
        left, size, right = np.linalg.svd(white[0].T @ (fit - fit.mean(0)), full_matrices=False)
        free = size > 1e-6 * max(float(size[0]), 1e-12)  # concepts that exclude each other have one axis less
        axes = left[:, free] @ right[free]
        return float(np.nanmean(_correlation(white[1] @ axes, labels[1])))

    rng = default_rng([seed, 44])
    found = aligned(labels[0])
    drawn = [aligned(labels[0][rng.permutation(len(labels[0]))]) for _ in range(nulls)]
    ties = _correlations(seen[0], labels[0])
    best = np.abs(ties).argmax(0)
    sign = np.sign(ties[best, np.arange(ties.shape[1])])
    units = float(np.nanmean(_correlation(seen[1][:, best] * sign, labels[1])))
    return Rotation(found, units, float(np.mean(drawn)), float((1 + sum(d >= found for d in drawn)) / (1 + nulls)))


def _whitened(
    first: Float[np.ndarray, "a f"], second: Float[np.ndarray, "b f"]
) -> tuple[Float[np.ndarray, "a g"], Float[np.ndarray, "b g"]]:
    """Principal components with 99 % of the variance, each of unit spread on the first half."""
    centre = first.mean(0)
    _, size, axes = np.linalg.svd(first - centre, full_matrices=False)
    share = (size**2).cumsum() / max(float((size**2).sum()), 1e-12)
    kept = int(np.searchsorted(share, 0.99)) + 1
    turn = axes[:kept].T / size[:kept].clip(1e-9) * np.sqrt(len(first))
    return (first - centre) @ turn, (second - centre) @ turn


def _correlation(a: Float[np.ndarray, "n v"], b: Float[np.ndarray, "n v"]) -> Float[np.ndarray, " v"]:
    x, y = a - a.mean(0), b - b.mean(0)
    length = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    return np.asarray(np.divide((x * y).sum(0), length, out=np.zeros(len(length)), where=length > 1e-12))


def _correlations(a: Float[np.ndarray, "n f"], b: Float[np.ndarray, "n v"]) -> Float[np.ndarray, "f v"]:
    x, y = a - a.mean(0), b - b.mean(0)
    length = np.sqrt(np.outer((x**2).sum(0), (y**2).sum(0)))
    return np.asarray(np.divide(x.T @ y, length, out=np.zeros_like(length), where=length > 1e-12))
