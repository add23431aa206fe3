"""Drops units, channels and entries of the input that the behaviour does not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from exegesis.evidence.intervals import clopper_pearson
from exegesis.ir import Graph
from exegesis.measure import Bench
from exegesis.passes.compressing.least_squares import Removal, removal
from exegesis.passes.compressing.maps import Map, maps_of, matrix, moments, with_weight
from exegesis.passes.compressing.sources import Source, UnitSource, sources_of, without
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

TOLERANCES: tuple[float, ...] = tuple(float(t) for t in np.geomspace(1e-6, 0.6, 40))
"""Shares of the variance of what is read from a layer that its dropped units may cost."""


@dataclass(eq=False)
class Shrinker:
    """A graph from which units can be taken away, at any tolerance.

    Attributes:
        network: the graph as lifted, whose values are the targets.
        fit: inputs to fit on.
        sources: what may be dropped.
        removals: for each source, in which order its units go and what that costs.
    """

    network: Graph
    fit: Bench
    sources: tuple[Source, ...] = ()
    removals: tuple[Removal, ...] = ()

    @classmethod
    def of(cls, network: Graph, fit: Bench) -> Shrinker:
        """Looks at every source of a lifted network."""
        sources = sources_of(network)
        removals = []
        for source in sources:
            readers = [m for reader in source.readers for m in moments(fit, network, network, reader)]
            removals.append(removal(readers, source.units))
        return cls(network, fit, sources, tuple(removals))

    def masks(self, tolerance: float) -> list[Bool[np.ndarray, " units"]]:
        """Which units of each source stay."""
        return [r.kept(tolerance) for r in self.removals]

    def at(self, tolerance: float) -> Graph:
        """The network without the units that cost no more than this, the others making up for them."""
        graph, columns = self.network, dict[str, NDArray[np.bool_]]()
        for source, kept in zip(self.sources, self.masks(tolerance), strict=True):
            if isinstance(source, UnitSource):
                columns[source.writer.weight] = kept
                graph = without(graph, source, kept)
            else:
                mask = self._among_kept(source.value, kept, columns)
                graph = without(graph, _renewed(source, graph), mask)
        for where in maps_of(graph):
            graph = refitted(graph, self.network, self.fit, where, columns.get(where.weight))
        return graph

    def _among_kept(
        self, value: str, kept: Bool[np.ndarray, " units"], columns: dict[str, NDArray[np.bool_]]
    ) -> Bool[np.ndarray, " left"]:
        """A mask over the entries of a value, over those alone whose units were not dropped before."""
        for source in self.sources:
            if isinstance(source, UnitSource) and value in source.between:
                units = columns[source.writer.weight]
                left: Bool[np.ndarray, " left"] = kept[np.repeat(units, len(kept) // len(units))]
                return left if left.any() else ~left
        return kept


def _renewed(source: Source, graph: Graph) -> Source:
    """The same source in a graph where earlier ones have lost units."""
    return next(s for s in sources_of(graph) if s.name == source.name and type(s) is type(source))


def refitted(
    graph: Graph, network: Graph, fit: Bench, where: Map, columns: Bool[np.ndarray, " units"] | None = None
) -> Graph:
    """The graph with a map that comes as close to the network's own values as what it reads allows."""
    kept = None if columns is None else np.flatnonzero(columns)
    seen = moments(fit, graph, network, where, kept)
    weights = [m.fitted(w) for m, w in zip(seen, matrix(graph, graph[where.nodes[0]]), strict=True)]
    biases = [m.bias(w) for m, w in zip(seen, weights, strict=True)]
    return with_weight(graph, where, np.stack(weights), np.stack(biases))


@dataclass(frozen=True)
class DropUnits:
    """Drops units that the others can stand in for.

    What: neurons of dense layers, channels of convolutions, pixels, and places of pictures that were laid flat. The
    maps that read them take over what they carried, as far as the rest can say it, by least squares on the values that
    the network itself has there; labels are not looked at, and nothing is trained.

    Why valid: a kept unit still stands for the same unit of the network, and can be exchanged with it. What is dropped
    is chosen by its effect on what reads it, and the whole must keep the answers on inputs that were not fitted to.

    Refuses: units read by anything but maps (a residual stream, a gate, a recurrent state), and grouped convolutions.

    Attributes:
        floor: the share of answers that must stay, judged by the lower bound from held-out inputs (see `assured`).
    """

    floor: float = 0.994
    name: str = "drop_units"
    stage: str = "prune"
    guarantee: Guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A network over arrays with something to drop."""
        return None if sources_of(graph) else "no units are read by maps alone"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The smallest network that keeps enough of the answers."""
        shrinker = Shrinker.of(graph, setting.fit)
        found, tolerance, agreement = strongest(TOLERANCES, shrinker.at, setting.held, self.floor)
        if found is None:
            return Outcome(graph, tuple(Attempt(s.name, "every unit is needed", False) for s in shrinker.sources))
        attempts = []
        for source, kept in zip(shrinker.sources, shrinker.masks(tolerance), strict=True):
            what = "units" if isinstance(source, UnitSource) else "entries"
            gone = int((~kept).sum())
            figures = (("kept", float(kept.sum())), ("of", float(len(kept))), ("tolerance", tolerance))
            attempts.append(
                Attempt(source.name, f"{gone} of {len(kept)} {what} dropped", gone > 0, (*figures, ("held", agreement)))
            )
        return Outcome(found, tuple(attempts))


def strongest(
    settings: tuple[float, ...], make: Callable[[float], Graph], held: Bench, floor: float
) -> tuple[Graph | None, float, float]:
    """The last of ascending settings at which what is made of it is still good enough, by bisection.

    Args:
        settings: ascending in strength.
        make: the graph at one setting.
        held: inputs that nothing was fitted to.
        floor: the share of answers that must stay, judged by a lower bound; where there are too few inputs to assure
            as much, all of them must stay.

    Returns:
        The graph, its setting, and its agreement on `held`; None, 0 and 0 where even the first is too strong.
    """
    needed = min(floor, assured(1.0, held.n))
    low, high = -1, len(settings)
    best: tuple[Graph | None, float, float] = (None, 0.0, 0.0)
    while high - low > 1:
        middle = (low + high) // 2
        graph = make(settings[middle])
        agreement = held.agreement(graph)
        if assured(agreement, held.n) >= needed:
            low, best = middle, (graph, settings[middle], agreement)
        else:
            high = middle
    return best


def assured(agreement: float, n: int) -> float:
    """The share of answers that stay, which n held-out answers make 90 % sure (Clopper and Pearson, one-sided).

    Few inputs assure little, so that less is taken away where there are few.
    """
    return clopper_pearson(round(agreement * n), n, 0.8)[0]
