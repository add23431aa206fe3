"""Modules in the text of a program: what each layer's units belong to, and what their loss costs."""

from __future__ import annotations

from dataclasses import replace

from exegesis.ir import Graph
from exegesis.pipeline.modules import ModuleReport


def with_modules(graph: Graph, report: ModuleReport) -> Graph:
    """A program whose layers say, in their documentation, which modules their units belong to.

    Each module is written with its name where that held, with what its lesion costs beside random modules of its size,
    and with the units of the layer that are in it. Nothing else changes.

    Args:
        graph: the lifted network, or a program that still has its layers.
        report: its modules.
    """
    layers = {layer.name: layer.hidden for layer in report.picked.graph.layers if layer.hidden is not None}
    lines = {node: _lines(report, hidden) for node, hidden in layers.items() if node in graph.by_id}
    nodes = tuple(
        replace(n, doc="\n".join([*([n.doc] if n.doc else []), *lines[n.id]])) if lines.get(n.id) else n
        for n in graph.nodes
    )
    return replace(graph, nodes=nodes)


def _lines(report: ModuleReport, hidden: int) -> list[str]:
    called = {n.module: n.name for n in report.names}
    roles = {} if report.roles is None else {r.module.name: r for r in report.roles.roles}
    out = []
    for module in report.modules:
        if hidden not in module.hidden:
            continue
        name = f"{module.name.capitalize()}, {called.get(module.name) or 'unnamed'}"
        text = f"{name}: units {spans(module.hidden[hidden].tolist())}."
        if (role := roles.get(module.name)) is not None:
            text += (
                f" Without it {role.importance:.1%} of answers change (random modules: {role.random_importance:.1%})."
            )
        out.append(text)
    return out


def spans(numbers: list[int]) -> str:
    """`0-2, 5` for 0, 1, 2, 5."""
    out: list[list[int]] = []
    for number in sorted(numbers):
        if out and number == out[-1][-1] + 1:
            out[-1].append(number)
        else:
            out.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in out)
