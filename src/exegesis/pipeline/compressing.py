"""How far a network can be compressed before a behaviour suffers: the curve, the dimensions, the redundancy."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from exegesis.behavior import ArraySplit, Behavior, SequenceSplit, Split
from exegesis.evidence.intervals import clopper_pearson
from exegesis.ir import Graph, InputError, price
from exegesis.ir.progress import Progress, Silent
from exegesis.measure import Bench, Units
from exegesis.measure.dimensions import Dimension, dimensions
from exegesis.measure.redundancy import Redundancy, redundancy
from exegesis.passes.compressing.drop_units import TOLERANCES, Shrinker, strongest
from exegesis.passes.compressing.maps import maps_of
from exegesis.passes.compressing.quantise_weights import SCALES, Quantiser
from exegesis.passes.compressing.sources import UnitSource
from exegesis.passes.manager import Setting
from exegesis.pipeline.decompile import ARRAY_BATCH, prepare
from exegesis.runtime import Network

FLOORS: tuple[float, ...] = (0.995, 0.99, 0.98, 0.95, 0.9, 0.8)
UNITS_SHARE = 0.6  # of what may be lost goes to dropping units, the rest to rounding
ROWS = 400  # for dimensions and redundancy
TOKENS = 4_000


@dataclass(frozen=True)
class Point:
    """One compressed program.

    Attributes:
        floor: the share of answers that it was asked to keep (sure by held-out inputs).
        bits: its description length.
        share: of the description length of the lifted network.
        numbers: weights and biases that are not zero.
        units: neurons and channels left in the layers between input and output.
        entries: numbers of the input that are read.
        held: agreement with the network on held-out inputs of the split it was fitted on.
        test: the same on a split that nothing was chosen on; None where there is none.
        test_lower: its lower bound at 95 %.
    """

    floor: float
    bits: float
    share: float
    numbers: int
    units: int
    entries: int
    held: float
    test: float | None
    test_lower: float | None


@dataclass(frozen=True, eq=False)
class Compression:
    """What `compress` finds.

    Attributes:
        network, behavior: their names.
        parameters: of the network.
        bits: the description length of the lifted network.
        points: compressed programs that none of the others beats in both length and faithfulness, longest first; none
            where the network is no chain of maps (transformers).
        layers: effective dimensions.
        redundancy: what lesions of units do.
        rows: how many inputs (answers) dimensions and lesions were measured on.
        notes: what was left out, and why.
        seed: of everything that was drawn.
        seconds: wall time.
        programs: the compressed graphs, as `points`.
    """

    network: str
    behavior: str
    parameters: int
    bits: float
    points: tuple[Point, ...]
    layers: tuple[Dimension, ...]
    redundancy: Redundancy
    rows: int
    notes: tuple[str, ...]
    seed: int
    seconds: float
    programs: tuple[Graph, ...] = field(default=(), repr=False)

    def at(self, faithfulness: float) -> Point:
        """The shortest program that was asked to keep so many answers. Raises InputError where there is none."""
        fitting = [p for p in self.points if p.floor >= faithfulness]
        if not fitting:
            raise InputError(f"No compressed program of {self.network} keeps {faithfulness:.1%} of the answers.")
        return min(fitting, key=lambda p: p.bits)

    def to_json(self) -> str:
        """Everything but the programs, as JSON."""
        record: dict[str, Any] = {k: v for k, v in self.__dict__.items() if k != "programs"}
        record["points"] = [asdict(p) for p in self.points]
        record["layers"] = [asdict(d) for d in self.layers]
        record["redundancy"] = asdict(self.redundancy)
        return json.dumps(record, indent=1)

    def plot(self, path: str | Path) -> Path:
        """The curves as a picture (SVG or PNG, by its ending). Raises InputError without the extra `plot`."""
        from exegesis.pipeline.compression_figures import compression_picture

        return compression_picture(self).save(path)


def compress(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    floors: Sequence[float] = FLOORS,
    drop: float = 0.05,
    seed: int = 0,
    progress: Progress | None = None,
) -> Compression:
    """How far a network can be compressed before a behaviour suffers.

    Nothing is trained: units are dropped, and weights rounded, with least squares on the network's own values making up
    for what is lost (see `exegesis.passes.compressing`).

    Args:
        network: a module, a Hugging Face folder, an ONNX file, `file.py:function`, or `zoo:name`.
        behavior: what counts, or the path of its file.
        floors: the shares of answers to keep, one compressed program each.
        drop: the loss of answers that ends the count of units that can be lesioned.
        seed: of everything that is drawn.
        progress: told what is going on.

    Raises:
        InputError: network and behaviour do not fit each other, or there is nothing to compress.
    """
    began = time.perf_counter()
    watch = progress or Silent()
    if not floors or not all(0 < f < 1 for f in floors):
        raise InputError("The shares of answers to keep must lie between 0 and 1.")
    start = prepare(network, behavior, seed=seed, progress=watch)
    graph, setting, signal = start.lifted.graph, start.setting, start.behavior
    watch.stage("compress", len(floors) + 2 if maps_of(graph) and not signal.is_sequence else 2)
    notes: list[str] = []
    made: list[tuple[Point, Graph]] = []
    if signal.is_sequence:
        notes.append("the curve of description length is for networks over arrays; for this one units are looked at")
    else:
        made = _curve(graph, setting, _test_bench(graph, signal), sorted(floors, reverse=True), watch, notes)
    some = _some(setting.held.split, seed)
    watch.pass_started("dimensions")
    bench = Bench(graph, signal.readout, some, max_tokens=ARRAY_BATCH if isinstance(some, ArraySplit) else TOKENS)
    layers = dimensions(graph, bench, seed=seed)
    watch.pass_done("dimensions", ", ".join(f"{d.node} {d.interchange} of {d.units}" for d in layers))
    watch.pass_started("lesions")
    lost = redundancy(Units.of(graph, signal.readout, some), drop=drop, seed=seed)
    watch.pass_done("lesions", f"{lost.tolerated[0]:.0f} of {lost.units} random units can go")
    best = _undominated(made)
    return Compression(
        start.network.name,
        signal.name,
        start.network.parameters_count,
        price(graph).opaque_bits,
        tuple(p for p, _ in best),
        layers,
        lost,
        bench.n,
        tuple(notes),
        seed,
        time.perf_counter() - began,
        tuple(g for _, g in best),
    )


def _curve(
    graph: Graph, setting: Setting, test: Bench | None, floors: Sequence[float], watch: Progress, notes: list[str]
) -> list[tuple[Point, Graph]]:
    """One compressed program per floor."""
    shrinker = Shrinker.of(graph, setting.fit)
    at = cache(shrinker.at)
    quantisers: dict[float, Quantiser] = {}
    found = []
    for floor in floors:
        watch.pass_started(f"keep {floor:.1%}")
        asked = 1 - UNITS_SHARE * (1 - floor)
        chosen, tolerance, _ = strongest(TOLERANCES, at, setting.held, asked)
        base, tolerance = (graph, -1.0) if chosen is None else (chosen, tolerance)
        if tolerance not in quantisers:
            quantisers[tolerance] = Quantiser.of(base, graph, setting.fit)
        program, _, held = strongest(SCALES, quantisers[tolerance].at, setting.held, floor)
        if program is None:
            notes.append(f"no program keeps {floor:.1%} of the answers")
            watch.pass_done(f"keep {floor:.1%}", "not found")
            continue
        masks = list(zip(shrinker.sources, shrinker.masks(tolerance), strict=True))
        point = _point(program, graph, floor, held, test, masks)
        watch.pass_done(f"keep {floor:.1%}", f"{point.share:.2%} of the bits, {point.numbers:,} numbers")
        found.append((point, program))
    return found


def _point(
    program: Graph, lifted: Graph, floor: float, held: float, test: Bench | None, masks: Sequence[tuple[Any, Any]]
) -> Point:
    bits = price(program).opaque_bits
    named = {t for n in program.nodes for r, t in n.tensors.items() if r != "mask"}
    said = None if test is None else test.agreement(program)
    lower = None if test is None or said is None else clopper_pearson(round(said * test.n), test.n)[0]
    columns = [(m, 1 if program[m.nodes[0]].op == "component.linear" else 0) for m in maps_of(program)[:-1]]
    first = program.inputs[0]
    entries = next((int(m.sum()) for s, m in masks if not isinstance(s, UnitSource) and _is_input(s.value, lifted)), 0)
    return Point(
        floor=floor,
        bits=bits,
        share=bits / price(lifted).opaque_bits,
        numbers=sum(int(np.count_nonzero(program.tensors[t])) for t in sorted(named)),
        units=sum(int(program.tensors[m.weight].shape[at]) for m, at in columns),
        entries=entries or _size(first.id, program),
        held=held,
        test=said,
        test_lower=lower,
    )


def _is_input(value: str, graph: Graph) -> bool:
    """Whether a node is the input, or the input scaled or laid flat."""
    return all(graph[n].op in ("input.array", "component.scale", "component.flatten") for n in graph.upstream([value]))


def _size(name: str, graph: Graph) -> int:
    sizes = [int(a[1:]) if a.startswith("=") else graph.axes[a].size or 1 for a in graph[name].type.axes[1:]]
    return int(np.prod(sizes))


def _test_bench(graph: Graph, behavior: Behavior) -> Bench | None:
    name = next((s for s in behavior.splits if s == "test"), None)
    return None if name is None else Bench(graph, behavior.readout, behavior.split(name), max_tokens=ARRAY_BATCH)


def _some(split: Split, seed: int) -> Split:
    """Some hundred inputs of a split."""
    if isinstance(split, SequenceSplit):
        rows = np.random.default_rng(seed).permutation(len(split))
        return split.select(np.sort(rows[: int(np.searchsorted(np.cumsum(split.lengths[rows]), TOKENS)) + 1]))
    return split.take(ROWS, seed)


def _undominated(made: Sequence[tuple[Point, Graph]]) -> list[tuple[Point, Graph]]:
    """Those that no other one beats in both bits and held-out agreement, longest first."""
    kept = [
        (p, g)
        for p, g in made
        if not any(o.bits <= p.bits and o.held >= p.held and (o.bits, o.held) != (p.bits, p.held) for o, _ in made)
    ]
    once = {(p.bits, p.held): (p, g) for p, g in kept}
    return sorted(once.values(), key=lambda pair: -pair[0].bits)
