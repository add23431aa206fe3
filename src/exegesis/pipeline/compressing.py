"""How far a network can be compressed before a behaviour suffers: the curve, the dimensions, the redundancy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from exegesis.behavior import ArraySplit, Behavior, SequenceSplit, Split
from exegesis.ir import Graph, InputError, price
from exegesis.ir.progress import Progress, Silent
from exegesis.measure import Bench, Layers, Units
from exegesis.measure.dimensions import Dimension, dimensions
from exegesis.measure.families import Family, families
from exegesis.measure.parameters import ParameterDimension, parameter_dimension
from exegesis.measure.redundancy import Redundancy, importance, redundancy
from exegesis.passes.compressing.maps import maps_of
from exegesis.passes.manager import Setting
from exegesis.pipeline.compressing_arrays import ArrayCurve, Made, undominated
from exegesis.pipeline.compressing_sequences import SequenceCurve
from exegesis.pipeline.compression import Compression, Point
from exegesis.pipeline.decompile import ARRAY_BATCH, prepare
from exegesis.runtime import Network

__all__ = ["FLOORS", "Compression", "Point", "compress"]

FLOORS: tuple[float, ...] = (0.995, 0.99, 0.98, 0.95, 0.9, 0.8)
ROWS = 400  # for dimensions and redundancy
TOKENS = 4_000


def compress(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    floors: Sequence[float] = FLOORS,
    drop: float = 0.05,
    retrain: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Compression:
    """How far a network can be compressed before a behaviour suffers.

    Nothing is trained: units (of sequence networks also heads, and directions of the residual stream) are dropped, and
    weights rounded, with least squares on the network's own values making up for what is lost (see
    `exegesis.passes.compressing`).

    Args:
        network: a module, a Hugging Face folder, an ONNX file, `file.py:function`, or `zoo:name`.
        behavior: what counts, or the path of its file.
        floors: the shares of answers to keep, one compressed program each.
        drop: the loss of answers that ends the count of units that can be lesioned.
        retrain: also train what is left again on the network's own answers. That gives other networks, and `retrained`
            alone holds them.
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
    if retrain and signal.is_sequence:
        raise InputError("Only programs over arrays are trained again; this behaviour is over sequences.")
    Layers.of(graph)  # refuses where nothing lies between inputs and outputs
    if not maps_of(graph):
        raise InputError(
            f"There is nothing to compress: no map leads from the inputs of {start.network.name} to its outputs."
        )
    floors = sorted(floors, reverse=True)
    watch.stage("compress", (1 + retrain) * len(floors) + 3)
    notes: list[str] = []
    again: list[Made] = []
    test = _test_bench(graph, signal)
    if signal.is_sequence:
        best = undominated(SequenceCurve(graph, setting, test, watch, notes).made(floors))
    else:
        curve = ArrayCurve(graph, setting, test, watch, notes)
        best = undominated(curve.made(floors))
        again = undominated(curve.trained_again(floors, seed)) if retrain else []
    needs = _needs(graph, setting, drop, watch)
    return Compression(
        start.network.name,
        signal.name,
        start.network.parameters_count,
        price(graph).opaque_bits,
        tuple(p for p, _ in best),
        *needs,
        tuple(notes),
        seed,
        time.perf_counter() - began,
        tuple(g for _, g in best),
        tuple(p for p, _ in again),
        tuple(g for _, g in again),
    )


def _needs(
    graph: Graph, setting: Setting, drop: float, watch: Progress
) -> tuple[tuple[Dimension, ...], Redundancy, tuple[Family, ...], ParameterDimension, int]:
    """What the behaviour needs of the network, and on how many answers that was measured.

    Directions of layers, units beside random ones, parts by kind, directions of the parameters.
    """
    some, other = _some(setting.held.split, setting.seed), _some(setting.fit.split, setting.seed)
    bench, fit = (Bench(graph, setting.readout, s, max_tokens=_batch(s)) for s in (some, other))
    watch.pass_started("dimensions")
    layers = dimensions(graph, bench, seed=setting.seed)
    watch.pass_done("dimensions", ", ".join(f"{d.node} {d.interchange} of {d.units}" for d in layers))
    watch.pass_started("parameters")
    weights = parameter_dimension(graph, fit, bench, seed=setting.seed)
    watch.pass_done("parameters", f"{weights.found if weights.needed is None else weights.needed} directions")
    watch.pass_started("lesions")
    units = Units.of(graph, setting.readout, some)
    alone = importance(units)
    lost = redundancy(units, alone, drop=drop, seed=setting.seed)
    kinds = families(units, alone, drop=drop, seed=setting.seed)
    watch.pass_done("lesions", f"{lost.tolerated[0]:.0f} of {lost.units} random units can go")
    return layers, lost, kinds, weights, bench.n


def _test_bench(graph: Graph, behavior: Behavior) -> Bench | None:
    name = next((s for s in behavior.splits if s == "test"), None)
    return None if name is None else Bench(graph, behavior.readout, behavior.split(name), max_tokens=ARRAY_BATCH)


def _batch(split: Split) -> int:
    return ARRAY_BATCH if isinstance(split, ArraySplit) else TOKENS


def _some(split: Split, seed: int) -> Split:
    """Some hundred inputs of a split."""
    if isinstance(split, SequenceSplit):
        rows = np.random.default_rng(seed).permutation(len(split))
        return split.select(np.sort(rows[: int(np.searchsorted(np.cumsum(split.lengths[rows]), TOKENS)) + 1]))
    return split.take(ROWS, seed)
