"""What modules do for the behaviour: lesions of each and of pairs, beside random modules of equal size.

Source: Hod et al., Quantifying Local Specialization in Deep Neural Networks (arXiv 2110.08058), section 4: importance
and coherence. p values are corrected for the number of modules by the largest statistic (Westfall and Young, 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy.random import default_rng

from exegesis.ir import InputError
from exegesis.measure.lesions import Effects, Members, active, effects, random_alike
from exegesis.measure.modularity.graphs import UnitGraph
from exegesis.measure.modularity.wiring import by_unit
from exegesis.measure.units import Ablation, Lesion, Units

RANDOMS = 100
PAIR_RANDOMS = 20
LEVEL = 0.05
ALIKE = 0.9


@dataclass(frozen=True, eq=False)
class Module:
    """A cluster of units.

    Attributes:
        name: `module 0`, or a path such as `module 0.2` for a module of a module.
        labels: the places of its units in the graph, [u].
        hidden: its units by hidden layer.
        inputs, outputs: its input units and output units.
    """

    name: str
    labels: Int[np.ndarray, " u"]
    hidden: Members
    inputs: Int[np.ndarray, " i"]
    outputs: Int[np.ndarray, " o"]

    @property
    def size(self) -> int:
        """How many units it has, inputs and outputs included."""
        return len(self.labels)


def modules_of(graph: UnitGraph, labels: Int[np.ndarray, " n"], prefix: str = "module ") -> tuple[Module, ...]:
    """The clusters of a partition as modules, in the order of their labels."""
    found = []
    for label in range(int(labels.max(initial=-1)) + 1):
        places = np.flatnonzero(labels == label)
        hidden, ends = {}, [np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)]
        for i, layer in enumerate(graph.layers):
            here = places[graph.layer_of[places] == i] - graph.offsets[i]
            if layer.hidden is not None and len(here):
                hidden[layer.hidden] = here
            elif layer.hidden is None:
                ends[int(i > 0)] = here
        found.append(Module(f"{prefix}{label}", places, hidden, ends[0], ends[1]))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Role:
    """What is lost without one module.

    Attributes:
        module: which.
        units: how many of its hidden units are ever active; only these were taken away, here and in random modules.
        importance: share of answers that change, and what random modules of equal size cost on average.
        coherence: how differently classes suffer, and the same for random modules.
        importance_p, coherence_p: corrected for the number of modules.
        lost: share of answers lost by class, [classes]; NaN for classes that never occur.
        random_lost: what random modules cost by class, [m, classes].
    """

    module: Module
    units: int
    importance: float
    random_importance: float
    importance_p: float
    coherence: float
    random_coherence: float
    coherence_p: float
    lost: Float[np.ndarray, " classes"]
    random_lost: Float[np.ndarray, "m classes"]

    @property
    def important(self) -> bool:
        """Whether its loss costs more than that of random modules, at 5 %."""
        return self.importance_p <= LEVEL

    @property
    def coherent(self) -> bool:
        """Whether its loss is more selective than that of random modules, at 5 %."""
        return self.coherence_p <= LEVEL


@dataclass(frozen=True)
class Pair:
    """Two modules.

    Attributes:
        first, second: their places in the list of roles.
        joint: share of answers lost without both.
        beyond: `joint` less what each alone costs: positive where one stands in for the other.
        beyond_p: how often random modules stand in for each other as much, corrected for the number of pairs.
        likeness: mean over units of the largest absolute correlation with a unit of the other, both ways.
        likeness_p: the same for random modules, corrected for the number of pairs.
    """

    first: int
    second: int
    joint: float
    beyond: float
    beyond_p: float
    likeness: float
    likeness_p: float

    @property
    def copies(self) -> bool:
        """Whether they are active together, unit by unit, as random modules are not."""
        return self.likeness >= ALIKE and self.likeness_p <= LEVEL

    @property
    def redundant(self) -> bool:
        """Whether one stands in for the other, as random modules do not."""
        return self.beyond > 0 and self.beyond_p <= LEVEL


@dataclass(frozen=True, eq=False)
class Roles:
    """All modules, and all pairs.

    Attributes:
        roles: one for each module with active hidden units.
        pairs: one for each two of them.
        silent: names of the modules without active hidden units, which cannot be lesioned.
        rows: how many inputs were looked at.
        kind: what took the place of lesioned units.
    """

    roles: tuple[Role, ...]
    pairs: tuple[Pair, ...]
    silent: tuple[str, ...]
    rows: int
    kind: Ablation


def roles(
    units: Units,
    modules: Sequence[Module],
    *,
    kind: Ablation = "zero",
    randoms: int = RANDOMS,
    pair_randoms: int = PAIR_RANDOMS,
    seed: int = 0,
) -> Roles:
    """Lesions each module, each pair, and random modules of equal size in the same layers.

    Args:
        units: the network on a split.
        modules: what to lesion.
        kind: what takes the place of a unit; published figures set it to zero.
        randoms: random modules per module.
        pair_randoms: random pairs per pair; 0 leaves pairs out.
        seed: of what is drawn.

    Raises:
        InputError: too few random modules to tell anything at 5 %, or a single class in the data.
    """
    if randoms < 20 or 0 < pair_randoms < 19:
        raise InputError("Fewer than 20 random modules (or 19 pairs) cannot tell anything at 5 %; draw more.")
    alive = active(units)
    there = {m.name: {k: u[alive[k][u]] for k, u in m.hidden.items() if alive[k][u].any()} for m in modules}
    kept = [m for m in modules if there[m.name]]
    members = [there[m.name] for m in kept]
    drawn = [
        [random_alike(m, alive, default_rng([seed, 7, i, r])) for r in range(randoms)] for i, m in enumerate(members)
    ]
    own = effects(units, [Lesion(m, kind) for m in members])
    others = [effects(units, [Lesion(m, kind) for m in some]) for some in drawn]
    found = _judged(kept, members, own, others)
    pairs = _pairs(units, members, drawn, own, others, kind, pair_randoms) if pair_randoms else ()
    silent = tuple(m.name for m in modules if not there[m.name])
    return Roles(found, pairs, silent, units.bench.n, kind)


def _judged(
    modules: Sequence[Module], members: Sequence[Members], own: Effects, others: Sequence[Effects]
) -> tuple[Role, ...]:
    if not modules:
        return ()
    lost_p = largest_p(steadied(own.lost), steadied(np.stack([o.lost for o in others], 1)))
    spread_p = largest_p(steadied(own.coherence), steadied(np.stack([o.coherence for o in others], 1)))
    return tuple(
        Role(
            module=module,
            units=sum(len(u) for u in members[i].values()),
            importance=float(own.lost[i]),
            random_importance=float(others[i].lost.mean()),
            importance_p=float(lost_p[i]),
            coherence=float(own.coherence[i]),
            random_coherence=float(others[i].coherence.mean()),
            coherence_p=float(spread_p[i]),
            lost=1 - own.by_class[i],
            random_lost=1 - others[i].by_class,
        )
        for i, module in enumerate(modules)
    )


def steadied(share: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """Shares on a scale on which their spread hardly depends on their size (arcsine of the root)."""
    return np.asarray(np.arcsin(np.sqrt(share.clip(0, 1))))


def largest_p(found: Float[np.ndarray, " k"], null: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " k"]:
    """p values of k statistics, corrected for k by the largest one.

    Each statistic is measured in standard deviations of its own null; its p value is the share of draws in which the
    largest of the k nulls lies as high.
    """
    both = np.vstack([found, null])
    scores = (both - both.mean(0)) / both.std(0).clip(1e-9)
    largest = scores[1:].max(1)
    return np.asarray((1 + (largest[:, None] >= scores[0] - 1e-9).sum(0)) / (1 + len(null)))


def _pairs(
    units: Units,
    members: Sequence[Members],
    drawn: Sequence[Sequence[Members]],
    own: Effects,
    others: Sequence[Effects],
    kind: Ablation,
    randoms: int,
) -> tuple[Pair, ...]:
    every = list(combinations(range(len(members)), 2))
    if not every:
        return ()
    joint = effects(units, [Lesion(union(members[i], members[j]), kind) for i, j in every]).lost
    beyond = joint - np.array([own.lost[i] + own.lost[j] for i, j in every])
    likeness = _likeness(units, members, every)
    null_beyond, null_like = np.empty((randoms, len(every))), np.empty((randoms, len(every)))
    for r in range(randoms):
        some = [d[r] for d in drawn]
        both = effects(units, [Lesion(union(some[i], some[j]), kind) for i, j in every]).lost
        null_beyond[r] = both - np.array([others[i].lost[r] + others[j].lost[r] for i, j in every])
        null_like[r] = _likeness(units, some, every)
    beyond_p, like_p = largest_p(beyond, null_beyond), largest_p(likeness, null_like)
    figures = zip(every, joint, beyond, beyond_p, likeness, like_p, strict=True)
    return tuple(Pair(i, j, float(a), float(b), float(bp), float(c), float(cp)) for (i, j), a, b, bp, c, cp in figures)


def union(first: Members, second: Members) -> Members:
    """The units of both."""
    none = np.zeros(0, dtype=np.int64)
    return {k: np.union1d(first.get(k, none), second.get(k, none)) for k in sorted({*first, *second})}


def _likeness(units: Units, members: Sequence[Members], pairs: Sequence[tuple[int, int]]) -> Float[np.ndarray, " p"]:
    values = [np.concatenate([by_unit(units, k)[:, u] for k, u in m.items()], axis=1) for m in members]
    scaled = [(v - v.mean(0)) / (v.std(0) * np.sqrt(len(v))).clip(1e-9) for v in values]
    out = np.empty(len(pairs))
    for at, (i, j) in enumerate(pairs):
        tie = np.abs(scaled[i].T @ scaled[j])
        out[at] = (tie.max(1).mean() + tie.max(0).mean()) / 2
    return out
