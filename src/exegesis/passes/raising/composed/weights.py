"""The weights of opaque nodes as plain matrices, [read, given], and the moments of what they read and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from exegesis.ir import Array, Graph, Node
from exegesis.measure import Bench
from exegesis.passes.compressing.least_squares import Moments

OPS = ("component.embed", "component.heads", "component.write", "component.linear")


@dataclass(frozen=True)
class Weight:
    """A weight and the one node that computes with it.

    Attributes:
        name: of the tensor.
        node: the id of the node.
    """

    name: str
    node: str


def weights_of(graph: Graph) -> tuple[Weight, ...]:
    """The weights of a graph's opaque nodes in the order of computation, but for those that several nodes share and
    those that count steps already."""
    users: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.tensors.values():
            users[name] = users.get(name, 0) + 1
    own = (n for n in graph.nodes if n.op in OPS and users[n.tensors["weight"]] == 1 and "step" not in n.attrs)
    return tuple(Weight(n.tensors["weight"], n.id) for n in own)


def stages(graph: Graph, weights: Sequence[Weight]) -> list[list[Weight]]:
    """The weights in turn, those together that do not read each other: queries, keys and values of a layer."""
    found: list[list[Weight]] = []
    for where in weights:
        before = graph.upstream([where.node])
        if found and not any(w.node in before for w in found[-1]):
            found[-1].append(where)
        else:
            found.append([where])
    return found


def matrix(node: Node, weight: Array) -> Float[np.ndarray, "k m"]:
    """A weight as a matrix: heads side by side where they read the stream, one below the other where they write."""
    if node.op == "component.heads":
        weight = weight.swapaxes(0, 1)
        return weight.reshape(len(weight), -1).astype(np.float64)
    return weight.reshape(-1, weight.shape[-1]).astype(np.float64)


def with_steps(graph: Graph, where: Weight, counts: Int[np.ndarray, "k m"], step: float) -> Graph:
    """The graph with whole numbers of a step in the place of a weight, in its layout."""
    node, like = graph[where.node], graph.tensors[where.name]
    if node.op == "component.heads":
        heads, width, size = like.shape
        counts = counts.reshape(width, heads, size).swapaxes(0, 1)
    largest = int(np.abs(counts).max(initial=0))
    kind = np.int8 if largest < 128 else np.int16 if largest < 1 << 15 else np.int32
    nodes = [replace(n, attrs={**n.attrs, "step": step}) if n.id == where.node else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors={where.name: np.ascontiguousarray(counts.reshape(like.shape).astype(kind))})


def read_and_given(bench: Bench, graph: Graph, weights: Sequence[Weight]) -> Mapping[str, tuple[Array, Array]]:
    """What nodes read, [n, k], and give without their biases, [n, m], at all positions of the bench, by node id."""
    nodes = [graph[w.node] for w in weights]
    read: dict[str, list[Array]] = {n.id: [] for n in nodes}
    given: dict[str, list[Array]] = {n.id: [] for n in nodes}
    for _, got in bench.each(graph, [*(n.inputs[0] for n in nodes), *(n.id for n in nodes)]):
        for n in nodes:
            x, z = got[n.inputs[0]].numpy(), got[n.id].numpy()
            read[n.id].append(_rows(x.swapaxes(1, 2) if n.op == "component.write" else x))
            given[n.id].append(_rows(z.swapaxes(1, 2) if n.op == "component.heads" else z))
    biases = {n.id: graph.tensors[n.tensors["bias"]].reshape(-1) if "bias" in n.tensors else 0 for n in nodes}
    return {n.id: (np.concatenate(read[n.id]), np.concatenate(given[n.id]) - biases[n.id]) for n in nodes}


def _rows(values: Array) -> Array:
    """[b, s, d] or [b, s, h, e] → [b · s, numbers at a position]; [b, d] as it is, where positions were joined."""
    return values.reshape(-1, int(np.prod(values.shape[min(values.ndim - 1, 2) :])))


def moments(read: Array, given: Array) -> Moments:
    """What a map without a bias reads, [n, k], and should give, [n, m]: about zero, not about the mean."""
    x, z = read.astype(np.float64), given.astype(np.float64)
    n = len(x)
    return Moments(np.zeros(x.shape[1]), np.zeros(z.shape[1]), x.T @ x / n, x.T @ z / n, (z**2).mean(0), n)
