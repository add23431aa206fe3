"""Modules of modules: each module is looked into again, and taken apart where its own edges stand out from a null."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from exegesis.measure.modularity.graphs import ModularityError, UnitGraph
from exegesis.measure.modularity.nulls import CutTest, Null, cut_test

SMALLEST = 16
DEEPEST = 2
KS = (2, 3, 4, 6)


@dataclass(frozen=True, eq=False)
class Level:
    """A set of units, and how it comes apart.

    Attributes:
        units: their places in the whole graph, [u].
        test: the cut of these units against the null; None where they are too few, or too deep, to be looked into.
        parts: the modules inside; none where the test did not find any.
    """

    units: Int[np.ndarray, " u"]
    test: CutTest | None
    parts: tuple[Level, ...]

    def walk(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Level]]:
        """This level and all inside, each with the way to it."""
        yield path, self
        for i, part in enumerate(self.parts):
            yield from part.walk((*path, i))


def hierarchy(
    graph: UnitGraph,
    *,
    null: Null = "shuffle",
    nulls: int = 50,
    restarts: int = 4,
    seed: int = 0,
    whole: CutTest | None = None,
) -> Level:
    """Takes a graph apart, as long as its parts are modular themselves.

    At each level the number of modules is the one that stands out most from the null, with p ≤ 0.05 over all numbers.
    Inside a module 2 to 6 parts are looked for. Tests at different places are not corrected for each other.

    Args:
        graph: units and edges.
        null, nulls, restarts, seed: as for `cut_test`.
        whole: the test of the whole graph, where it was made already.
    """
    return _level(graph, np.arange(graph.n), null, nulls, restarts, seed, DEEPEST, whole)


def _level(
    graph: UnitGraph,
    units: Int[np.ndarray, " u"],
    null: Null,
    nulls: int,
    restarts: int,
    seed: int,
    depth: int,
    known: CutTest | None = None,
) -> Level:
    if depth == 0 or len(units) < SMALLEST:
        return Level(units, None, ())
    chosen = np.zeros(graph.n, dtype=bool)
    chosen[units] = True
    try:
        test = known or cut_test(graph.select(chosen), ks=KS, null=null, nulls=nulls, restarts=restarts, seed=seed)
    except ModularityError:  # too few of its units are tied to each other
        return Level(units, None, ())
    if not test.modular:
        return Level(units, test, ())
    labels = test.best.partition.labels
    parts = [units[labels == c] for c in range(test.best.k)]
    return Level(units, test, tuple(_level(graph, p, null, nulls, restarts, seed, depth - 1) for p in parts))
