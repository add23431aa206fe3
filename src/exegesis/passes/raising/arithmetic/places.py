"""Where the variables of an arithmetic program live in the network, found by interchange.

Frequencies do not stand in orthogonal planes, so that variables that a network holds in one value are exchanged
together, in the subspace that all of them span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from exegesis.ir import Graph, Node, Site
from exegesis.measure.exchanges import Basis, Drawn, Exchange, Part, Program, exchange
from exegesis.measure.pairs import Pairs

_ROWS = 512  # exchanges per place that is tried
_SAMPLE = 4096  # pairs that directions are found on
_SURE = 0.98
_ABOVE = 0.2  # how far an interchange must be above that of random subspaces


@dataclass(frozen=True, eq=False)
class Placed:
    """Variables and where they were found.

    Attributes:
        variables: their nodes in the program.
        parts: nodes of the network, and the subspace of the last axis of each.
        found: how the interchange went.
    """

    variables: tuple[str, ...]
    parts: tuple[Part, ...]
    found: Exchange

    @property
    def figures(self) -> dict[str, float]:
        """The interchange by name."""
        what = f"interchange of {', '.join(self.variables)} at {' and '.join(p.node.id for p in self.parts)}"
        return {what: self.found.accuracy, f"{what}, random subspaces": self.found.null}


def candidates(pairs: Pairs) -> Iterator[tuple[Node, ...]]:
    """Places between the tokens' vectors and the logits, in order: a node, or what a sum of the stream is made of.

    Of a sum its writers come first: they say more of where something comes from than the sum does.
    """
    graph = pairs.graph
    assert pairs.carriers is not None
    starts = {c.node for c in pairs.carriers}
    after = [graph.downstream([node]) for node in starts]
    ends = [n.id for n in graph.nodes if n.op == "component.linear" and n.attrs.get("role") == "unembed"]
    closed = graph.downstream([*ends, graph.outputs[0]])
    depends = graph.downstream(starts)
    for node in graph.nodes:
        if node.id in closed or node.id in starts or not all(node.id in a for a in after):
            continue
        writers = [i for i in node.inputs if i in depends]
        made = [_with_constants(graph, i) for i in writers]
        if node.op == "component.add" and len(made) > 1 and not starts.issuperset(writers) and all(map(_holds, made)):
            yield tuple(made)
        if _holds(node):
            yield (node,)


def _holds(node: Node) -> bool:
    """Whether a node is a value inside the network with one vector per input, or per position."""
    return bool(node.sites) and node.type.kind == "real" and len(node.type.axes) in (2, 3)


def _with_constants(graph: Graph, node_id: str) -> Node:
    """The tokens' vectors together with what is added to all of them alike, where that is one value."""
    sums = (
        n
        for n in graph.users(node_id)
        if n.op == "component.add" and n.sites and not any(_depends(graph, i) for i in n.inputs if i != node_id)
    )
    return next(sums, graph[node_id]) if graph[node_id].op == "component.embed" else graph[node_id]


def _depends(graph: Graph, node_id: str) -> bool:
    """Whether a node reads the tokens, beyond their number."""
    return any(graph[i].op == "component.embed" and _reads_tokens(graph, i) for i in graph.upstream([node_id]))


def _reads_tokens(graph: Graph, embed: str) -> bool:
    return graph[graph[embed].inputs[0]].op in ("input.tokens", "component.pick")


@dataclass(frozen=True, eq=False)
class Gathered:
    """Where gathered variables were found.

    Attributes:
        placed: the place; None where there is none.
        alone: how accurate an exchange of them alone is, where they stand together with what is made of them.
    """

    placed: Placed | None
    alone: float | None


class Search:
    """Looks for variables of a program in the network.

    Args:
        program: the program.
        least: the accuracy that an interchange must have.
        seed: draws pairs.
    """

    def __init__(self, program: Program, least: float, seed: int) -> None:
        self._program = program
        self._least = least
        self._seed = seed
        self._drawn = Drawn.of(program.pairs, _ROWS, seed)
        rng = np.random.default_rng(seed)
        self._rows = np.sort(rng.permutation(len(program.pairs.ids))[:_SAMPLE])

    def find(self, variables: Sequence[str]) -> Placed | None:
        """The best place, if it is good enough."""
        found = self.best(variables)
        return found if found is not None and self.accepts(found) else None

    def best(self, variables: Sequence[str], before: Sequence[Node] = ()) -> Placed | None:
        """The earliest place where exchanging variables does what the program says, nearly always; else the best place.

        Args:
            variables: real variables, with entries along their last axes, that are exchanged together.
            before: only places before these nodes.
        """
        pairs = self._program.pairs
        limit = pairs.graph.downstream([n.id for n in before]) if before else frozenset()
        values = [self._program.value(v, self._rows)[:, pairs.at].double().numpy() for v in variables]
        held = np.concatenate(values, axis=1)
        best: Placed | None = None
        for nodes in candidates(pairs):
            if any(n.id in limit for n in nodes):
                continue
            bases = [directions(held, pairs.values(n.id, self._rows).astype(np.float64)) for n in nodes]
            parts = tuple(Part(n, b) for n, b in zip(nodes, bases, strict=True) if b is not None)
            if len(parts) < len(nodes):
                continue
            found = exchange(self._program, variables, parts, self._drawn, place=pairs.at, seed=self._seed)
            if best is None or found.accuracy > best.found.accuracy:
                best = Placed(tuple(variables), parts, found)
            if found.accuracy >= _SURE:
                break
        return best

    def accepts(self, placed: Placed) -> bool:
        """Whether the interchange is accurate enough, and random subspaces do not do as well.

        Variables that fill more than half of their places leave nothing to compare them with.
        """
        roomy = any(2 * len(part.basis) <= part.basis.shape[1] for part in placed.parts)
        floor = placed.found.null + _ABOVE if roomy else 0.0
        return placed.found.accuracy >= max(self._least, floor)

    def at_carrier(self, variables: Sequence[str], which: int, basis: Basis) -> Placed:
        """Variables that are a part of the vectors of tokens, exchanged at one of the two tokens alone."""
        pairs = self._program.pairs
        assert pairs.carriers is not None
        carrier = pairs.carriers[which]
        part = Part(pairs.graph[carrier.node], basis)
        found = exchange(self._program, variables, [part], self._drawn, place=carrier.at, seed=self._seed)
        return Placed(tuple(variables), (part,), found)

    def gathered(self, waves: Sequence[str], angles: Placed) -> Gathered:
        """Where what is gathered out of tokens stands, before their angles do: alone, or mixed with the angles already.

        Attention that only adds holds waves and nothing else: exchanging them is enough. Attention that multiplies
        holds a part of their product as well, which goes wrong when the waves are exchanged without it.
        """
        before = [part.node for part in angles.parts]
        alone = self.best(waves, before)
        if alone is not None and alone.found.accuracy >= _SURE and self.accepts(alone):
            return Gathered(alone, None)
        mixed = self.best((*waves, *angles.variables), before)
        if mixed is not None and self.accepts(mixed):
            return Gathered(mixed, 0.0 if alone is None else alone.found.accuracy)
        return Gathered(alone if alone is not None and self.accepts(alone) else None, None)


def directions(held: Float[np.ndarray, "r entries"], values: Float[np.ndarray, "r width"]) -> Basis | None:
    """Orthonormal directions along which values move with a variable; None where they do not, or all directions do."""
    held, values = held - held.mean(0), values - values.mean(0)
    functions, strength, _ = np.linalg.svd(held, full_matrices=False)
    functions = functions[:, strength > 1e-6 * max(float(strength[0]), 1e-300)]
    _, size, basis = np.linalg.svd(functions.T @ values, full_matrices=False)
    kept = size > 1e-3 * max(float(np.linalg.norm(values)), 1e-300)
    return basis[kept] if kept.any() and kept.sum() < values.shape[1] else None


def with_places(graph: Graph, placed: Sequence[Placed]) -> Graph:
    """The program with what was found as the sites of its variables."""
    sites: dict[str, tuple[Site, ...]] = {}
    tensors = {}
    for one in placed:
        for part in one.parts:
            name = f"{one.variables[0]}.at.{part.node.id}"
            tensors[name] = np.ascontiguousarray(part.basis, np.float32)
            here = tuple(replace(site, basis=name) for site in part.node.sites)
            for variable in one.variables:
                sites[variable] = tuple(dict.fromkeys((*sites.get(variable, ()), *here)))
    nodes = [replace(n, sites=sites[n.id]) if n.id in sites else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors=tensors)
