"""The residual stream as a chain: what is put in at one point is carried on to all that come later."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from exegesis.ir import Graph

SUM = "component.add"


def chained(graph: Graph) -> Graph:
    """The same graph, in which every sum of writers reads the longest earlier sum that it contains.

    At component level each reader of the stream adds up all of its writers for itself, so that an intervention on one
    sum would be forgotten by the next. Exact but for the order of additions.
    """
    sums: list[tuple[str, Counter[str]]] = []
    nodes = []
    for node in graph.nodes:
        if node.op == SUM:
            writers = Counter(node.inputs)
            held = [(name, inside) for name, inside in sums if inside < writers]
            sums.append((node.id, writers))
            if held:
                name, inside = max(held, key=lambda h: h[1].total())
                node = replace(node, inputs=(name, *(writers - inside).elements()))
        nodes.append(node)
    return graph.with_nodes(nodes)


def streams(graph: Graph) -> list[str]:
    """The points of the residual stream that have a place in the network, in order of computation."""
    return [n.id for n in graph.nodes if n.op == SUM and n.sites]
