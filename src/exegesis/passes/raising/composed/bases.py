"""The inside of heads in the basis in which the fewest numbers matter: exact, only re-expressed.

What a head looks for is a product of queries and keys, and what it moves one of values and writes; how the numbers in
between are laid out is nobody's business. Here they are singular vectors with half of each singular value on either
side, so that a head of low rank has large numbers in few columns (Elhage et al. 2021, "A mathematical framework for
transformer circuits", on QK and OV circuits).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from exegesis.ir import Array, Graph, Node
from exegesis.passes.raising.composed.weights import weights_of

Matrix = Float[np.ndarray, "n e"]


def in_own_bases(graph: Graph) -> Graph:
    """The graph with queries and keys, and values and writes, of every head in the basis of their product.

    Left as they are: heads whose projections share a weight, count steps, are read by something else, or pass through
    anything but scores (rotations of positions), and those with fewer keys than queries.
    """
    own = {w.node for w in weights_of(graph)}
    readers: dict[str, int] = {}
    for node in graph.nodes:
        for source in node.inputs:
            readers[source] = readers.get(source, 0) + 1
    tensors: dict[str, Array] = {}
    for first, second in _pairs(graph):
        if not {first.id, second.id} <= own or readers[first.id] != 1:
            continue
        if second.op == "component.heads" and readers[second.id] != 1:
            continue
        if _heads(graph, first) == _heads(graph, second):
            tensors |= _balanced(graph, first, second)
    return graph.with_nodes(graph.nodes, tensors=tensors) if tensors else graph


def _pairs(graph: Graph) -> Iterator[tuple[Node, Node]]:
    """Queries and keys; values, and what writes the mix of them that nothing else reads."""
    for node in graph.nodes:
        sources = [graph[i] for i in node.inputs]
        if node.op == "component.scores" and all(s.op == "component.heads" for s in sources):
            yield sources[0], sources[1]
        elif node.op == "component.write" and sources[0].op == "component.mix":
            mix = sources[0]
            values = graph[mix.inputs[1]]
            if values.op == "component.heads" and sum(mix.id in n.inputs for n in graph.nodes) == 1:
                yield values, node


def _heads(graph: Graph, node: Node) -> tuple[int, int]:
    """How many heads, and how many numbers in between."""
    shape = graph.tensors[node.tensors["weight"]].shape
    return (shape[0], shape[1] if node.op == "component.write" else shape[2])


def _balanced(graph: Graph, first: Node, second: Node) -> dict[str, Array]:
    """New weights and biases for two nodes, by name."""
    sides = [[_side(graph, node, h) for h in range(_heads(graph, node)[0])] for node in (first, second)]
    made = [balanced(a, b) for a, b in zip(*sides, strict=True)]
    found: dict[str, Array] = {}
    for node, parts in zip((first, second), zip(*made, strict=True), strict=True):
        stacked = np.stack(parts).astype(np.float32)
        if "bias" in node.tensors:
            found[node.tensors["bias"]] = np.ascontiguousarray(stacked[:, -1])
            stacked = stacked[:, :-1]
        found[node.tensors["weight"]] = np.ascontiguousarray(
            stacked.swapaxes(1, 2) if node.op == "component.write" else stacked
        )
    return found


def _side(graph: Graph, node: Node, head: int) -> Matrix:
    """A head's weight with the numbers in between last, its bias as one more row."""
    weight: Matrix = graph.tensors[node.tensors["weight"]][head].astype(np.float64)
    if node.op == "component.write":
        return np.ascontiguousarray(weight.T)
    if "bias" not in node.tensors:
        return weight
    return np.concatenate([weight, graph.tensors[node.tensors["bias"]][head][None].astype(np.float64)])


def balanced(a: Matrix, b: Float[np.ndarray, "m e"]) -> tuple[Matrix, Float[np.ndarray, "m e"]]:
    """Two matrices with the product a @ b.T of the given ones, their columns orthogonal and falling in size alike."""
    (qa, ra), (qb, rb) = np.linalg.qr(a), np.linalg.qr(b)
    left, sizes, right = np.linalg.svd(ra @ rb.T, full_matrices=False)
    half = np.sqrt(sizes)
    made_a, made_b = qa @ (left * half), qb @ (right.T * half)
    missing = a.shape[1] - made_a.shape[1]  # matrices with fewer rows than columns have as few directions
    return np.pad(made_a, ((0, 0), (0, missing))), np.pad(made_b, ((0, 0), (0, missing)))
