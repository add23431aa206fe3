"""The maps of a graph that share a weight, as plain matrices: what they read, what they should give, how to write one.

A weight is seen as [groups, k, m]: k numbers read, m given, once per group of a grouped convolution (1 otherwise).
A weight that several nodes share (steps of a recurrent cell) is one map, seen at all of its places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.ir import Array, Graph, Node
from exegesis.measure import Bench
from exegesis.passes.compressing.least_squares import Moments

OPS = ("component.linear", "component.conv2d")
PLACES = 12  # of a picture, per input, at which a convolution is looked at


@dataclass(frozen=True)
class Map:
    """All nodes that compute with one weight.

    Attributes:
        weight: the name of the tensor.
        nodes: their ids.
    """

    weight: str
    nodes: tuple[str, ...]


def maps_of(graph: Graph) -> tuple[Map, ...]:
    """The maps of a graph in the order of computation, where every node of a weight is a map with one bias."""
    nodes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for tensor in node.tensors.values():
            nodes.setdefault(tensor, []).append(node)
    found: dict[str, Map] = {}
    for node in graph.nodes:
        if node.op in OPS:
            name = node.tensors["weight"]
            users = nodes[name]
            alike = all(u.op == node.op and dict(u.tensors) == dict(node.tensors) for u in users)
            own = all(t == name or len(nodes[t]) == len(users) for t in node.tensors.values())
            if alike and own:
                found.setdefault(name, Map(name, tuple(u.id for u in users)))
    return tuple(found.values())


def matrix(graph: Graph, node: Node) -> Float[np.ndarray, "g k m"]:
    """The weight of a node as [groups, k, m], whole numbers times their step."""
    weight = graph.tensors[node.tensors["weight"]].astype(np.float64) * float(node.attrs.get("step", 1.0))
    if node.op == "component.linear":
        return weight[None]
    out = weight.reshape(node.attrs["groups"], -1, int(np.prod(weight.shape[1:])))
    found: Float[np.ndarray, "g k m"] = out.swapaxes(1, 2)
    return found


def tensor_of(graph: Graph, node: Node, weight: Array) -> Array:
    """[groups, k, m] back in the layout of the node's weight; k and m may have shrunk by whole units."""
    if node.op == "component.linear":
        plain: Array = weight[0]
        return plain
    kernel = graph.tensors[node.tensors["weight"]].shape[2:]
    kernels: Array = weight.swapaxes(1, 2).reshape(-1, weight.shape[1] // int(np.prod(kernel)), *kernel)
    return kernels


def with_weight(
    graph: Graph, where: Map, weight: Array, bias: Float[np.ndarray, "g m"], step: float | None = None
) -> Graph:
    """The graph with another weight and bias in a map.

    Args:
        graph: the graph.
        where: the map.
        weight: [groups, k, m], of whole numbers where there is a step.
        bias: [groups, m].
        step: what one of the whole numbers is worth.
    """
    first = graph[where.nodes[0]]
    stored = tensor_of(graph, first, weight)
    stored = stored.astype(np.float32 if step is None else _smallest(stored))
    real = np.float32 if step is None else np.float16
    roles = dict(first.tensors) | {"bias": first.tensors.get("bias", f"{first.id}.bias")}
    attrs = {k: v for k, v in first.attrs.items() if k != "step"} | ({} if step is None else {"step": step})
    changed = [replace(n, attrs=attrs, tensors=roles) if n.id in where.nodes else n for n in graph.nodes]
    tensors = {where.weight: np.ascontiguousarray(stored), roles["bias"]: bias.reshape(-1).astype(real)}
    return graph.with_nodes(changed, tensors=tensors)


def _smallest(whole: Int[np.ndarray, "..."]) -> type[np.signedinteger]:
    largest = int(np.abs(whole).max(initial=0))
    return np.int8 if largest < 128 else np.int16 if largest < 1 << 15 else np.int32


def moments(
    bench: Bench, graph: Graph, network: Graph, where: Map, kept: Int[np.ndarray, " m"] | None = None, seed: int = 0
) -> list[Moments]:
    """What a map reads in a graph, against what the network has where it gives; per group.

    Args:
        bench: the inputs.
        graph: the program as it is.
        network: where the targets come from: the graph before anything was taken away.
        where: the map.
        kept: which of the network's units it still gives; None: all.
        seed: decides at which places of a picture a convolution is looked at.
    """
    sums: list[list[Array]] = []
    count = 0
    for reads, gives in _cases(bench, graph, network, where, seed):
        given = gives if kept is None else gives[..., kept]
        x, z = reads.double().numpy(), given.double().numpy()
        parts = [[a.sum(0), b.sum(0), a.T @ a, a.T @ b, (b**2).sum(0)] for a, b in zip(x, z, strict=True)]
        sums = (
            parts
            if not sums
            else [[p + q for p, q in zip(s, t, strict=True)] for s, t in zip(sums, parts, strict=True)]
        )
        count += x.shape[1]
    return [_centred(group, count) for group in sums]


def _centred(sums: list[Array], n: int) -> Moments:
    mean_x, mean_z, xx, xz, zz = (s / n for s in sums)
    return Moments(mean_x, mean_z, xx - np.outer(mean_x, mean_x), xz - np.outer(mean_x, mean_z), zz - mean_z**2, n)


def _cases(bench: Bench, graph: Graph, network: Graph, where: Map, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Per batch and node, what is read [g, r, k] and what the network gives there [g, r, m]."""
    reads = [graph[n].inputs[0] for n in where.nodes]
    generator = torch.Generator().manual_seed(seed)
    pairs = zip(bench.each(graph, list(dict.fromkeys(reads))), bench.each(network, where.nodes), strict=True)
    for (_, before), (_, after) in pairs:
        for name, source in zip(where.nodes, reads, strict=True):
            kernel = graph.tensors[where.weight].shape[2:]
            yield _rows(graph[name], kernel, before[source], after[name], generator)


def _rows(
    node: Node, kernel: tuple[int, ...], x: Tensor, z: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    if node.op == "component.linear":
        return x.flatten(0, -2)[None], z.flatten(0, -2)[None]
    places = z.shape[2] * z.shape[3]
    patches = F.unfold(x, kernel, node.attrs["dilation"], node.attrs["padding"], node.attrs["stride"])
    given = z.flatten(2)
    if places > PLACES:
        at = torch.randperm(places, generator=generator)[:PLACES]
        patches, given = patches[..., at], given[..., at]
    groups = node.attrs["groups"]
    reads, gives = (
        v.reshape(len(v), groups, -1, v.shape[2]).permute(1, 0, 3, 2).flatten(1, 2) for v in (patches, given)
    )
    return reads, gives
