"""How few units of a module carry a mark: it is silenced unit by unit, those first that pass on most of the mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import default_rng

from exegesis.pipeline.marked_pairs import Members, Pairs

UNDONE = 0.05  # of the answers that the mark turns: as many may still be turned
SLACK = 0.005
DRAWS = 9  # random sets per dose


@dataclass(frozen=True)
class Dose:
    """So many units silenced, on inputs that nothing was chosen on.

    Attributes:
        units: how many.
        turned, spared: share of pairs whose answer the mark still changes, and of answers without it that stay.
        random_turned: what the mark changes without random units of equal number, on average.
    """

    units: int
    turned: float
    spared: float
    random_turned: float

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"units": self.units, "turned": self.turned, "spared": self.spared, "random_turned": self.random_turned}


@dataclass(frozen=True, eq=False)
class Few:
    """The fewest units of a module that undo a mark as the whole of it does.

    Attributes:
        members: these units, chosen on one half of the pairs.
        turned_without, random_turned, spared, random_spared, p: what becomes of the other half without them, beside
            random units.
        doses: the response to ever more units, on the other half.
    """

    members: Members
    turned_without: float
    random_turned: float
    spared: float
    random_spared: float
    p: float
    doses: tuple[Dose, ...]

    @property
    def size(self) -> int:
        """How many units."""
        return sum(len(u) for u in self.members.values())


def fewest(first: Pairs, second: Pairs, members: Members, *, randoms: int, seed: int) -> Few:
    """Cuts a module down to the units that carry a mark.

    Args:
        first, second: pairs to choose on and pairs to judge on.
        members: the module.
        randoms: how many random sets of as many units.
        seed: of what is drawn.
    """
    order = first.carried(members)
    whole, _ = first.without(members)
    bound = max(UNDONE * first.turned, whole + SLACK)
    sizes = _sizes(len(order))
    chosen = next((k for k in sizes if first.without(_of(order[:k]))[0] <= bound), len(order))
    low = max((k for k in sizes if k < chosen), default=0)
    while chosen - low > 1:  # between two doses, by halves
        middle = (low + chosen) // 2
        enough = first.without(_of(order[:middle]))[0] <= bound
        low, chosen = (low, middle) if enough else (middle, chosen)
    few = _of(order[:chosen])
    turned, spared = second.without(few, first.means)
    drawn = np.array([_random(first, second, few, [seed, 67, r]) for r in range(randoms)])
    doses = []
    for k in sorted({*sizes, chosen}):
        own = _of(order[:k])
        at = second.without(own, first.means)
        usual = np.mean([_random(first, second, own, [seed, 71, k, r])[0] for r in range(DRAWS)])
        doses.append(Dose(k, *at, float(usual)))
    p = float((1 + (drawn[:, 0] <= turned).sum()) / (1 + randoms))
    return Few(few, turned, float(drawn[:, 0].mean()), spared, float(drawn[:, 1].mean()), p, tuple(doses))


def _random(first: Pairs, second: Pairs, members: Members, seed: Sequence[int]) -> tuple[float, float]:
    """Turned and spared without random units of equal number."""
    return second.without(first.random_like(members, default_rng(list(seed))), first.means)


def _of(entries: Sequence[tuple[str, int]]) -> Members:
    found: dict[str, list[int]] = {}
    for name, unit in entries:
        found.setdefault(name, []).append(unit)
    made: Mapping[str, np.ndarray] = {name: np.sort(np.array(units)) for name, units in found.items()}
    return made


def _sizes(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16 … and all."""
    steps = [k * 2**i for i in range(32) for k in (2, 3)]
    return sorted({1, *(k for k in steps if k < most), most})
