"""Writes what nobody could read in as few and as small whole numbers as keep the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from exegesis.ir import Array, Graph, legible_share, price
from exegesis.ir.heads import HEADS
from exegesis.measure import Bench
from exegesis.passes.compressing.least_squares import quantised
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.composed.bases import in_own_bases
from exegesis.passes.raising.composed.weights import (
    Weight,
    matrix,
    moments,
    read_and_given,
    stages,
    weights_of,
    with_steps,
)

NAME = "round_rest"
SCALES: tuple[float, ...] = tuple(float(s) for s in np.geomspace(0.002, 8, 48))
"""Steps, in units of the root mean square of a weight, before weights are compared with each other."""

_PROBE = 0.3
_APART = 100.0


@dataclass(frozen=True)
class RoundRest:
    """Writes the weights of opaque nodes as whole numbers of steps.

    What: heads in the bases of their products, then one step per weight; many numbers become zero and the others
    small. Rows that are still to come make up for what rounding lost (least squares on the program's own values; no
    labels, no training).

    Why valid: of held-out answers at most a given share changes. It makes nothing clearer: a rounded part is as opaque
    as before, but how much there is of it is no longer hidden behind digits that the behaviour does not need.

    A program that is mostly opaque still gives way to the network as it was lifted: every edge that was cut and every
    head that was raised on the way cost answers, and what reads a raised head pays for tables that it did not need
    before.

    Refuses: weights that several nodes share; a program that gives answers already.

    Attributes:
        loss: the share of held-out answers that may change.
        tokens: about how many positions are fitted to.
        mostly: what was pruned and raised is kept from this legible share on.
    """

    loss: float = 0.001
    tokens: int = 4096
    mostly: float = 0.5

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """Real outputs, which the weights can be weighed against each other by, and weights of its own."""
        if graph[graph.outputs[0]].type.kind != "real":
            return "the program gives answers already"
        return None if weights_of(graph) else "nothing opaque has weights of its own"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The coarsest steps that keep enough of the answers."""
        start = self._start(graph, setting.network)
        floor = setting.held.agreement(start) - self.loss
        rounder = Rounder(in_own_bases(start), setting.fit.sample(self.tokens))
        found = coarsest(rounder.at, lambda g: setting.held.agreement(g) >= floor)
        if found is None or price(found).opaque_bits >= price(graph).opaque_bits:
            return Outcome(graph, (Attempt("weights", "no steps are fine enough, or none save bits", False),))
        return Outcome(found, tuple(_told(found, w) for w in rounder.weights))

    def _start(self, graph: Graph, network: Graph | None) -> Graph:
        """The program, or the lifted network with what was found out about it in words."""
        if network is None or legible_share(graph) >= self.mostly:
            return graph
        told = [replace(n, doc=graph[n.id].doc if n.id in graph.by_id else n.doc) for n in network.nodes]
        heads = {label: {**h, "replaced": False} for label, h in graph.meta.get(HEADS, {}).items()}
        return replace(network.with_nodes(told), meta={**network.meta, **graph.meta, HEADS: heads})


@dataclass(frozen=True, eq=False)
class Rounder:
    """A program whose opaque weights can be written at any coarseness.

    Attributes:
        graph: the program.
        fit: inputs to fit on.
    """

    graph: Graph
    fit: Bench

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """What is rounded."""
        return weights_of(self.graph)

    def at(self, scale: float) -> Graph:
        """The program with every weight a whole number of steps; later weights make up for earlier ones."""
        graph = self.graph
        for stage in stages(self.graph, self.weights):
            learned = [w for w in stage if graph[w.node].op != "component.embed"]
            seen = read_and_given(self.fit, graph, learned)
            for where in stage:
                step = float(f"{scale * self._steps[where.node]:.3g}")
                plain = matrix(graph[where.node], graph.tensors[where.name])
                if where in learned:
                    about = moments(seen[where.node][0], self._targets[where.node])
                    counts = quantised(about, about.fitted(plain), step)
                else:
                    counts = np.rint(plain / step).astype(np.int64)
                graph = with_steps(graph, where, counts, step)
        return graph

    @cached_property
    def _targets(self) -> dict[str, Array]:
        """What every node gives in the program as it is."""
        learned = [w for w in self.weights if self.graph[w.node].op != "component.embed"]
        return {node: given for node, (_, given) in read_and_given(self.fit, self.graph, learned).items()}

    @cached_property
    def _steps(self) -> dict[str, float]:
        """Steps at scale 1 by node: in proportion to sqrt(numbers / harm), best where errors add up and bits are
        logarithms."""
        clean, found, sizes = self._outputs(self.graph), {}, {}
        for where in self.weights:
            plain = matrix(self.graph[where.node], self.graph.tensors[where.name])
            sizes[where.node] = max(float(np.sqrt((plain**2).mean())), 1e-9)
            step = float(f"{_PROBE * sizes[where.node]:.3g}")
            rounded = with_steps(self.graph, where, np.rint(plain / step).astype(np.int64), step)
            harm = float(((self._outputs(rounded) - clean) ** 2).mean())
            found[where.node] = float(np.sqrt(plain.size / max(harm, 1e-12)))
        middle = float(np.exp(np.mean(np.log(list(found.values())))))
        return {k: sizes[k] * float(np.clip(v / middle, 1 / _APART, _APART)) for k, v in found.items()}

    def _outputs(self, graph: Graph) -> Float[np.ndarray, "n outputs"]:
        out = graph.outputs[0]
        found: Float[np.ndarray, "n outputs"] = self.fit.at_scored(graph, [out])[out].astype(np.float64)
        return found


def coarsest(make: Callable[[float], Graph], keeps: Callable[[Graph], bool]) -> Graph | None:
    """What is made at the coarsest scale that still keeps the answers, by bisection; None where the finest does not."""
    low, high = -1, len(SCALES)
    best: Graph | None = None
    while high - low > 1:
        middle = (low + high) // 2
        graph = make(SCALES[middle])
        if keeps(graph):
            low, best = middle, graph
        else:
            high = middle
    return best


def _told(graph: Graph, where: Weight) -> Attempt:
    counts = graph.tensors[where.name]
    nonzero, values = float((counts != 0).mean()), len(np.unique(counts))
    step = float(graph[where.node].attrs["step"])
    outcome = f"{nonzero:.0%} of {counts.size:,} numbers left, {values} different ones, step {step:g}"
    return Attempt(where.node, outcome, True, (("nonzero", nonzero), ("values", float(values))))
