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
from exegesis.measure.exchanges import Basis, Drawn, Exchange, Program, exchange
from exegesis.measure.pairs import Pairs

_ROWS = 512  # exchanges per place that is tried
_SAMPLE = 4096  # pairs that directions are found on
_SURE = 0.99


@dataclass(frozen=True, eq=False)
class Placed:
    """Variables and where they were found.

    Attributes:
        variables: their nodes in the program.
        node: the network's node.
        basis: the subspace of that node's last axis, orthonormal rows.
        found: how the interchange went.
    """

    variables: tuple[str, ...]
    node: Node
    basis: Basis
    found: Exchange

    @property
    def figures(self) -> dict[str, float]:
        """The interchange by name."""
        what = f"interchange of {', '.join(self.variables)} at {self.node.id}"
        return {what: self.found.accuracy, f"{what}, random subspaces": self.found.null}


def inner_nodes(pairs: Pairs) -> Iterator[Node]:
    """Nodes of the network with a place in it, between the tokens' vectors and the logits, in order."""
    graph = pairs.graph
    assert pairs.carriers is not None
    starts = {c.node for c in pairs.carriers}
    after = [graph.downstream([node]) for node in starts]
    ends = [n.id for n in graph.nodes if n.op == "component.linear" and n.attrs.get("role") == "unembed"]
    closed = graph.downstream([*ends, graph.outputs[0]])
    for node in graph.nodes:
        inside = all(node.id in a for a in after) and node.id not in closed and node.id not in starts
        if inside and node.sites and node.type.kind == "real" and len(node.type.axes) in (2, 3):
            yield node


def find_place(program: Program, variables: Sequence[str], *, least: float, seed: int) -> Placed | None:
    """The earliest place where exchanging variables does what the program says, nearly always; else the best place.

    Args:
        program: the program.
        variables: real variables, with entries along their last axes, that are exchanged together.
        least: the accuracy that the best place must have; the null of random subspaces must stay below half of it.
        seed: draws pairs.
    """
    pairs = program.pairs
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(pairs.ids))[:_SAMPLE])
    held = np.concatenate([program.value(v, rows)[:, pairs.at].double().numpy() for v in variables], axis=1)
    drawn = Drawn.of(pairs, _ROWS, seed)
    best: Placed | None = None
    for node in inner_nodes(pairs):
        basis = directions(held, pairs.values(node.id, rows).astype(np.float64))
        if basis is None:
            continue
        found = exchange(program, variables, node, basis, drawn, place=pairs.at, seed=seed)
        if best is None or found.accuracy > best.found.accuracy:
            best = Placed(tuple(variables), node, basis, found)
        if found.accuracy >= _SURE:
            break
    return best if best is not None and is_found(best, least) else None


def is_found(placed: Placed, least: float) -> bool:
    """Whether the interchange is accurate enough, and random subspaces do not do as well."""
    return placed.found.accuracy >= least and placed.found.null < 0.5 * least


def at_carrier(program: Program, variables: Sequence[str], which: int, basis: Basis, *, seed: int) -> Placed:
    """Variables that are a part of the vectors of tokens, exchanged at one of the two tokens alone."""
    pairs = program.pairs
    assert pairs.carriers is not None
    carrier = pairs.carriers[which]
    node = pairs.graph[carrier.node]
    found = exchange(program, variables, node, basis, Drawn.of(pairs, _ROWS, seed), place=carrier.at, seed=seed)
    return Placed(tuple(variables), node, basis, found)


def directions(held: Float[np.ndarray, "r k"], values: Float[np.ndarray, "r width"]) -> Basis | None:
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
        name = f"{one.variables[0]}.at.{one.node.id}"
        tensors[name] = np.ascontiguousarray(one.basis, np.float32)
        here = tuple(replace(site, basis=name) for site in one.node.sites)
        for variable in one.variables:
            sites[variable] = tuple(dict.fromkeys((*sites.get(variable, ()), *here)))
    nodes = [replace(n, sites=sites[n.id]) if n.id in sites else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors=tensors)
