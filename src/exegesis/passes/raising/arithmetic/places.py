"""Where the variables of an arithmetic program live in the network, found by interchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from exegesis.ir import Graph, Node, Site
from exegesis.measure.exchanges import Bases, Basis, Exchange, Program, exchange
from exegesis.measure.pairs import Pairs

_ROWS = 512  # exchanges per place that is tried
_SAMPLE = 4096  # pairs that directions are found on
_SURE = 0.99


@dataclass(frozen=True, eq=False)
class Placed:
    """A variable and where it was found.

    Attributes:
        variable: its node in the program.
        node: the network's node.
        basis: the subspace of that node's last axis, orthonormal rows.
        found: how the interchange went.
    """

    variable: str
    node: Node
    basis: Basis
    found: Exchange

    @property
    def tensor(self) -> str:
        """What the basis is called among the tensors of the program."""
        return f"{self.variable}.basis"

    @property
    def sites(self) -> tuple[Site, ...]:
        """The node's sites, in that subspace."""
        return tuple(replace(site, basis=self.tensor) for site in self.node.sites)


def inner_nodes(pairs: Pairs) -> Iterator[Node]:
    """Nodes of the network with a place in it, between the tokens' vectors and the logits, in order."""
    graph = pairs.graph
    assert pairs.carriers is not None
    after = [graph.downstream([c.node]) for c in pairs.carriers]
    ends = [n.id for n in graph.nodes if n.op == "component.linear" and n.attrs.get("role") == "unembed"]
    closed = graph.downstream([*ends, graph.outputs[0]])
    starts = {c.node for c in pairs.carriers}
    for node in graph.nodes:
        inside = all(node.id in a for a in after) and node.id not in closed and node.id not in starts
        if inside and node.sites and node.type.kind == "real" and len(node.type.axes) in (2, 3):
            yield node


def find_place(program: Program, variable: str, *, least: float, seed: int) -> Placed | None:
    """The earliest place where exchanging a variable does what the program says, nearly always; else the best place.

    Args:
        program: the program.
        variable: one of its real variables, with entries along its last axis.
        least: the accuracy that the best place must have.
        seed: draws pairs.
    """
    pairs = program.pairs
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(pairs.ids))[:_SAMPLE])
    held = program.value(variable, rows)[:, pairs.at].double().numpy()
    drawn = Bases.draw(pairs, _ROWS, seed)
    best: Placed | None = None
    for node in inner_nodes(pairs):
        basis = directions(held, pairs.values(node.id, rows).astype(np.float64))
        if basis is None:
            continue
        found = exchange(program, variable, node, basis, drawn, place=None, seed=seed)
        if best is None or found.accuracy > best.found.accuracy:
            best = Placed(variable, node, basis, found)
        if found.accuracy >= _SURE:
            break
    return best if best is not None and best.found.accuracy >= least and best.found.null < 0.5 else None


def at_carriers(program: Program, variable: str, which: int, basis: Basis, *, seed: int) -> Placed:
    """A variable that is a part of the vectors of tokens, exchanged at one of the two positions."""
    pairs = program.pairs
    assert pairs.carriers is not None
    carrier = pairs.carriers[which]
    drawn = Bases.draw(pairs, _ROWS, seed)
    node = pairs.graph[carrier.node]
    return Placed(variable, node, basis, exchange(program, variable, node, basis, drawn, place=carrier.at, seed=seed))


def directions(held: Float[np.ndarray, "r k"], values: Float[np.ndarray, "r width"]) -> Basis | None:
    """Orthonormal directions along which values move with a variable; None where they do not, or all directions do."""
    held, values = held - held.mean(0), values - values.mean(0)
    functions, strength, _ = np.linalg.svd(held, full_matrices=False)
    functions = functions[:, strength > 1e-6 * max(float(strength[0]), 1e-300)]
    _, size, basis = np.linalg.svd(functions.T @ values, full_matrices=False)
    kept = size > 1e-3 * max(float(np.linalg.norm(values)), 1e-300)
    return basis[kept] if kept.any() and kept.sum() < values.shape[1] else None


def with_places(graph: Graph, placed: list[Placed]) -> Graph:
    """The program with what was found as the sites of its variables."""
    sites: dict[str, tuple[Site, ...]] = {}
    tensors = {}
    for one in placed:
        sites[one.variable] = tuple(dict.fromkeys((*sites.get(one.variable, ()), *one.sites)))
        tensors[one.tensor] = np.ascontiguousarray(one.basis, np.float32)
    nodes = [replace(n, sites=sites[n.id]) if n.id in sites else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors=tensors)
