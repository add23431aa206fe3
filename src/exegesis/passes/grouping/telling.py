"""Which concept that people have a name for a module or a unit tells best, where it tells any.

Concepts are those that inputs can be made for: figures drawn by us (shape, stroke, place, colour), and in colour also
the behaviour's inputs in the colours of others. How well an activity tells a value from all others of its attribute is
the area under the curve. Which unit and which value is chosen on one half of the inputs; the other half judges, beside
labels dealt out anew with the same choice, of which the largest over all modules counts (Westfall and Young 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.random import default_rng
from scipy.stats import rankdata

from exegesis.behavior import ArraySplit, Readout
from exegesis.ir import Graph
from exegesis.measure.concepts import ConceptError, Labelled, drawn_images, recoloured
from exegesis.measure.lesions import Members
from exegesis.measure.modularity.wiring import by_unit
from exegesis.measure.units import Units

IMAGES = 240
NULLS = 199
FEWEST = 8  # inputs of a half that show a value
LEAST = 0.7  # area under the curve; a weaker tie is not worth a line


@dataclass(frozen=True)
class Telling:
    """What a module tells best.

    Attributes:
        of: which inputs.
        attribute, value: the concept.
        unit: which of its candidates tells it, where there are several.
        auc: area under the curve on inputs that neither was chosen on; the activity is higher where the value is shown,
            or lower where `less`.
        less: whether it is lower.
        usual: the same with labels dealt out anew, on average.
        p: how often the best of all modules tells as much there.
    """

    of: str
    attribute: str
    value: str
    unit: int
    auc: float
    less: bool
    usual: float
    p: float

    @property
    def passes(self) -> bool:
        """Whether labels dealt out anew are told worse, and the tie is worth a line."""
        return self.p <= 0.05 and self.auc >= LEAST

    def says(self, who: str = "") -> str:
        """A sentence; `who` is told, where it is not the module."""
        active = "least active" if self.less else "most active"
        where = f"{self.attribute} {self.value}" if self.value.isdigit() else self.value
        subject = f"{who} is " if who else ""
        said = f"{self.of}, {subject}{active} where the {self.attribute} is {where.removeprefix(self.attribute + ' ')}"
        return (
            f"{said} (area under the curve {self.auc:.2f}, labels dealt out anew {self.usual:.2f}, p = {self.p:.3f})."
        )


def tellings(
    graph: Graph,
    readout: Readout,
    split: ArraySplit,
    labels: Sequence[str],
    groups: Sequence[Sequence[Members]],
    seed: int,
) -> list[Telling | None]:
    """The best concept of each group of candidates, where it passes.

    Args:
        graph: the program.
        readout: of the behaviour.
        split: its inputs, which may be recoloured.
        labels: of its classes.
        groups: for each module, its candidates (one: all of its units together; several: units of a layer).
        seed: of all that is drawn.
    """
    best: list[Telling | None] = [None] * len(groups)
    for of, made in _sources(split, labels, seed):
        for i, one in enumerate(_told(graph, readout, of, made, groups, seed)):
            kept = best[i]
            if one is not None and one.passes and (kept is None or one.auc > kept.auc):
                best[i] = one
    return best


def _sources(split: ArraySplit, labels: Sequence[str], seed: int) -> list[tuple[str, Labelled]]:
    found = []
    try:
        found.append(("Of drawn figures", drawn_images(split.x.shape[1:], IMAGES, seed)))
        found.append(("Of inputs in the colours of others", recoloured(split, labels, IMAGES, seed)))
    except ConceptError:
        pass  # no images, not in colour, or without classes
    return found


def _told(
    graph: Graph, readout: Readout, of: str, made: Labelled, groups: Sequence[Sequence[Members]], seed: int
) -> list[Telling | None]:
    units = Units.of(graph, readout, made.split())
    seen = {k.index: _scaled(by_unit(units, k.index)) for k in units.layers}
    activity = np.stack([_activity(seen, m) for group in groups for m in group], axis=1)
    owner = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    halves = made.halves(seed)
    ranked = [rankdata(activity[rows], axis=0) for rows in halves]
    columns = [(a.name, v, name) for a in made.attributes for v, name in enumerate(a.values)]
    shown = [np.stack([made.attributes[k].of[rows] for k in range(len(made.attributes))]) for rows in halves]
    chosen, own = _chosen(ranked, shown, made, owner, len(groups))
    rng = default_rng([seed, 83])
    drawn = np.stack(
        [
            _chosen(ranked, [s[:, rng.permutation(s.shape[1])] for s in shown], made, owner, len(groups))[1]
            for _ in range(NULLS)
        ]
    )
    largest = np.nan_to_num(drawn).max(1)
    found: list[Telling | None] = []
    for i, (candidate, column, less) in enumerate(chosen):
        if not np.isfinite(own[i]):
            found.append(None)
            continue
        attribute, _, value = columns[column]
        p = float((1 + (largest >= own[i]).sum()) / (1 + NULLS))
        number = candidate - int(np.flatnonzero(owner == i)[0])
        usual = float(np.nanmean(drawn[:, i]))
        found.append(Telling(of, attribute, value, number, float(own[i]), bool(less), usual, p))
    return found


def _activity(seen: dict[int, Float[np.ndarray, "n u"]], members: Members) -> Float[np.ndarray, " n"]:
    found: Float[np.ndarray, " n"] = np.concatenate([seen[k][:, u] for k, u in members.items()], axis=1).mean(1)
    return found


def _scaled(values: Float[np.ndarray, "n u"]) -> Float[np.ndarray, "n u"]:
    found: Float[np.ndarray, "n u"] = (values - values.mean(0)) / values.std(0).clip(1e-9)
    return found


def _chosen(
    ranked: Sequence[Float[np.ndarray, "n c"]],
    shown: Sequence[Int[np.ndarray, "a n"]],
    made: Labelled,
    owner: Int[np.ndarray, " c"],
    groups: int,
) -> tuple[list[tuple[int, int, bool]], Float[np.ndarray, " g"]]:
    """Per group, candidate, value and side that are told best on one half, and how well on the other."""
    first, second = (_areas(r, s, made) for r, s in zip(ranked, shown, strict=True))
    far = np.nan_to_num(np.abs(first - 0.5), nan=-1.0)
    chosen, areas = [], np.full(groups, np.nan)
    for g in range(groups):
        rows = np.flatnonzero(owner == g)
        at = np.unravel_index(int(far[rows].argmax()), far[rows].shape)
        candidate, column = int(rows[at[0]]), int(at[1])
        less = bool(first[candidate, column] < 0.5)
        chosen.append((candidate, column, less))
        areas[g] = 1 - second[candidate, column] if less else second[candidate, column]
    return chosen, areas


def _areas(ranked: Float[np.ndarray, "n c"], shown: Int[np.ndarray, "a n"], made: Labelled) -> Float[np.ndarray, "c v"]:
    """Area under the curve of every candidate for every value against others of its attribute; NaN for rare ones."""
    found = []
    for k, attribute in enumerate(made.attributes):
        known = shown[k] >= 0
        ranks = ranked if known.all() else rankdata(ranked[known], axis=0)
        of = shown[k][known]
        for value in range(len(attribute.values)):
            mine = of == value
            n, m = int(mine.sum()), int((~mine).sum())
            if min(n, m) < FEWEST:
                found.append(np.full(ranked.shape[1], np.nan))
            else:
                found.append((ranks[mine].sum(0) - n * (n + 1) / 2) / (n * m))
    return np.stack(found, axis=1)
