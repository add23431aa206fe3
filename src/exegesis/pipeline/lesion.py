"""Silence, turn down or drive a part of a network, and see what is lost and what is spared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator, default_rng
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.ir import InputError
from exegesis.measure.concepts.causal import random_subspace
from exegesis.measure.lesions import Edit, classes_of, outputs_with, tallied
from exegesis.measure.units import Layer, Units
from exegesis.pipeline.concepts import labelled
from exegesis.pipeline.parts import Part, axis_of, joined, part_of
from exegesis.pipeline.subjects import Subject, subject
from exegesis.runtime import Network

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
RANDOMS = 20
ROWS = 400
Towards: TypeAlias = Literal["zero", "mean"]


@dataclass(frozen=True, eq=False)
class Dose:
    """What one strength does.

    Attributes:
        by: 0 silences, 1 changes nothing, 2 doubles.
        kept: share of answers that stay; `random_kept` [r] for random parts of equal size.
        accuracy: share of answers that are the task's own; None where nobody knows these.
        lost: share of answers that change, by class; `random_lost` [r, classes].
        turned: on marked inputs, the share whose answer the mark changes; `random_turned` [r]; None without
            such inputs.
    """

    by: float
    kept: float
    random_kept: Float[np.ndarray, " r"]
    accuracy: float | None
    lost: Float[np.ndarray, " classes"]
    random_lost: Float[np.ndarray, "r classes"]
    turned: float | None
    random_turned: Float[np.ndarray, " r"] | None


@dataclass(frozen=True, eq=False)
class LesionReport:
    """What `lesion` found.

    Attributes:
        network, behavior, part: what was changed.
        size: how many numbers the part covers.
        towards: what a silenced part becomes.
        labels: what the classes are called.
        doses: one for each strength.
        marked: what the marked inputs are; empty without.
        p: how often random parts of equal size cost as many answers when silenced.
        turned_p: how often they undo the mark as much; None without marked inputs.
        restored: whether the network said the same afterwards, to the last bit.
        rows, seconds, seed: inputs looked at, how long it took, and the seed.
    """

    network: str
    behavior: str
    part: str
    size: int
    towards: Towards
    labels: tuple[str, ...]
    doses: tuple[Dose, ...]
    marked: str
    p: float
    turned_p: float | None
    restored: bool
    rows: int
    seconds: float
    seed: int

    @property
    def silenced(self) -> Dose:
        """The weakest dose."""
        return min(self.doses, key=lambda d: abs(d.by))

    @property
    def hit(self) -> tuple[str, ...]:
        """Classes that lose more than under 95 % of random parts, and a twentieth at least."""
        usual = np.nan_to_num(np.quantile(self.silenced.random_lost, 0.95, axis=0))
        lost = np.nan_to_num(self.silenced.lost)
        return tuple(self.labels[c] for c in np.flatnonzero((lost > usual) & (lost >= 0.05)))

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "network": self.network,
            "behavior": self.behavior,
            "part": self.part,
            "size": self.size,
            "towards": self.towards,
            "marked": self.marked,
            "rows": self.rows,
            "p": self.p,
            "turned_p": self.turned_p,
            "classes_hit": list(self.hit),
            "restored": self.restored,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "doses": [self._record(d) for d in self.doses],
        }

    def _record(self, dose: Dose) -> dict[str, Any]:
        random = dose.random_lost.mean(0)
        by_class = {
            name: {"lost": float(a), "random": float(b)}
            for name, a, b in zip(self.labels, dose.lost, random, strict=False)
            if not math.isnan(a)
        }
        return {
            "by": dose.by,
            "kept": dose.kept,
            "random_kept": float(dose.random_kept.mean()),
            "accuracy": dose.accuracy,
            "by_class": by_class,
            "turned": dose.turned,
            "random_turned": None if dose.random_turned is None else float(dose.random_turned.mean()),
        }


def lesion(
    network: Network | nn.Module | str | Path | Subject,
    behavior: Behavior | str | Path | None,
    parts: Sequence[str],
    *,
    modules: Path | None = None,
    concepts: Path | None = None,
    marked: str | None = None,
    towards: Towards = "mean",
    doses: Sequence[float] = DOSES,
    randoms: int = RANDOMS,
    rows: int = ROWS,
    split: str | None = None,
    seed: int = 0,
) -> LesionReport:
    """Changes parts of a network while it runs, at several strengths, beside random parts of equal size.

    Args:
        network: a module, what `exegesis.load` takes, the folder of a run, or a subject made before.
        behavior: what is lost and spared; not needed with a subject.
        parts: the name of a module or function of a run, `LAYER:3,7-9` (units),
            `module:2` (of `modules`), `units:patch@LAYER` or `direction:patch@LAYER` (of
            `concepts`). Units of several are taken together; a direction stands alone.
        modules: what `exegesis modules --out` wrote.
        concepts: what `exegesis concepts --out` wrote.
        marked: inputs with and without a mark, as `patch:23-27,23-27`, on which the mark's effect is measured too.
        towards: what silenced units become: zero, or their mean over the inputs.
        doses: strengths; 0 silences, 1 changes nothing, 2 doubles.
        randoms: random parts of equal size; at least 19.
        rows: how many inputs.
        split: where these come from; None for `test` where there is one.
        seed: of everything that is drawn.

    Raises:
        InputError: parts that are not there, files that say something else, or too few random parts.
    """
    began = time.perf_counter()
    if randoms < 19 or not doses:
        raise InputError("A lesion needs a dose, and 19 random parts at least to be compared with.")
    if not isinstance(network, Subject) and behavior is None:
        raise InputError("A lesion needs the behaviour of the network; give it.")
    there = network if isinstance(network, Subject) else subject(network, behavior or "", split=split, seed=seed)
    units = there.units(there.rows(rows, seed))
    part = joined([part_of(text, units, modules, concepts, there.parts) for text in parts])
    pairs = None if marked is None else _pairs(there, marked, rows, seed)
    bench = _Bench(units, pairs, towards)
    before = units.logits
    others = [_random_like(part, bench, default_rng([seed, 91, r])) for r in range(randoms)]
    found = tuple(_dose(bench, part, others, float(by)) for by in sorted(doses))
    silenced = min(found, key=lambda d: abs(d.by))
    turned_p = None
    if silenced.turned is not None and silenced.random_turned is not None:
        turned_p = float((1 + (silenced.random_turned <= silenced.turned).sum()) / (1 + randoms))
    return LesionReport(
        network=there.name,
        behavior=there.behavior.name,
        part=part.name,
        size=part.size,
        towards=towards,
        labels=there.labels,
        doses=found,
        marked=_called(marked, there),
        p=float((1 + (silenced.random_kept <= silenced.kept).sum()) / (1 + randoms)),
        turned_p=turned_p,
        restored=bool((units.logits == before).all()),
        rows=units.bench.n,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _called(marked: str | None, there: Subject) -> str:
    """What to call a mark: what was found, where it is the folder of a find."""
    return labelled(there, marked, images=2).note if marked and Path(marked).is_dir() else marked or ""


def _pairs(there: Subject, marked: str, rows: int, seed: int) -> tuple[Units, Bool[np.ndarray, " n"]]:
    found = labelled(there, marked, images=rows, seed=seed)
    if found.pairs is None or len(found.attributes) != 1:
        raise InputError(f"{marked!r} gives no pairs of inputs without and with a mark; patch:R-R,C-C does.")
    shown = found.attributes[0].of == 1
    order = np.concatenate([np.flatnonzero(~shown), found.pairs[np.flatnonzero(~shown)]])
    return there.units(found.select(order).split()), np.arange(len(order)) >= (~shown).sum()


class _Bench:
    """The inputs, marked and unmarked, and the means of layers over the unmarked ones."""

    def __init__(self, units: Units, pairs: tuple[Units, Bool[np.ndarray, " n"]] | None, towards: Towards) -> None:
        self.units, self.pairs, self.towards = units, pairs, towards
        self.classes = classes_of(units)
        self._values: dict[int, Tensor] = {}

    def values(self, layer: int) -> Tensor:
        """A layer on all inputs, [n, ...]."""
        if layer not in self._values:
            node = self.units.layers[layer].node
            self._values[layer] = torch.cat([v[node] for _, v in self.units.bench.each(self.units.graph, [node])])
        return self._values[layer]

    def edits(self, part: Part, by: float) -> list[Edit]:
        """The part at some strength."""
        if part.direction is not None:
            layer, direction, centre = part.direction
            return [_along_whole(layer, direction, by, centre)]
        found = []
        for layer, mask in part.masks.items():
            rest = self.values(layer).mean(0) if self.towards == "mean" else torch.zeros(())
            found.append(Edit(layer, _scaling(torch.from_numpy(mask), by, rest)))
        return found


def _scaling(mask: Tensor, by: float, rest: Tensor) -> Callable[[Tensor, Layer, str], Tensor]:
    def change(value: Tensor, layer: Layer, node: str) -> Tensor:
        return torch.where(mask, rest + by * (value - rest), value)

    return change


def _along_whole(layer: int, direction: Float[np.ndarray, " f"], by: float, centre: float) -> Edit:
    """Along a direction of the whole value of a layer, places included."""
    unit = torch.from_numpy((direction / np.linalg.norm(direction)).astype(np.float32))

    def change(value: Tensor, at: Layer, node: str) -> Tensor:
        flat = value.reshape(len(value), -1)
        return (flat + (by - 1) * (flat @ unit - centre)[:, None] * unit).reshape(value.shape)

    return Edit(layer, change)


def _dose(bench: _Bench, part: Part, others: Sequence[Part], by: float) -> Dose:
    runs = [outputs_with(bench.units, bench.edits(p, by)) for p in (part, *others)]
    read = bench.units.bench.readout
    said = [read.answers(r) for r in runs]
    seen = tallied(bench.units, np.stack([read.equal(s, bench.units.answers) for s in said]))
    wanted = getattr(bench.units.bench.split, "y", None)
    turned = [_turned(bench, p, by) for p in (part, *others)] if bench.pairs is not None else None
    return Dose(
        by=by,
        kept=float(seen.kept[0]),
        random_kept=seen.kept[1:],
        accuracy=None if wanted is None else float((said[0] == wanted).mean()),
        lost=1 - seen.by_class[0],
        random_lost=1 - seen.by_class[1:],
        turned=None if turned is None else turned[0],
        random_turned=None if turned is None else np.array(turned[1:]),
    )


def _turned(bench: _Bench, part: Part, by: float) -> float:
    """Share of pairs whose marked input is not answered as the untouched network answers the unmarked one."""
    assert bench.pairs is not None
    units, shown = bench.pairs
    said = np.asarray(units.bench.readout.answers(outputs_with(units, bench.edits(part, by))))
    return float((said[shown] != np.asarray(units.answers)[~shown]).mean())


def _random_like(part: Part, bench: _Bench, rng: Generator) -> Part:
    """As many units (or neurons) that are ever active, of the same layers; or another direction of the same layer."""
    if part.direction is not None:
        layer = part.direction[0]
        values = bench.values(layer).reshape(bench.units.bench.n, -1).numpy()
        direction = random_subspace(values, 1, rng)[0]
        return Part("random", {}, (layer, direction, float((values @ direction).mean())))
    masks = {}
    for layer, mask in part.masks.items():
        spread = (bench.values(layer).std(0) > 0).numpy()
        axis = axis_of(bench.units.layers[layer], mask.ndim)
        rest = tuple(i for i in range(mask.ndim) if i != axis)
        whole = mask.any(rest)
        if (mask.sum(rest)[whole] == mask.size // mask.shape[axis]).all():  # whole units
            pool = np.flatnonzero(spread.any(rest))
            drawn = np.zeros(mask.shape[axis], dtype=bool)
            drawn[_drawn(pool, int(whole.sum()), mask.shape[axis], rng)] = True
            shape = [-1 if i == axis else 1 for i in range(mask.ndim)]
            masks[layer] = np.broadcast_to(drawn.reshape(shape), mask.shape).copy()
        else:
            flat = np.zeros(mask.size, dtype=bool)
            flat[_drawn(np.flatnonzero(spread), int(mask.sum()), mask.size, rng)] = True
            masks[layer] = flat.reshape(mask.shape)
    return Part("random", masks)


def _drawn(pool: np.ndarray, count: int, size: int, rng: Generator) -> np.ndarray:
    return rng.choice(pool if len(pool) >= count else np.arange(size), count, replace=False)
