"""The curve of a network over sequences: heads, neurons and directions of the stream dropped, weights rounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from exegesis.ir import Graph, price
from exegesis.ir.progress import Progress
from exegesis.measure import Bench, Layers
from exegesis.passes.compressing.drop_parts import KINDS
from exegesis.passes.compressing.drop_units import TOLERANCES, strongest
from exegesis.passes.compressing.stream import Stream
from exegesis.passes.compressing.thin_sequence import TOKENS, Thinner
from exegesis.passes.manager import Setting
from exegesis.passes.raising.composed.bases import in_own_bases
from exegesis.passes.raising.composed.round_rest import SCALES, Rounder
from exegesis.pipeline.compressing_arrays import Made, measured
from exegesis.pipeline.compression import Point

PARTS_SHARE, STREAM_SHARE = 0.3, 0.6  # of what may be lost, up to heads and neurons, and up to directions
WIDTHS = 24  # numbers of directions that are tried


@dataclass(eq=False)
class SequenceCurve:
    """Compressed programs of one network.

    Attributes:
        graph: the lifted network.
        setting: what it is fitted to and held against.
        test: a split that nothing is chosen on, if there is one.
        watch: told what is going on.
        notes: what was left alone or not found is added here.
    """

    graph: Graph
    setting: Setting
    test: Bench | None
    watch: Progress
    notes: list[str]
    _thinned: dict[tuple[float, int | None], Graph] = field(default_factory=dict)
    _rounders: dict[tuple[float, int | None], Rounder] = field(default_factory=dict)

    @cached_property
    def thinner(self) -> Thinner:
        """Takes parts away."""
        return Thinner.of(self.graph, self.setting)

    @cached_property
    def _widths(self) -> tuple[float, ...]:
        """Numbers of directions that are tried, the most first."""
        if not isinstance(self.thinner.stream, Stream):
            return ()
        tried = np.geomspace(self.thinner.stream.size, 1, WIDTHS).round()[1:]
        return tuple(float(r) for r in dict.fromkeys(tried))

    def made(self, floors: Sequence[float]) -> list[Made]:
        """One program per floor."""
        if isinstance(self.thinner.stream, str):
            self.notes.append(f"directions of the residual stream are left alone: {self.thinner.stream}")
        found = []
        for floor in floors:
            self.watch.pass_started(f"keep {floor:.1%}")
            tolerance, directions = self._strengths(floor)
            program, _, held = strongest(SCALES, self._rounder(tolerance, directions).at, self.setting.held, floor)
            if program is None:
                self.notes.append(f"no program keeps {floor:.1%} of the answers")
                self.watch.pass_done(f"keep {floor:.1%}", "not found")
                continue
            point = self._point(program, floor, held, tolerance, directions)
            self.watch.pass_done(f"keep {floor:.1%}", f"{point.share:.2%} of the bits, {point.numbers:,} numbers")
            found.append((point, program))
        shorter = [(p, g) for p, g in found if p.share < 1]
        if found and not shorter:
            self.notes.append("no program that was found is shorter than the network as it stands")
        return shorter

    def _strengths(self, floor: float) -> tuple[float, int | None]:
        """How many units and directions go for a floor."""
        held = self.setting.held
        asked = 1 - PARTS_SHARE * (1 - floor)
        _, tolerance, _ = strongest(TOLERANCES, lambda t: self._at(t, None), held, asked)
        asked = 1 - STREAM_SHARE * (1 - floor)
        _, width, _ = strongest(self._widths, lambda r: self._at(tolerance, int(r)), held, asked)
        return tolerance, int(width) or None

    def _at(self, tolerance: float, directions: int | None) -> Graph:
        key = tolerance, directions
        if key not in self._thinned:
            self._thinned[key] = in_own_bases(self.thinner.at(tolerance, directions))
        return self._thinned[key]

    def _rounder(self, tolerance: float, directions: int | None) -> Rounder:
        key = tolerance, directions
        if key not in self._rounders:
            graph = self._at(*key) if self._pays(*key) else self.graph
            self._rounders[key] = Rounder(graph, self.setting.fit.sample(TOKENS))
        return self._rounders[key]

    def _pays(self, tolerance: float, directions: int | None) -> bool:
        """Whether a thinner network is a shorter one: compiled networks have few and plain numbers as they are."""
        return price(self._at(tolerance, directions)).opaque_bits < price(self.graph).opaque_bits

    @cached_property
    def _units(self) -> Counter[str]:
        """How many units the network has, by kind of layer."""
        return sum((Counter({layer.kind: layer.units}) for layer in Layers.of(self.graph)), Counter())

    def _point(self, program: Graph, floor: float, held: float, tolerance: float, directions: int | None) -> Point:
        pays = self._pays(tolerance, directions)
        masks = self.thinner.masks(tolerance if pays else -1.0)
        gone = {
            kind: sum(int((~masks[p.writer]).sum()) for p in self.thinner.parts if p.kind == kind) for kind in KINDS
        }
        stream = self.thinner.stream
        return replace(
            measured(program, self.graph, floor, held, self.test),
            units=self._units["dense"] - gone["neurons"],
            heads=self._units["heads"] - gone["heads"] if self._units["heads"] else None,
            directions=None if isinstance(stream, str) else directions if pays and directions else stream.size,
        )
