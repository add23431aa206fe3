"""Inputs for the certificate: the example itself, and random ones at several batch sizes and lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy
import torch
from torch import Tensor, nn

from exegesis.ir import Graph
from exegesis.lift.export import Argument, Exported, own_output


def batches(network: nn.Module, exported: Exported, graph: Graph, seed: int) -> list[dict[str, Tensor]]:
    """The example, and random inputs of other shapes, where batch or length are dynamic and the network takes them."""
    generator = torch.Generator().manual_seed(seed)
    found = [{a.id: a.example.detach() for a in exported.arguments}]
    longest = _longest(exported, graph)
    for batch, length in _shapes(exported.arguments, longest):
        start = int(torch.randint(0, longest - length + 1, (1,), generator=generator)) if longest else 0
        drawn = {a.id: _random(a, graph, batch, length, start, generator) for a in exported.arguments}
        if _takes(network, exported.arguments, drawn):
            found.append(drawn)
    return found


def _takes(network: nn.Module, arguments: Sequence[Argument], inputs: Mapping[str, Tensor]) -> bool:
    try:
        own_output(network, arguments, inputs)
    except (RuntimeError, IndexError, ValueError):
        return False
    return True


def _shapes(arguments: Sequence[Argument], longest: int | None) -> list[tuple[int, int]]:
    first = arguments[0].example
    batch, length = first.shape[0], first.shape[1] if first.ndim > 1 else 1
    if not any(0 in a.dynamic for a in arguments):
        return [(batch, length)] * 2
    if not any(1 in a.dynamic for a in arguments):
        return [(1, length), (4, length)]
    lengths = [1, 2, length, 2 * length + 1, min(longest or 64, 128)]
    return [(b, min(n, longest or n)) for b, n in zip((3, 1, 4, 2, 1), lengths, strict=True)]


def _longest(exported: Exported, graph: Graph) -> int | None:
    """The longest sequence that the export allows, and that the tables of positions have rows for."""
    limits = [
        len(graph.tensors[n.tensors["weight"]]) - graph[n.inputs[0]].attrs.get("start", 0)
        for n in graph.nodes
        if n.op == "component.embed" and _counts(graph, n.inputs[0])
    ]
    for argument, node in zip(exported.arguments, _user_nodes(exported), strict=True):
        if 1 in argument.dynamic:
            size = node.meta["val"].shape[1]
            bounds = exported.program.range_constraints.get(size.node.expr) if isinstance(size, torch.SymInt) else None
            if bounds is not None and isinstance(bounds.upper, sympy.Integer):
                limits.append(int(bounds.upper))
    return min(limits, default=None)


def _counts(graph: Graph, node_id: str) -> bool:
    return node_id == "positions" or graph[node_id].op == "component.arange"


def _user_nodes(exported: Exported) -> list[torch.fx.Node]:
    names = exported.program.graph_signature.user_inputs
    return [n for n in exported.program.graph.nodes if n.op == "placeholder" and n.name in names]


def _random(
    argument: Argument, graph: Graph, batch: int, length: int, start: int, generator: torch.Generator
) -> Tensor:
    example = argument.example
    shape = list(example.shape)
    shape[0] = batch if 0 in argument.dynamic else shape[0]
    if 1 in argument.dynamic:
        shape[1] = length
    if argument.id == "positions":
        return (torch.arange(shape[1]) + start).expand(shape).contiguous().to(example.dtype)
    if example.is_floating_point():
        low, high = float(example.min()), float(example.max())
        return (low + (high - low or 1.0) * torch.rand(shape, generator=generator, dtype=torch.float64)).to(
            example.dtype
        )
    if argument.name == "attention_mask":
        return _padding(shape, generator).to(example.dtype)
    of = graph[argument.id].type.of
    known = graph.axes[of].size if of else None
    return torch.randint(0, known or int(example.max()) + 1, shape, generator=generator).to(example.dtype)


def _padding(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Ones, then zeros, as a mask of padding has them; the first position is never padding."""
    lengths = torch.randint(1, shape[-1] + 1, tuple(shape[:-1]), generator=generator)
    return torch.arange(shape[-1]) < lengths[..., None]


def shapes_of(inputs: Sequence[Mapping[str, Tensor]]) -> tuple[tuple[int, ...], ...]:
    """The shape of the first input of each batch."""
    return tuple(tuple(next(iter(b.values())).shape) for b in inputs)
