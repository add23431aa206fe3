"""Writes weights as whole numbers of steps: the coarsest steps, and the most zeros, that keep the behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from exegesis.ir import Graph
from exegesis.measure import Bench
from exegesis.passes.compressing.drop_units import strongest
from exegesis.passes.compressing.least_squares import Moments, quantised
from exegesis.passes.compressing.maps import Map, maps_of, matrix, moments, with_weight
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

SCALES: tuple[float, ...] = tuple(float(s) for s in np.geomspace(0.02, 20, 64))
"""Steps, in units of the root mean square of a weight, before layers are weighed against each other."""


@dataclass(eq=False)
class Quantiser:
    """A graph whose weights can be written as whole numbers, at any coarseness.

    Attributes:
        graph: the program.
        network: whose values its maps should give.
        fit: inputs to fit on.
        columns: per weight, which of the network's units the program still has; None: all.
        share: per weight, its step relative to the others'.
    """

    graph: Graph
    network: Graph
    fit: Bench
    maps: tuple[Map, ...]
    columns: dict[str, Int[np.ndarray, " m"]]
    share: dict[str, float]
    _first: dict[str, list[Moments]]

    @classmethod
    def of(cls, graph: Graph, network: Graph, fit: Bench) -> Quantiser:
        """Weighs the layers against each other: a step costs more where outputs suffer more for every bit saved."""
        maps = maps_of(graph)
        columns = {m.weight: c for m in maps if (c := _columns(graph, network, m)) is not None}
        made = cls(graph, network, fit, maps, columns, dict.fromkeys((m.weight for m in maps), 1.0), {})
        made.share = made._weighed()
        return made

    def _weighed(self) -> dict[str, float]:
        """Steps in proportion to sqrt(numbers / sensitivity): best where errors add up and bits are logarithms."""
        clean = _outputs(self.fit, self.graph)
        found = {}
        for where in self.maps:
            changed = self._with(self.graph, where, 1.0)
            error = float(((_outputs(self.fit, changed) - clean) ** 2).mean())
            size = self.graph.tensors[where.weight].size
            found[where.weight] = float(np.sqrt(size / max(error, 1e-12)))
        middle = float(np.exp(np.mean(np.log(list(found.values())))))
        return {k: float(np.clip(v / middle, 0.1, 10)) for k, v in found.items()}

    def at(self, scale: float) -> Graph:
        """The program with every weight a whole number of steps, first maps first: later ones make up for them."""
        graph = self.graph
        for where in self.maps:
            graph = self._with(graph, where, scale * self.share[where.weight])
        return graph

    def _with(self, graph: Graph, where: Map, scale: float) -> Graph:
        seen = self._moments(graph, where)
        weights = [m.fitted(w) for m, w in zip(seen, matrix(graph, graph[where.nodes[0]]), strict=True)]
        size = float(np.sqrt(np.mean([(w**2).mean() for w in weights])))
        step = float(f"{max(size * scale, 1e-9):.3g}")
        whole = [quantised(m, w, step) for m, w in zip(seen, weights, strict=True)]
        biases = [m.bias(w * step) for m, w in zip(seen, whole, strict=True)]
        return with_weight(graph, where, np.stack(whole), np.stack(biases), step)

    def _target(self, where: Map) -> Graph:
        """Where a map's values come from: the network, or the program as it was where the network has no such map."""
        return self.network if where.nodes[0] in self.network.by_id else self.graph

    def _moments(self, graph: Graph, where: Map) -> list[Moments]:
        """Moments of a map; what depends on no other map is computed once."""
        before = graph.upstream([graph[n].inputs[0] for n in where.nodes])
        if any(n in before for m in self.maps for n in m.nodes):
            return moments(self.fit, graph, self._target(where), where, self.columns.get(where.weight))
        if where.weight not in self._first:
            self._first[where.weight] = moments(
                self.fit, graph, self._target(where), where, self.columns.get(where.weight)
            )
        return self._first[where.weight]


def _columns(graph: Graph, network: Graph, where: Map) -> Int[np.ndarray, " m"] | None:
    """Which of the network's units a map still has: read off the sites of what it gives."""
    node = graph[where.nodes[0]]
    if node.id not in network.by_id:  # the first of two factors
        return None
    at = 1 if node.op == "component.linear" else 0
    before, now = (g.tensors[where.weight].shape[at] for g in (network, graph))
    if before == now:
        return None
    chosen = [number for site in node.sites[:1] for _, number in site.index]
    assert len(chosen) == now
    return np.array(chosen)


def _outputs(bench: Bench, graph: Graph) -> Float[np.ndarray, "n outputs"]:
    out = graph.outputs[0]
    found: Float[np.ndarray, "n outputs"] = bench.at_scored(graph, [out])[out].astype(np.float64)
    return found


@dataclass(frozen=True)
class QuantiseWeights:
    """Writes every weight as a whole number of steps.

    What: one step per map; most numbers become zero and the others small. Rounding goes row by row, and the rows that
    are still to come make up for what was lost (least squares on the network's own values, no labels, no training).

    Why valid: the program keeps the answers on inputs that were not fitted to, and its units still stand for the
    network's. How much a weight costs is said by `exegesis.ir.price`: fewer and smaller whole numbers cost fewer bits.

    Refuses: weights that maps and other operations share.

    Attributes:
        floor: the share of answers that must be the network's, judged by the lower bound from held-out inputs.
    """

    floor: float = 0.99
    name: str = "quantise_weights"
    stage: str = "prune"
    guarantee: Guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A network with maps."""
        return None if maps_of(graph) else "the network has no maps of its own"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The coarsest steps that keep enough of the answers."""
        quantiser = Quantiser.of(graph, setting.network or graph, setting.fit)
        found, scale, agreement = strongest(SCALES, quantiser.at, setting.held, self.floor)
        if found is None:
            return Outcome(graph, (Attempt("all maps", "no step is fine enough", False),))
        attempts = []
        for where in quantiser.maps:
            weight = found.tensors[where.weight]
            nonzero, values = float((weight != 0).mean()), len(np.unique(weight))
            step = found[where.nodes[0]].attrs["step"]
            outcome = f"{nonzero:.0%} of {weight.size:,} numbers left, {values} different ones, step {step:g}"
            figures = (("nonzero", nonzero), ("values", float(values)), ("held", agreement), ("scale", scale))
            attempts.append(Attempt(where.nodes[0], outcome, True, figures))
        return Outcome(found, tuple(attempts))
