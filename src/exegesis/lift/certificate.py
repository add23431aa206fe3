"""Whether a lifted program computes what the network computes, at the output and at every value that both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from exegesis.ir import Graph
from exegesis.lift.bench import Reference
from exegesis.lift.errors import LiftError
from exegesis.lift.export import Argument, Exported, Outputs, evaluating
from exegesis.lift.interpret import interpret
from exegesis.runtime import Executor

TOLERANCES: Mapping[str, float] = {"float32": 1e-4, "float64": 1e-9}
_FILLED = 1e5  # from here on a value is the filling of a mask, and errors are relative

Inputs: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class ValueCheck:
    """The largest absolute error of one node of the program against one value of the export, in each precision."""

    node: str
    value: str
    errors: Mapping[str, float]


@dataclass(frozen=True)
class Share:
    """How much of a program is at component level: nodes by level, and the shares of numbers and of multiplications."""

    nodes: Mapping[str, int]
    numbers: float
    multiplications: float


@dataclass(frozen=True)
class Certificate:
    """What was compared, and how far apart it was.

    Attributes:
        output: the largest absolute error of the output: float32 against the network itself, float64 against its export.
        values: errors at every value that the program has in common with the export.
        shapes: of the inputs that were tried.
        share: how much is recognised.
        assumes: what must hold of inputs for the program to be exact.
        notes: what export had to give up.
        seconds: how long lifting took.
    """

    output: Mapping[str, float]
    values: tuple[ValueCheck, ...]
    shapes: tuple[tuple[int, ...], ...]
    share: Share
    assumes: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def worst(self, precision: str) -> float:
        """The largest error at any value, the output included."""
        return max((self.output[precision], *(v.errors[precision] for v in self.values)))

    def __str__(self) -> str:
        width = max(len("node"), *(len(v.node) for v in self.values)) if self.values else len("node")
        rows = [f"{'node':<{width}}  {'float32':>8}  {'float64':>8}  value of the export"]
        rows += [
            f"{v.node:<{width}}  {v.errors['float32']:8.1e}  {v.errors['float64']:8.1e}  {v.value}" for v in self.values
        ]
        rows.append(
            f"{'output':<{width}}  {self.output['float32']:8.1e}  {self.output['float64']:8.1e}  the network's own output"
        )
        levels = ", ".join(f"{count} {level}" for level, count in self.share.nodes.items())
        rows.append(
            f"{levels} nodes; {self.share.numbers:.1%} of the numbers and {self.share.multiplications:.1%} of the multiplications recognised"
        )
        rows += [f"assumes: {a}" for a in self.assumes] + [f"note: {n}" for n in self.notes]
        return "\n".join(rows)


def error(mine: Tensor, reference: Tensor) -> float:
    """The largest absolute difference; relative where a mask has filled in a huge number; infinite for other shapes or NaN.

    Minus infinity and the lowest float32 are the same filling.
    """
    if mine.shape != reference.shape:
        return float("inf")
    if not mine.is_floating_point():
        return float((mine.double() - reference.double()).abs().max()) if mine.numel() else 0.0
    low, high = torch.finfo(torch.float32).min, torch.finfo(torch.float32).max
    a, b = mine.double().clamp(low, high), reference.double().clamp(low, high)
    scale = torch.where(b.abs() >= _FILLED, b.abs(), 1.0)
    worst = ((a - b).abs() / scale).max() if a.numel() else a.new_zeros(())
    return float("inf") if bool(worst.isnan()) else float(worst)


def compare(
    network: nn.Module,
    exported: Exported,
    graphs: Mapping[str, Graph],
    references: Mapping[str, Reference],
    batches: Sequence[Inputs],
) -> tuple[dict[str, float], tuple[ValueCheck, ...]]:
    """Errors of the programs (by precision) on some inputs.

    Args:
        network: the network itself, whose output the float32 program must give.
        exported: its export, whose values are the reference for everything else.
        graphs: the program in `float32` and in `float64`.
        references: for nodes that must equal a value of the export.
        batches: inputs by the ids of the program's inputs.

    Returns:
        The errors at the output, and at every node of `references`.
    """
    final = _final_value(exported)
    output = dict.fromkeys(graphs, 0.0)
    errors = {node: dict.fromkeys(graphs, 0.0) for node in references}
    wrapped = Outputs(network, [a.name for a in exported.arguments])
    for precision, graph in graphs.items():
        double = precision == "float64"
        executor = Executor(graph)
        wanted = {r.value for r in references.values()} | {final}
        for batch in batches:
            given = {k: v.double() if double and v.is_floating_point() else v for k, v in batch.items()}
            truth = interpret(exported, given, wanted, double=double)
            mine = executor.run({n.id: given[n.id] for n in graph.inputs}, [*references, *graph.outputs])
            for node, reference in references.items():
                seen = _in_place(truth[reference.value], reference, mine[node])
                errors[node][precision] = max(errors[node][precision], error(mine[node], seen))
            whole = truth[final] if double else _own_output(wrapped, network, exported.arguments, batch)
            output[precision] = max(output[precision], error(mine[graph.outputs[0]], whole))
    return output, tuple(ValueCheck(node, references[node].value, errors[node]) for node in references)


def _final_value(exported: Exported) -> str:
    (result,) = next(n for n in exported.program.graph.nodes if n.op == "output").args[0]
    return str(result.name)


def _own_output(wrapped: Outputs, network: nn.Module, arguments: Sequence[Argument], batch: Inputs) -> Tensor:
    with evaluating(network), torch.no_grad():
        out: Tensor = wrapped(*(batch[a.id] for a in arguments))
    return out


def _in_place(value: Tensor, reference: Reference, mine: Tensor) -> Tensor:
    """The export's value in the axes of the program's."""
    if reference.reshape:
        return value.reshape(mine.shape) if value.numel() == mine.numel() else value
    if reference.order is None:
        try:
            return value.expand(mine.shape)  # positions that the network shares among the batch
        except RuntimeError:
            return value
    return value.permute([reference.order.index(i) for i in range(value.ndim)])


def check_errors(output: Mapping[str, float], values: Sequence[ValueCheck]) -> None:
    """Raises LiftError for the first value, in the order of the program, that differs by more than its tolerance."""
    for precision, tolerance in TOLERANCES.items():
        if precision not in output:
            continue
        for check in values:
            if not check.errors[precision] <= tolerance:
                raise LiftError(
                    f"The lifted program differs from the network at {check.node} (the export's {check.value}) by "
                    f"{check.errors[precision]:.2g} in {precision}, where {tolerance:g} is allowed."
                )
        if not output[precision] <= tolerance:
            raise LiftError(
                f"The lifted program's output differs from the network's by {output[precision]:.2g} in {precision}, "
                f"where {tolerance:g} is allowed."
            )
