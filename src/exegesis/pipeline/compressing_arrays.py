"""The curve of a network over arrays: units dropped, weights rounded; and trained again, where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from exegesis.evidence.intervals import clopper_pearson
from exegesis.ir import Graph, price
from exegesis.ir.progress import Progress
from exegesis.measure import Bench
from exegesis.passes.compressing.drop_units import TOLERANCES, Shrinker, strongest
from exegesis.passes.compressing.factor_maps import FactorMaps
from exegesis.passes.compressing.maps import maps_of
from exegesis.passes.compressing.quantise_weights import SCALES, Quantiser
from exegesis.passes.compressing.retrain import retrained
from exegesis.passes.compressing.sources import UnitSource
from exegesis.passes.manager import Setting
from exegesis.pipeline.compression import Point

UNITS_SHARE = 0.6  # of what may be lost goes to dropping units, the rest to rounding
COARSER = 12  # settings beyond what rounding alone allows, among which training again looks for its coarsest

Made = tuple[Point, Graph]


@dataclass(eq=False)
class ArrayCurve:
    """Compressed programs of one network.

    Attributes:
        graph: the lifted network.
        setting: what it is fitted to and held against.
        test: a split that nothing is chosen on, if there is one.
        watch: told what is going on.
        notes: what was not found is added here.
    """

    graph: Graph
    setting: Setting
    test: Bench | None
    watch: Progress
    notes: list[str]
    _smaller: dict[float, Graph] = field(default_factory=dict)
    _found: dict[float, tuple[float, Quantiser, float]] = field(default_factory=dict)

    @cached_property
    def _shrinker(self) -> Shrinker:
        return Shrinker.of(self.graph, self.setting.fit)

    def made(self, floors: Sequence[float]) -> list[Made]:
        """One program per floor."""
        found = []
        for floor in floors:
            self.watch.pass_started(f"keep {floor:.1%}")
            tolerance = self._tolerance(floor)
            quantiser = self._quantiser(tolerance, floor)
            program, scale, held = strongest(SCALES, quantiser.at, self.setting.held, floor)
            if program is None:
                self.notes.append(f"no program keeps {floor:.1%} of the answers")
                self.watch.pass_done(f"keep {floor:.1%}", "not found")
                continue
            self._found[floor] = tolerance, quantiser, scale
            point = self._point(program, floor, held, tolerance)
            self.watch.pass_done(f"keep {floor:.1%}", f"{point.share:.2%} of the bits, {point.numbers:,} numbers")
            found.append((point, program))
        return found

    def trained_again(self, floors: Sequence[float], seed: int) -> list[Made]:
        """For each floor that a program was found for, the coarsest that keeps as much once it was trained again."""
        found = []
        for floor in floors:
            if floor not in self._found:
                continue
            self.watch.pass_started(f"keep {floor:.1%}, trained")
            tolerance, quantiser, scale = self._found[floor]
            begin = SCALES.index(scale)
            again = partial(self._retrained, quantiser, seed)
            other, _, held = strongest(SCALES[begin : begin + COARSER], again, self.setting.held, floor)
            if other is None:
                self.notes.append(f"trained again, no program keeps {floor:.1%} of the answers")
                self.watch.pass_done(f"keep {floor:.1%}, trained", "not found")
                continue
            point = self._point(other, floor, held, tolerance)
            self.watch.pass_done(f"keep {floor:.1%}, trained", f"{point.share:.2%} of the bits")
            found.append((point, other))
        return found

    def _retrained(self, quantiser: Quantiser, seed: int, scale: float) -> Graph:
        return retrained(quantiser.at(scale), self.graph, self.setting.fit, seed)

    def _at(self, tolerance: float) -> Graph:
        if tolerance not in self._smaller:
            self._smaller[tolerance] = self._shrinker.at(tolerance)
        return self._smaller[tolerance]

    def _tolerance(self, floor: float) -> float:
        """How many units go for a floor; -1: none."""
        asked = 1 - UNITS_SHARE * (1 - floor)
        chosen, tolerance, _ = strongest(TOLERANCES, self._at, self.setting.held, asked)
        return -1.0 if chosen is None else tolerance

    def _quantiser(self, tolerance: float, floor: float) -> Quantiser:
        """Of the smaller network, wide maps of it as two thin ones where that is shorter at this floor."""
        base = self.graph if tolerance < 0 else self._at(tolerance)
        thin = FactorMaps(floor).run(base, self.setting).graph
        return Quantiser.of(thin, self.graph, self.setting.fit)

    def _point(self, program: Graph, floor: float, held: float, tolerance: float) -> Point:
        masks = list(zip(self._shrinker.sources, self._shrinker.masks(tolerance), strict=True))
        own = [m for m in maps_of(program)[:-1] if m.nodes[0] in self.graph.by_id]  # first factors are no layers
        columns = [(m, 1 if program[m.nodes[0]].op == "component.linear" else 0) for m in own]
        entries = next(
            (int(m.sum()) for s, m in masks if not isinstance(s, UnitSource) and _is_input(s.value, self.graph)), 0
        )
        return replace(
            measured(program, self.graph, floor, held, self.test),
            units=sum(int(program.tensors[m.weight].shape[at]) for m, at in columns),
            entries=entries or _size(program.inputs[0].id, program),
        )


def measured(program: Graph, lifted: Graph, floor: float, held: float, test: Bench | None) -> Point:
    """What a program costs and keeps; its units are counted by who knows them."""
    bits = price(program).opaque_bits
    named = {t for n in program.nodes for r, t in n.tensors.items() if r != "mask"}
    said = None if test is None else test.agreement(program)
    lower = None if test is None or said is None else clopper_pearson(round(said * test.n), test.n)[0]
    return Point(
        floor=floor,
        bits=bits,
        share=bits / price(lifted).opaque_bits,
        numbers=sum(int(np.count_nonzero(program.tensors[t])) for t in sorted(named)),
        units=0,
        entries=None,
        held=held,
        test=said,
        test_lower=lower,
    )


def undominated(made: Sequence[Made]) -> list[Made]:
    """Those that no other one beats in both bits and held-out agreement, longest first."""
    kept = [
        (p, g)
        for p, g in made
        if not any(o.bits <= p.bits and o.held >= p.held and (o.bits, o.held) != (p.bits, p.held) for o, _ in made)
    ]
    once = {(p.bits, p.held): (p, g) for p, g in kept}
    return sorted(once.values(), key=lambda pair: -pair[0].bits)


def _is_input(value: str, graph: Graph) -> bool:
    """Whether a node is the input, or the input scaled or laid flat."""
    return all(graph[n].op in ("input.array", "component.scale", "component.flatten") for n in graph.upstream([value]))


def _size(name: str, graph: Graph) -> int:
    sizes: list[Any] = [int(a[1:]) if a.startswith("=") else graph.axes[a].size or 1 for a in graph[name].type.axes[1:]]
    return int(np.prod(sizes))
