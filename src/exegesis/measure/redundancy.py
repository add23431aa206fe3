"""How much of a network can be taken away before its behaviour suffers: at random, and least important first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from exegesis.measure.units import Lesion, Units

FRACTIONS: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Redundancy:
    """What happens to the answers as units (neurons, channels, heads) are put at their mean.

    Attributes:
        units: how many there are in all layers.
        fractions: shares of them that are taken away.
        random: share of answers that stay, per seed and fraction.
        ordered: the same when the units whose own lesion moves the outputs least go first, per fraction.
        drop: the loss that counts as a loss.
        tolerated: how many random units can go, on average over seeds, before more answers than `drop` change; and the
            least and most over seeds.
        tolerated_ordered: the same, least important first.
    """

    units: int
    fractions: tuple[float, ...]
    random: tuple[tuple[float, ...], ...]
    ordered: tuple[float, ...]
    drop: float
    tolerated: tuple[float, float, float]
    tolerated_ordered: float


def redundancy(
    units: Units, alone: Float[np.ndarray, " total"], *, drop: float = 0.05, seeds: int = 5, seed: int = 0
) -> Redundancy:
    """Lesions growing sets of units.

    Args:
        units: the network over a split.
        alone: what the lesion of each unit alone does, as `importance` gives it.
        drop: share of answers that may change.
        seeds: how many random orders.
        seed: of these.
    """
    places = np.array([(layer.index, u) for layer in units.layers for u in range(layer.units)])
    sizes = [max(1, round(f * len(places))) for f in FRACTIONS]
    orders = [np.random.default_rng([seed, k]).permutation(len(places)) for k in range(seeds)]
    orders.append(np.argsort(alone, kind="stable"))
    lesions = [_lesion(places[order[:size]]) for order in orders for size in sizes]
    kept = units.kept(lesions).reshape(len(orders), len(sizes))
    lost = [tolerated(kept[k], sizes, drop) for k in range(seeds)]
    return Redundancy(
        units=len(places),
        fractions=FRACTIONS,
        random=tuple(tuple(float(v) for v in row) for row in kept[:-1]),
        ordered=tuple(float(v) for v in kept[-1]),
        drop=drop,
        tolerated=(float(np.mean(lost)), min(lost), max(lost)),
        tolerated_ordered=tolerated(kept[-1], sizes, drop),
    )


def importance(units: Units) -> Float[np.ndarray, " total"]:
    """How far the lesion of each unit alone (to its mean) moves the outputs: the mean squared change, centred over
    outputs, for all units of all layers in order."""
    clean = units.logits
    found = []
    for layer in units.layers:
        for start in range(0, layer.units, 64):
            lesions = [Lesion({layer.index: [u]}) for u in range(start, min(start + 64, layer.units))]
            moved = units.logits_under(lesions) - clean
            moved = moved - moved.mean(-1, keepdims=True) if moved.shape[-1] > 1 else moved
            found.append((moved**2).mean((1, 2)))
    whole: Float[np.ndarray, " total"] = np.concatenate(found)
    return whole


def _lesion(places: Int[np.ndarray, "k two"]) -> Lesion:
    return Lesion({int(layer): places[places[:, 0] == layer, 1] for layer in np.unique(places[:, 0])})


def tolerated(kept: Float[np.ndarray, " f"], sizes: Sequence[int], drop: float) -> float:
    """How many units can go before answers drop by more than so much, between the measured sizes by interpolation."""
    below = np.flatnonzero(kept < 1 - drop)
    if not len(below):
        return float(sizes[-1])
    k = int(below[0])
    before, size = (1.0, 0) if k == 0 else (float(kept[k - 1]), sizes[k - 1])
    share = (before - (1 - drop)) / max(before - float(kept[k]), 1e-12)
    return float(size + share * (sizes[k] - size))
