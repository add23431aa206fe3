"""What is lost and what is spared when units are silenced, driven harder, or kept from saying one thing.

Nothing here touches a weight: every change is made to values while the network runs, and is gone when it has run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.random import Generator
from torch import Tensor

from exegesis.behavior import Answers, Argmax
from exegesis.ir import InputError
from exegesis.measure.units import Ablation, Layer, Lesion, Units
from exegesis.runtime import Executor

Members: TypeAlias = Mapping[int, Int[np.ndarray, " _"]]  # layer number → indices of its units
MAX_SWEEP = 64  # lesions in one sweep; their outputs are held together


@dataclass(frozen=True, eq=False)
class Effects:
    """What becomes of the answers under each of m lesions.

    Attributes:
        kept: share of answers that stay, [m].
        by_class: the same among the inputs that the untouched network gives each answer, [m, classes]; NaN for classes
            that it never answers.
        counts: how often the untouched network gives each answer, [classes].
    """

    kept: Float[np.ndarray, " m"]
    by_class: Float[np.ndarray, "m classes"]
    counts: Int[np.ndarray, " classes"]

    @property
    def lost(self) -> Float[np.ndarray, " m"]:
        """Share of answers that change: the importance of what was lesioned."""
        return np.asarray(1 - self.kept)

    @property
    def coherence(self) -> Float[np.ndarray, " m"]:
        """How differently classes suffer: the largest loss of a class minus the smallest."""
        return np.asarray(np.nanmax(self.by_class, 1) - np.nanmin(self.by_class, 1))


def effects(units: Units, lesions: Sequence[Lesion]) -> Effects:
    """Lesions one by one. Raises InputError where the answers are no classes."""
    same = [_stays(units, lesions[i : i + MAX_SWEEP]) for i in range(0, len(lesions), MAX_SWEEP)]
    return tallied(units, np.concatenate(same) if same else np.zeros((0, units.bench.n), dtype=bool))


def _stays(units: Units, lesions: Sequence[Lesion]) -> Bool[np.ndarray, "m n"]:
    said = units.answers_under(lesions)
    return np.stack([units.bench.readout.equal(one, units.answers) for one in said])


def tallied(units: Units, same: Bool[np.ndarray, "m n"]) -> Effects:
    """Which answers stay, summed up by class."""
    classes = classes_of(units)
    said = np.asarray(units.answers)
    members = np.stack([said == c for c in range(classes)]).astype(np.float64)
    counts = members.sum(1)
    with np.errstate(invalid="ignore"):
        by_class = np.where(counts > 0, same @ members.T / counts.clip(1), np.nan)
    return Effects(same.mean(1), by_class, counts.astype(np.int64))


def classes_of(units: Units) -> int:
    """How many classes the network tells apart.

    Raises:
        InputError: the answers are no classes, or the data bring out one class only.
    """
    if not isinstance(units.bench.readout, Argmax):
        raise InputError("Lesions are read by class, which needs a behaviour with an argmax readout.")
    said = np.unique(units.answers)
    if len(said) < 2:
        raise InputError(
            f"The network gives the same answer ({said[0]}) on all {units.bench.n} inputs; with a single class "
            "there is nothing to lose selectively."
        )
    axis = units.graph[units.graph.outputs[0]].type.axes[-1]
    size = units.graph.axes[axis].size if axis in units.graph.axes else int(axis.removeprefix("="))
    return max(size or 0, int(said.max()) + 1)


def active(units: Units) -> tuple[Bool[np.ndarray, " u"], ...]:
    """Per layer, which units change at all on the split."""
    found = []
    for layer in units.layers:
        values = units.activations(layer.index)
        flat = values.reshape(len(values), values.shape[1], -1)
        found.append((flat.max(0) - flat.min(0)).max(1) > 1e-6 * max(1e-6, float(np.abs(flat).max())))
    return tuple(found)


def random_alike(members: Members, alive: Sequence[Bool[np.ndarray, " _"]], rng: Generator) -> Members:
    """As many units of the same layers, drawn from those that are ever active.

    Raises:
        InputError: a layer has fewer active units than are asked for.
    """
    drawn = {}
    for layer, units in members.items():
        pool = np.flatnonzero(alive[layer])
        if len(units) > len(pool):
            raise InputError(f"Layer {layer} has {len(pool)} active units; {len(units)} cannot be drawn from them.")
        drawn[layer] = np.sort(rng.choice(pool, size=len(units), replace=False))
    return drawn


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of one layer's values while the network runs.

    Attributes:
        layer: its number.
        change: from the value of a node that carries it, the layer and the node, to what takes its place.
    """

    layer: int
    change: Callable[[Tensor, Layer, str], Tensor]


def outputs_with(units: Units, edits: Sequence[Edit]) -> Float[np.ndarray, "n outputs"]:
    """The network's outputs with edits made, earlier layers first: a later edit sees what an earlier one did."""
    run = Executor(units.graph)
    out = units.graph.outputs[0]
    parts = []
    for seen in units.bench.batches:
        given: dict[str, Tensor] = {}
        for edit in sorted(edits, key=lambda e: e.layer):
            layer = units.layers[edit.layer]
            for node in layer.nodes:
                given[node] = edit.change(run.run(seen.inputs, [node], given=given)[node], layer, node)
        logits = run.run(seen.inputs, [out], given=given)[out]
        parts.append(seen.batch.at_scored(logits.numpy()))
    return np.concatenate(parts)


def answers_with(units: Units, edits: Sequence[Edit]) -> Answers:
    """What the network says with edits made."""
    return units.bench.readout.answers(outputs_with(units, edits))


def scaled(units: Units, members: Members, by: float, *, towards: Ablation = "zero") -> list[Edit]:
    """Units at a multiple of how far they stand from zero, or from their mean: 0 silences, 1 is no change, 2 doubles.

    Args:
        units: the network on a split.
        members: which units.
        by: the factor.
        towards: `zero`, or `mean`.

    Raises:
        InputError: units that are not there, or another kind of lesion.
    """
    if towards not in ("zero", "mean"):
        raise InputError(f"Units can be scaled towards zero or towards their mean, not by {towards}.")
    edits = []
    for number, chosen in members.items():
        layer = units.layers[number]
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < layer.units:
            raise InputError(f"Layer {number} has {layer.units} units; there is no unit {int(chosen.max())}.")
        means = units.means[number] if towards == "mean" else None
        edits.append(Edit(number, _scaling(torch.from_numpy(np.asarray(chosen)), by, means)))
    return edits


def _scaling(chosen: Tensor, by: float, means: Mapping[str, Tensor] | None) -> Callable[[Tensor, Layer, str], Tensor]:
    def change(value: Tensor, layer: Layer, node: str) -> Tensor:
        axis = unit_axis(value, layer)
        part = value.index_select(axis, chosen)
        rest: Tensor | float = 0.0
        if means is not None:
            mean = means[node]
            at = mean.ndim - 1 if layer.kind in ("dense", "recurrent") else 0
            rest = mean.index_select(at, chosen)
        return value.index_copy(axis, chosen, rest + by * (part - rest))

    return change


def along(layer: int, direction: Float[np.ndarray, " u"], by: float, centre: float) -> Edit:
    """A layer's values moved along one direction of its units: their coordinate there becomes `centre` + `by` times how
    far it stands from `centre`. 0 suppresses, 1 changes nothing, 2 stimulates. Pictures: at every place.

    Raises:
        InputError: a direction of length zero, or one that is not finite.
    """
    length = float(np.linalg.norm(direction))
    if not np.isfinite(length) or length == 0:
        raise InputError("A direction needs a length that is finite and not zero.")
    unit = torch.from_numpy((direction / length).astype(np.float32))

    def change(value: Tensor, at: Layer, node: str) -> Tensor:
        axis = unit_axis(value, at)
        moved = value.movedim(axis, -1)
        here = moved @ unit
        return (moved + (by - 1) * (here - centre)[..., None] * unit).movedim(-1, axis)

    return Edit(layer, change)


def unit_axis(value: Tensor, layer: Layer) -> int:
    """Which axis of a node's value counts the units of a layer."""
    return 1 if layer.kind in ("conv", "heads") else value.ndim - 1
