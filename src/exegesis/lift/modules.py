"""Which values of an export are the output or the first input of a module: found by running it and comparing values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from exegesis.ir import Graph, Site
from exegesis.lift.export import Exported, Outputs, evaluating
from exegesis.lift.interpret import interpret


@dataclass(frozen=True)
class Port:
    """One side of a module."""

    module: str
    side: Literal["output", "input"]
    plain: bool  # a tensor by itself, not the first of a tuple


def align_modules(graph: Graph, network: nn.Module, exported: Exported, inputs: Mapping[str, Tensor]) -> Graph:
    """The graph with module and port in every site whose value crosses a module's boundary.

    Where several do, the output of a module is preferred to the input of another, and an outer module to an inner one.
    """
    values = {s.value for n in graph.nodes for s in n.sites}
    truth = interpret(exported, inputs, values, double=False)
    ports = _ports(network, exported, inputs)
    found = {name: port for name, value in truth.items() if (port := _match(value, ports)) is not None}

    def placed(site: Site) -> Site:
        port = found.get(site.value)
        return site if port is None else replace(site, module=port.module, port=port.side)

    nodes = tuple(replace(n, sites=tuple(placed(s) for s in n.sites)) for n in graph.nodes)
    return replace(graph, nodes=nodes)


def _ports(network: nn.Module, exported: Exported, inputs: Mapping[str, Tensor]) -> list[tuple[Port, Tensor]]:
    """Every output and first input of every module but the network itself, best first."""
    seen: list[tuple[Port, Tensor]] = []

    def watch(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            if (tensor := _first(out if isinstance(out, tuple | list) else (out,))) is not None:
                seen.append((Port(name, "output", isinstance(out, Tensor)), tensor))
            if (tensor := _first((*args, *kwargs.values()))) is not None:
                seen.append((Port(name, "input", bool(args) and isinstance(args[0], Tensor)), tensor))

        return hook

    handles = [m.register_forward_hook(watch(n), with_kwargs=True) for n, m in network.named_modules() if n]
    try:
        with evaluating(network), torch.no_grad():
            Outputs(network, [a.name for a in exported.arguments])(*(inputs[a.id] for a in exported.arguments))
    finally:
        for handle in handles:
            handle.remove()
    return sorted(seen, key=lambda s: (not s[0].plain, s[0].side == "input", s[0].module.count("."), s[0].module))


def _first(values: Iterable[Any]) -> Tensor | None:
    return next((v for v in values if isinstance(v, Tensor) and v.is_floating_point()), None)


def _match(value: Tensor, ports: list[tuple[Port, Tensor]]) -> Port | None:
    for port, tensor in ports:
        if tensor.shape == value.shape and torch.equal(tensor, value):
            return port
    return None
