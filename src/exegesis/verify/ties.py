"""The other way to break a tie: a program names one of equals, and which one is nobody's claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from exegesis.ir import Graph, Node
from exegesis.runtime import Executor


def _last_largest(values: Tensor) -> Tensor:
    """Index of the largest entry along the last axis, the last of equals."""
    equal = (values == values.amax(-1, keepdim=True)).to(torch.int8)
    index: Tensor = values.shape[-1] - 1 - equal.flip(-1).argmax(-1)
    return index


def _copy(node: Node, selector: Tensor, value: Tensor) -> Tensor:
    """Selector [b, s, t], categories [b, t] → [b, s]: the largest of the categories that most positions hold."""
    value = value.long()
    size = max(int(value.max()) + 1, 1)
    mass = torch.bmm(selector, (value[..., None] == torch.arange(size)).to(selector.dtype))
    return _last_largest(mass).masked_fill(mass.amax(-1) <= 0, -1)


def _largest(node: Node, values: Tensor) -> Tensor:
    """[b, s, V] → [b, s]: the last of the largest classes, in the order of `among` where that is given."""
    among = node.attrs.get("among")
    if among is None:
        return _last_largest(values)
    classes = torch.tensor(list(among))
    return classes[_last_largest(values[..., classes])]


_LAST: Mapping[str, Callable[..., Tensor]] = {"symbolic.copy": _copy, "symbolic.largest": _largest}


def may_tie(graph: Graph) -> tuple[Node, ...]:
    """The nodes that the answer depends on and that choose among what may be equal, in order."""
    needed = graph.upstream(graph.outputs[:1])
    return tuple(n for n in graph.nodes if n.id in needed and n.op in _LAST)


def last_of_equals(node: Node, sources: Sequence[Tensor]) -> Tensor:
    """What such a node gives when it takes the last of equals instead of the first."""
    return _LAST[node.op](node, *sources)


def run_with_last(executor: Executor, inputs: Mapping[str, Tensor]) -> Tensor:
    """The answer node's value when every tie is broken the other way."""
    given: dict[str, Tensor] = {}
    for node in may_tie(executor.graph):
        sources = executor.run(inputs, list(dict.fromkeys(node.inputs)), given=given)
        given[node.id] = last_of_equals(node, [sources[i] for i in node.inputs])
    output = executor.graph.outputs[0]
    value: Tensor = executor.run(inputs, [output], given=given)[output]
    return value
