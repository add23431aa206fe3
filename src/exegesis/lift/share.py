"""How much of a program has been recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from exegesis.ir import Graph, Level
from exegesis.lift.certificate import Share
from exegesis.runtime import Executor

_MULTIPLIES = (
    "mm",
    "matmul",
    "bmm",
    "baddbmm",
    "addmm",
    "einsum",
    "linear",
    "conv1d",
    "conv2d",
    "scaled_dot_product_attention",
)


def recognised_share(graph: Graph, inputs: Mapping[str, Tensor]) -> Share:
    """Nodes by level; shares of numbers (in tensors) and of multiplications (at these inputs) at component level."""
    counts = Counter(n.level.value for n in graph.nodes if n.level is not Level.INPUT)
    held = Counter[str]()
    for node in graph.nodes:
        held[node.level.value] += sum(graph.tensors[t].size for t in node.tensors.values())
    total, left = _multiplications(graph, inputs)
    return Share(
        nodes={level.value: counts[level.value] for level in (Level.COMPONENT, Level.TENSOR)},
        numbers=held["component"] / max(1, held.total()),
        multiplications=1.0 - left / total if total else 1.0,
    )


def _multiplications(graph: Graph, inputs: Mapping[str, Tensor]) -> tuple[int, int]:
    """In the whole program, and in what stayed at tensor level."""
    executor = Executor(graph)
    with FlopCounterMode(display=False) as counter:
        executor.run(inputs)
    total, left = counter.get_total_flops(), 0
    plain = [
        n for n in graph.nodes if n.level is Level.TENSOR and n.op.split(".")[2:3] and n.op.split(".")[2] in _MULTIPLIES
    ]
    for node in plain:
        given = executor.run(inputs, node.inputs)
        with FlopCounterMode(display=False) as counter:
            executor.run({}, [node.id], given=given)
        left += counter.get_total_flops()
    return total, left
