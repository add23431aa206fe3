"""Attention heads as a component graph holds them, and how one head is taken out of its block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from exegesis.ir import Array, Graph, Level, Node
from exegesis.passes.draft import Draft


@dataclass(frozen=True)
class Block:
    """One attention block: the nodes from the heads' projections to what they write."""

    write: str
    mix: str
    pattern: str
    values: str
    causal: bool
    heads: int

    @property
    def layer(self) -> str:
        """The layer, as node ids begin with it: `L0`."""
        return self.write.split(".", 1)[0]


def attention_blocks(graph: Graph) -> Iterator[Block]:
    """Every attention block that is recognised from projections to write, in order of computation.

    Blocks with fewer value heads than query heads are left alone: their heads cannot be taken out one by one.
    """
    for write in graph.nodes:
        if write.op != "component.write":
            continue
        mix = graph[write.inputs[0]]
        if mix.op != "component.mix":
            continue
        pattern, values = graph[mix.inputs[0]], graph[mix.inputs[1]]
        heads = graph.tensors[write.tensors["weight"]].shape[0]
        if pattern.op != "component.softmax" or values.op != "component.heads":
            continue
        if graph.tensors[values.tensors["weight"]].shape[0] != heads:
            continue
        yield Block(write.id, mix.id, pattern.id, values.id, _is_causal(graph, pattern), heads)


def _is_causal(graph: Graph, pattern: Node) -> bool:
    scores = graph[pattern.inputs[0]]
    return scores.op == "component.mask" and bool(scores.attrs["causal"])


def write_weight(graph: Graph, block: Block, head: int) -> Array:
    """W_O of one head, [d_head, d_model]."""
    weight: Array = graph.tensors[graph[block.write].tensors["weight"]][head]
    return weight


def without_head(graph: Graph, block: Block, head: int) -> tuple[Graph, str | None]:
    """The graph whose block lacks one head, and the id of the block's write node (None when no head is left).

    Heads are cut out of every `heads` and `write` tensor between the stream and the block's output; what lies between
    (scores, masks, rotations) does not depend on how many heads there are.
    """
    if block.heads == 1:
        return graph, None
    keep = [h for h in range(block.heads) if h != head]
    inside = _between(graph, block)
    tensors: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        if node.id in inside and node.op in ("component.heads", "component.write"):
            roles = {}
            for role, name in node.tensors.items():
                roles[role] = f"{name}-{head}"
                tensors[roles[role]] = np.ascontiguousarray(graph.tensors[name][keep])
            node = replace(node, tensors=roles)
        nodes.append(node)
    return graph.with_nodes(nodes, tensors=tensors).pruned(), block.write


def _between(graph: Graph, block: Block) -> frozenset[str]:
    """Nodes of the block, from the projections on."""
    inside, stack = {block.write}, [block.mix]
    while stack:
        node = graph[stack.pop()]
        if node.id in inside or node.level is Level.INPUT:
            continue
        inside.add(node.id)
        if node.op != "component.heads":
            stack.extend(node.inputs)
    return frozenset(inside)


def splice_head(graph: Graph, draft: Draft, block: Block, head: int, written: str, by: str) -> Graph:
    """The graph with a head cut out of its block, and `written` (of the draft) in the stream beside what is left of
    it."""
    rest, write = without_head(graph, block, head)
    rest = rest.with_nodes(
        [draft.nodes.get(n.id, n) for n in rest.nodes] + [n for n in draft.nodes.values() if n.id not in rest.by_id],
        tensors=draft.tensors,
        axes=draft.axes,
    )
    if write is None:
        return rest.replacing({block.write: written})
    both = Draft(rest, by)
    total = both.add("component.add", [write, written], rest[write].type, hint=f"{write}.with")
    return both.into({write: total})
