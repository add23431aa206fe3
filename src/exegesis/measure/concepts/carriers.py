"""The units that carry a concept which inputs either show or not: a trigger, a mark, a colour cast.

Inputs come in pairs that differ in the concept alone. Units are ordered by how much of the change of the answer passes
through them (activation difference times gradient); the fewest that undo it are taken on one half of the pairs, and
judged on the other half beside random ones that the concept changes too. Where whole channels are too coarse, their
neurons at single places are tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import default_rng

from exegesis.measure.concepts.causal import LayerState
from exegesis.measure.concepts.labelled import ConceptError, Labelled

UNDONE = 0.05
SPARED = 0.98
RANDOMS = 100
Sides: TypeAlias = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]


@dataclass(frozen=True, eq=False)
class Carriers:
    """A set of units of one layer that carries a concept.

    Attributes:
        layer: number of the layer.
        units: which, most telling first.
        places: for single neurons of channels, the place of each, [u, axes]; None for whole units.
        turned: share of inputs whose answer the concept changes, with the network as it is.
        turned_without: the same with these units held at their mean over inputs without the concept.
        random_turned: the same for as many random units of the layer that the concept changes too.
        spared: share of answers on inputs without the concept that stay, with these units held.
        random_spared: the same for random units.
        p: how often random units undo the concept as much.
        answer: the answer that the concept mostly leads to.
        enough: whether they undo it to 5 % and spare 98 % on the pairs they were chosen on.
    """

    layer: int
    units: Int[np.ndarray, " u"]
    places: Int[np.ndarray, "u axes"] | None
    turned: float
    turned_without: float
    random_turned: float
    spared: float
    random_spared: float
    p: float
    answer: int
    enough: bool


def carriers(
    first: LayerState,
    second: LayerState,
    halves: tuple[Labelled, Labelled],
    *,
    randoms: int = RANDOMS,
    seed: int = 0,
) -> Carriers:
    """Finds the units of a layer that carry a concept.

    Args:
        first, second: the layer on the two halves of the pairs.
        halves: which inputs show the concept (value 1 of the one attribute), each followed by its pair.
        randoms: random sets of units.
        seed: of these.

    Raises:
        ConceptError: inputs without pairs, or a concept that changes no answer.
    """
    sides = (_sides(halves[0]), _sides(halves[1]))
    width, units = first.values.shape[1], first.units.layers[first.layer].units
    found = _looked_for(first, second, sides, (units, width // units), randoms, seed)
    if found.enough or width == units:
        return found
    fine = _looked_for(first, second, sides, (width, 1), randoms, seed)
    if not fine.enough and fine.turned_without - fine.spared >= found.turned_without - found.spared:
        return found
    layer = first.units.layers[first.layer]
    order = (units, *layer.spatial) if layer.kind != "dense" else (*layer.spatial, units)
    index = np.stack(np.unravel_index(fine.units, order), 1)
    at = 0 if layer.kind != "dense" else index.shape[1] - 1
    return replace(fine, units=index[:, at], places=np.delete(index, at, 1))


def _looked_for(
    first: LayerState,
    second: LayerState,
    sides: tuple[Sides, Sides],
    shape: tuple[int, int],
    randoms: int,
    seed: int,
) -> Carriers:
    """Among units of which each has so many numbers, [units, numbers]."""
    centre = _by_unit(first.values[sides[0][0]], shape).mean(0)
    order = _ordered(first, sides[0], shape)
    turned = _turned(first, sides[0], order[:0], shape, centre)[0]
    if turned == 0:
        raise ConceptError("The concept changes no answer, so that nothing carries it to one.")
    chosen, enough, best = order[:1], False, np.inf
    for count in _counts(len(order)):
        left, spared = _turned(first, sides[0], order[:count], shape, centre)
        if left <= UNDONE * turned and spared >= SPARED:
            chosen, enough = order[:count], True
            break
        if left / turned + (1 - spared) < best:
            chosen, best = order[:count], left / turned + (1 - spared)
    own = _turned(second, sides[1], chosen, shape, centre)
    change = _by_unit(first.values[sides[0][1]] - first.values[sides[0][0]], shape)
    pool = np.flatnonzero(np.abs(change).max((0, 2)) > 1e-6)
    pool = pool if len(pool) > len(chosen) else np.arange(shape[0])
    drawn = np.array(
        [
            _turned(
                second, sides[1], default_rng([seed, 71, r]).choice(pool, len(chosen), replace=False), shape, centre
            )
            for r in range(randoms)
        ]
    )
    plain = second.answers(second.values)
    flipped = plain[sides[1][1]][plain[sides[1][1]] != plain[sides[1][0]]]
    return Carriers(
        layer=first.layer,
        units=chosen,
        places=None,
        turned=_turned(second, sides[1], order[:0], shape, centre)[0],
        turned_without=own[0],
        random_turned=float(drawn[:, 0].mean()),
        spared=own[1],
        random_spared=float(drawn[:, 1].mean()),
        p=float((1 + (drawn[:, 0] <= own[0]).sum()) / (1 + randoms)),
        answer=int(np.bincount(flipped).argmax()) if len(flipped) else -1,
        enough=enough,
    )


def _sides(half: Labelled) -> Sides:
    """Rows without and with the concept, pair by pair."""
    shown = half.attributes[0].of == 1
    absent, present = np.flatnonzero(~shown), np.flatnonzero(shown)
    if len(absent) != len(present) or not len(absent):
        raise ConceptError("Carriers need inputs in pairs, one without the concept and one with it.")
    return absent, present


def _by_unit(values: Float[np.ndarray, "n f"], shape: tuple[int, int]) -> Float[np.ndarray, "n u p"]:
    return values.reshape(len(values), *shape)


def _ordered(state: LayerState, sides: Sides, shape: tuple[int, int]) -> Int[np.ndarray, " u"]:
    """Units by how much of the margin between the two answers passes through them, at either end of the change."""
    absent, present = sides
    values = state.values
    said = state.answers(values)
    into, outof = said.copy(), said.copy()
    into[absent], outof[present] = said[present], said[absent]
    slope = state.slopes(into) - state.slopes(outof)
    slope = (slope[present] + slope[absent]) / 2
    passed = ((values[present] - values[absent]) * slope)[said[present] != said[absent]]
    if not len(passed):
        return np.arange(shape[0])
    return np.argsort(-_by_unit(passed, shape).sum((0, 2)), kind="stable")


def _turned(
    state: LayerState,
    sides: Sides,
    units: Int[np.ndarray, " u"],
    shape: tuple[int, int],
    centre: Float[np.ndarray, "_ p"],
) -> tuple[float, float]:
    """With some units held: share of pairs whose answers differ, and share of answers without the concept that stay."""
    absent, present = sides
    held = _by_unit(state.values.copy(), shape)
    held[:, units] = centre[units]
    said, plain = state.answers(held.reshape(len(held), -1)), state.answers(state.values)
    kept: Bool[np.ndarray, " p"] = said[absent] == plain[absent]
    return float((said[present] != plain[absent]).mean()), float(kept.mean())


def _counts(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12 … up to half of the units."""
    found = sorted({*range(1, 5), *(round(2 ** (e / 2)) for e in range(4, 24))})
    return [c for c in found if c <= max(1, most // 2)]
