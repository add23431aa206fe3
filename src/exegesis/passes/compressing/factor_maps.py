"""Writes wide maps as two thin ones, where the directions that the behaviour needs are few and the price falls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from exegesis.ir import Axis, Graph, Node, price
from exegesis.ir.price import tensor_bits
from exegesis.measure.sensitivity import sensitivities
from exegesis.passes.compressing.drop_units import strongest
from exegesis.passes.compressing.least_squares import Moments, quantised
from exegesis.passes.compressing.maps import Map, maps_of, matrix, moments
from exegesis.passes.compressing.quantise_weights import SCALES, Quantiser
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

RANKS: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
CUT = 0.25  # of the harm that rounding a map does, its missing directions may do so much
_SPLITS = 10  # bisections of a step
_TINY = 1e-6  # of the largest sensitivity: directions that outputs feel less are as if they felt so much


@dataclass(frozen=True, eq=False)
class Factors:
    """A map as two: x @ narrow @ wide.

    Attributes:
        narrow: [k, r].
        wide: [r, m].
        bits: what both cost as whole numbers, as coarse as the map itself was.
    """

    narrow: Float[np.ndarray, "k r"]
    wide: Float[np.ndarray, "r m"]
    bits: float


@dataclass(frozen=True, eq=False)
class Felt:
    """A map with what it reads and what outputs feel of what it gives.

    Attributes:
        weight: [k, m].
        about: what it reads and gives.
        by: how much outputs feel of a change of what it gives, [m, m].
    """

    weight: Float[np.ndarray, "k m"]
    about: Moments
    by: Float[np.ndarray, "m m"]

    def harm(self, weight: Float[np.ndarray, "k m"]) -> float:
        """How far outputs move, on average and squared, when another weight takes its place (with its best bias)."""
        gap = self.weight - weight
        return float(((self.about.xx @ gap) * (gap @ self.by)).sum())

    @cached_property
    def directions(self) -> tuple[Float[np.ndarray, "k r"], Float[np.ndarray, "r m"]]:
        """The map as a product, the directions first that outputs feel most.

        The singular vectors of C^½ W M^½, for the covariance C of what is read and the sensitivity M: cut off anywhere,
        their product is the closest of its rank as outputs feel it (Eckart and Young 1936, in these two metrics).
        """
        root_c, inverse_c = _roots(self.about.damped)
        root_m, inverse_m = _roots(self.by)
        left, size, right = np.linalg.svd(root_c @ self.weight @ root_m, full_matrices=False)
        half = np.sqrt(size)
        return inverse_c @ left * half, half[:, None] * right @ inverse_m

    def factors(self, rank: int, harm: float) -> Factors | None:
        """Two thin maps that harm the outputs no more than this as whole numbers, as coarse as that allows."""
        narrow, wide = (m[:, :rank] if at == 0 else m[:rank] for at, m in enumerate(self.directions))
        if self.harm(narrow @ wide) > CUT * harm:
            return None
        share = self._share(narrow, wide)
        low, high = -6.0, 1.0  # log10 of the step of the first, in its own size
        best: Factors | None = None
        for _ in range(_SPLITS):
            middle = (low + high) / 2
            step = 10**middle * float(np.sqrt((narrow**2).mean()))
            made, numbers = self._rounded(narrow, wide, step, share * step)
            if self.harm(made) <= harm:
                low, best = middle, Factors(narrow, wide, sum(tensor_bits(n) for n in numbers))
            else:
                high = middle
        return best

    def _share(self, narrow: Float[np.ndarray, "k r"], wide: Float[np.ndarray, "r m"]) -> float:
        """The step of the second factor in steps of the first, so that rounding either harms alike."""
        rank = narrow.shape[1]
        first = np.trace(self.about.xx) / len(narrow) * np.trace(wide @ self.by @ wide.T) / rank
        second = np.trace(narrow.T @ self.about.xx @ narrow) / rank * np.trace(self.by) / wide.shape[1]
        return float(np.sqrt(max(first, 1e-30) / max(second, 1e-30)))

    def _rounded(
        self, narrow: Float[np.ndarray, "k r"], wide: Float[np.ndarray, "r m"], step: float, other: float
    ) -> tuple[Float[np.ndarray, "k m"], tuple[Int[np.ndarray, "k r"], Int[np.ndarray, "r m"]]]:
        first = quantised(self.about, narrow, step)
        through, about = first * step, self.about
        read = through.T @ about.xx @ through
        seen = Moments(
            about.mean_x @ through, about.mean_z, read, through.T @ about.xx @ self.weight, about.zz, about.n
        )
        second = quantised(seen, seen.fitted(wide), other)
        return through @ (second * other), (first, second)


def _roots(matrix: Float[np.ndarray, "d d"]) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d d"]]:
    """The square root of a covariance, and its inverse."""
    size, basis = np.linalg.eigh(matrix)
    size = size.clip(max(float(size.max()), 1e-30) * _TINY)
    return (basis * np.sqrt(size)) @ basis.T, (basis / np.sqrt(size)) @ basis.T


@dataclass(frozen=True)
class FactorMaps:
    """Writes wide maps as two thin ones.

    What: a linear map, or a convolution, becomes one to a few directions and one from there to where it led. Directions
    are chosen by what outputs feel of them on the network's own activations, not by the size of the weights.

    Why valid: two thin maps of whole numbers cost fewer bits than one wide map of whole numbers that keeps as many of
    the answers on held-out inputs. Both are rounded before they are compared: a rounded map is sparse, and its rank
    alone says nothing about its length. What the map gives stays at its place in the network.

    Refuses: grouped convolutions; maps that the steps of a recurrent layer share; maps whose factors, rounded, are no
    shorter; those with which the whole program, rounded, is no shorter at the same answers.

    Attributes:
        floor: the share of answers at which both are compared, judged as by `strongest`.
        least: the program must become shorter by this share of the map's own bits.
    """

    floor: float = 0.99
    least: float = 0.05
    name: str = "factor_maps"
    stage: str = "prune"
    guarantee: Guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A network with maps."""
        return None if maps_of(graph) else "the network has no maps of its own"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The network with thin maps in the place of wide ones, one after another, where that is shorter."""
        network = setting.network or graph
        rounded = self._rounded(graph, network, setting)
        if rounded is None:
            return Outcome(graph, (Attempt("all maps", "no step is fine enough to compare at", False),))
        shortest, attempts = price(rounded).opaque_bits, []
        for where, cost, best in self._candidates(graph, rounded, setting):
            figures: tuple[tuple[str, float], ...] = (("bits", cost),)
            said, pays = "no rank is shorter", False
            if best is not None and best.bits < cost:
                thin = factored(graph, where, best)
                whole = self._rounded(thin, network, setting)
                after = np.inf if whole is None else price(whole).opaque_bits
                said, pays = f"rank {best.narrow.shape[1]}", bool(after < shortest - self.least * cost)
                figures = (*figures, ("bits, factored", best.bits), ("program before", shortest))
                if whole is not None:
                    figures = (*figures, ("program after", after))
                if pays:
                    graph, shortest = thin, float(after)
            attempts.append(
                Attempt(where.nodes[0], said if pays else f"{said}, the program is no shorter", pays, figures)
            )
        return Outcome(graph, tuple(attempts))

    def _rounded(self, graph: Graph, network: Graph, setting: Setting) -> Graph | None:
        return strongest(SCALES, Quantiser.of(graph, network, setting.fit).at, setting.held, self.floor)[0]

    def _candidates(self, graph: Graph, rounded: Graph, setting: Setting) -> list[tuple[Map, float, Factors | None]]:
        """Every map with its bits when rounded and its cheapest factors, those first that save most."""
        fit = setting.fit
        maps = [m for m in maps_of(graph) if len(m.nodes) == 1 and graph[m.nodes[0]].attrs.get("groups", 1) == 1]
        felt = sensitivities(graph, fit, [m.nodes[0] for m in maps], seed=setting.seed)
        found: list[tuple[Map, float, Factors | None]] = []
        for where in maps:
            name = where.nodes[0]
            about = Felt(matrix(graph, graph[name])[0], moments(fit, graph, graph, where)[0], felt[name])
            harm = about.harm(matrix(rounded, rounded[name])[0])
            tried = [about.factors(r, harm) for r in RANKS if r < min(about.weight.shape)]
            best = min((f for f in tried if f is not None), key=lambda f: f.bits, default=None)
            found.append((where, tensor_bits(rounded.tensors[where.weight]), best))
        return sorted(found, key=lambda one: (0.0 if one[2] is None else one[2].bits) - one[1])


def factored(graph: Graph, where: Map, by: Factors) -> Graph:
    """The graph with two maps in the place of one; the second keeps its name, its bias and its place in the network."""
    rank = by.narrow.shape[1]
    first = graph[where.nodes[0]]
    narrow, axis = f"{where.weight}.narrow", f"{first.id}_directions"
    linear = first.op == "component.linear"
    kernel = graph.tensors[where.weight].shape[2:]
    tensors = {
        narrow: (by.narrow if linear else by.narrow.T.reshape(rank, -1, *kernel)).astype(np.float32),
        where.weight: (by.wide if linear else by.wide.T.reshape(-1, rank, 1, 1)).astype(np.float32),
    }
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.id in where.nodes:
            at = len(node.type.axes) - 1 if linear else 1
            axes = (*node.type.axes[:at], axis, *node.type.axes[at + 1 :])
            thin = replace(
                node, id=f"{node.id}.narrow", type=replace(node.type, axes=axes), tensors={"weight": narrow}, sites=()
            )
            pointwise = {} if linear else {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
            nodes += [thin, replace(node, inputs=(thin.id,), attrs={**node.attrs, **pointwise})]
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, tensors=tensors, axes={axis: Axis(axis, rank)})
