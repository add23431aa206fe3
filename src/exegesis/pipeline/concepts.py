"""How well does a network match concepts that people have names for, and does it use them?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int
from torch import nn

from exegesis.behavior import Behavior
from exegesis.ir import InputError
from exegesis.measure.concepts import (
    Carriers,
    ConceptError,
    Labelled,
    LayerState,
    Probe,
    Rotation,
    Sensitivity,
    Suppression,
    Swap,
    UnitMatch,
    carriers,
    directions,
    dissect,
    drawn_images,
    kinds_of,
    of_classes,
    patched,
    probe,
    read_concepts,
    recoloured,
    rotate,
    sensitivities,
    suppress,
    swap,
)
from exegesis.measure.modularity.names import corrected
from exegesis.measure.units import Units
from exegesis.pipeline.found_marks import found_mark
from exegesis.pipeline.subjects import Subject, subject
from exegesis.runtime import Network

IMAGES = 400
NULLS = 99
Progress: TypeAlias = Callable[[str], None]
Rows: TypeAlias = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]


@dataclass(frozen=True)
class Followed:
    """How often the network answers what an attribute says, on inputs on which attributes disagree.

    Attributes:
        attribute: whose values are named as the outputs are.
        share: of these inputs, those that are answered by it.
        chance: the same with its labels dealt out anew.
        inputs: how many there are.
    """

    attribute: str
    share: float
    chance: float
    inputs: int


@dataclass(frozen=True, eq=False)
class LayerConcept:
    """One attribute in one layer.

    Attributes:
        layer, attribute: which.
        probe: what can be read off linearly.
        rotation: how well the layer's axes can be turned to match.
        matches: the unit that matches each concept best.
        sensitivities: concept activation vectors against the network's answers.
        swap: what the subspace does; None where it cannot be swapped, `why_not` says why.
        carriers, suppression: for concepts that come in pairs without and with it: the units that carry it, and its
            direction held still.
        why_not: why a causal check is missing.
        probe_q, swap_q: p values corrected for the number of layers times attributes.
    """

    layer: str
    attribute: str
    probe: Probe
    rotation: Rotation
    matches: tuple[UnitMatch, ...]
    sensitivities: tuple[Sensitivity, ...]
    swap: Swap | None
    carriers: Carriers | None
    suppression: Suppression | None
    why_not: str
    probe_q: float = 1.0
    swap_q: float = 1.0


@dataclass(frozen=True, eq=False)
class ConceptReport:
    """What `find_concepts` found.

    Attributes:
        network, behavior: what was looked at.
        concepts: where labelled inputs came from.
        inputs: how many.
        labels: what the outputs are called.
        followed: which attribute the answers follow.
        found: one for each layer and attribute.
        seconds, seed: how long it took, and the seed.
    """

    network: str
    behavior: str
    concepts: str
    inputs: int
    labels: tuple[str, ...]
    followed: tuple[Followed, ...]
    found: tuple[LayerConcept, ...]
    seconds: float
    seed: int

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "network": self.network,
            "behavior": self.behavior,
            "concepts": self.concepts,
            "inputs": self.inputs,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "followed": [asdict(f) for f in self.followed],
            "found": [self._record(f) for f in self.found],
        }

    def _record(self, found: LayerConcept) -> dict[str, Any]:
        record: dict[str, Any] = {
            "layer": found.layer,
            "attribute": found.attribute,
            "probe": {**asdict(found.probe), "q": found.probe_q},
            "rotation": asdict(found.rotation),
            "units": [asdict(m) for m in found.matches],
            "sensitivities": [{**asdict(s), "answer": self.labels[s.answer]} for s in found.sensitivities],
            "swap": None if found.swap is None else {**asdict(found.swap), "q": found.swap_q},
            "why_not": found.why_not,
        }
        if (c := found.carriers) is not None:
            places = None if c.places is None else c.places.tolist()
            record["carriers"] = {**asdict(c), "units": c.units.tolist(), "places": places}
            record["carriers"]["answer"] = self.labels[c.answer] if c.answer >= 0 else None
        if (s := found.suppression) is not None:
            record["suppression"] = {**asdict(s), "direction": s.direction.tolist()}
        return record


def labelled(there: Subject, concepts: str | Path | Labelled, *, images: int = IMAGES, seed: int = 0) -> Labelled:
    """Labelled inputs for a network.

    Args:
        there: the network and its behaviour.
        concepts: `classes`, `generated` (figures drawn by us), `recoloured` (inputs in the colours of others),
            `patch:R-R,C-C` or `patch:R-R,C-C=V` (inputs without and with a patch in these rows and columns), the folder
            of what `exegesis hunt` found (inputs without and with that), an `.npz` file, or labelled inputs.
        images: how many.
        seed: of what is drawn.

    Raises:
        ConceptError: they cannot be had, or do not fit the network's inputs.
    """
    if isinstance(concepts, Labelled):
        return concepts
    layout = there.behavior.layout
    if layout is None:
        raise ConceptError(
            f"Behaviour {there.behavior.name} is over token sequences; concepts are looked for in arrays."
        )
    text = str(concepts)
    source = there.behavior.arrays(there.split)
    if text == "classes":
        return of_classes(source.take(images, seed), there.labels)
    if text == "generated":
        return drawn_images(layout.shape, images, seed)
    if text == "recoloured":
        return recoloured(source, there.labels, images, seed)
    if text.startswith("patch:"):
        rows, columns, value = _patch(text)
        return patched(source, rows, columns, value, images // 2, seed)
    if Path(text).is_dir():
        return found_mark(Path(text), there, images, seed)
    return read_concepts(Path(concepts if isinstance(concepts, Path) else text), layout.shape)


def _patch(text: str) -> tuple[tuple[int, int], tuple[int, int], float]:
    where, _, value = text.removeprefix("patch:").partition("=")
    try:
        spans = [tuple(int(end) for end in part.split("-")) for part in where.split(",")]
        (top, bottom), (left, right) = spans
        return (top, bottom), (left, right), float(value or 1.0)
    except ValueError:
        raise ConceptError(f"A patch is written as patch:23-27,23-27 or patch:23-27,23-27=0.5, not {text!r}.") from None


def find_concepts(
    network: Network | nn.Module | str | Path | Subject,
    behavior: Behavior | str | Path | None = None,
    *,
    concepts: str | Path | Labelled = "classes",
    split: str | None = None,
    images: int = IMAGES,
    nulls: int = NULLS,
    seed: int = 0,
    progress: Progress | None = None,
) -> ConceptReport:
    """Matches every layer with labelled concepts, each score beside its null and beside a causal check.

    Args:
        network: a module, what `exegesis.load` takes, the folder of a run, or a subject made before.
        behavior: what the network does; not needed with a subject.
        concepts: as in `labelled`.
        split: where inputs of the behaviour come from; None for `test` where there is one.
        images: how many labelled inputs.
        nulls: draws of each null; at least 19.
        seed: of everything that is drawn.
        progress: told what is going on.

    Raises:
        InputError: network and behaviour cannot be used, or too few draws.
        ConceptError: concepts that cannot be had, or do not fit.
    """
    began = time.perf_counter()
    if nulls < 19:
        raise InputError(f"{nulls} draws of a null are too few to tell anything at 5 %; draw at least 19.")
    if not isinstance(network, Subject) and behavior is None:
        raise InputError("Concepts need the behaviour of the network; give it.")
    there = network if isinstance(network, Subject) else subject(network, behavior or "", split=split, seed=seed)
    marked = labelled(there, concepts, images=images, seed=seed)
    rows = marked.halves(seed)
    first, second = (there.units(marked.select(at).split()) for at in rows)
    kinds = kinds_of(marked.x, seed)
    found = []
    for layer in first.layers:
        for attribute in range(len(marked.attributes)):
            (progress or (lambda said: None))(f"{marked.attributes[attribute].name} in {layer.node}")
            found.append(_look(marked, attribute, rows, (first, second), layer.index, kinds, nulls, seed))
    probe_q = corrected([f.probe.p for f in found])
    swap_q = corrected([1.0 if f.swap is None else f.swap.p for f in found])
    final = tuple(
        LayerConcept(**{**vars(f), "probe_q": float(p), "swap_q": float(q)})
        for f, p, q in zip(found, probe_q, swap_q, strict=True)
    )
    return ConceptReport(
        network=there.name,
        behavior=there.behavior.name,
        concepts=marked.note,
        inputs=len(marked),
        labels=there.labels,
        followed=_followed(marked, there, seed),
        found=final,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _look(
    marked: Labelled,
    which: int,
    rows: Rows,
    both: tuple[Units, Units],
    layer: int,
    kinds: Int[np.ndarray, " n"],
    nulls: int,
    seed: int,
) -> LayerConcept:
    attribute = marked.attributes[which]
    first, second = LayerState(both[0], layer), LayerState(both[1], layer)
    values = first.values, second.values
    said = np.asarray(both[1].answers)
    others = [a for i, a in enumerate(marked.attributes) if i != which]
    moved, why_not = None, ""
    try:
        basis = directions(values[0], attribute.of[rows[0]], len(attribute.values))
        moved = swap(second, basis, attribute, rows[1], beside=others, randoms=nulls, seed=seed)
    except ConceptError as error:
        why_not = str(error)
    carried, held = None, None
    if marked.pairs is not None and len(attribute.values) == 2:
        halves = marked.select(rows[0]), marked.select(rows[1])
        try:
            carried = carriers(first, second, halves, randoms=nulls, seed=seed)
            shown = halves[0].attributes[0].of == 1, halves[1].attributes[0].of == 1
            held = suppress(first, second, shown, randoms=nulls, seed=seed)
        except ConceptError as error:
            why_not = str(error)
    spread = both[0].activations(layer), both[1].activations(layer)
    return LayerConcept(
        layer=both[0].layers[layer].node,
        attribute=attribute.name,
        probe=probe(*values, attribute, rows, kinds, nulls=nulls, seed=seed),
        rotation=rotate(*values, attribute, rows, nulls=19, seed=seed),
        matches=dissect(*spread, attribute, rows, nulls=min(nulls, 49), seed=seed),
        sensitivities=sensitivities(values[0], attribute, rows[0], second.slopes(said), said, seed=seed),
        swap=moved,
        carriers=carried,
        suppression=held,
        why_not=why_not,
    )


def _followed(marked: Labelled, there: Subject, seed: int) -> tuple[Followed, ...]:
    """Attributes whose values are called what the outputs are called."""
    named = [a for a in marked.attributes if set(a.values) <= set(there.labels)]
    if not named:
        return ()
    said = np.asarray(there.units(marked.split()).answers)
    outputs = {name: i for i, name in enumerate(there.labels)}
    means = [np.array([outputs[v] for v in a.values])[a.of] for a in named]
    apart = np.any([m != means[0] for m in means], axis=0) if len(means) > 1 else np.ones(len(said), dtype=bool)
    rng = np.random.default_rng([seed, 81])
    return tuple(_share(a.name, said[apart], m[apart], rng) for a, m in zip(named, means, strict=True) if apart.any())


def _share(name: str, said: Int[np.ndarray, " n"], means: Int[np.ndarray, " n"], rng: np.random.Generator) -> Followed:
    chance = float(np.mean([(said == rng.permutation(means)).mean() for _ in range(20)]))
    return Followed(name, float((said == means).mean()), chance, len(said))


def named_layers(report: ConceptReport) -> Sequence[str]:
    """The layers of a report in their order."""
    return tuple(dict.fromkeys(f.layer for f in report.found))
