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
from exegesis.lift.export import Exported, own_output
from exegesis.lift.interpret import interpret
from exegesis.runtime import Executor

TOLERANCES: Mapping[str, float] = {"float32": 1e-4, "float64": 1e-9}
_FILLED = 1e5  # from here on a value is the filling of a mask, and errors are relative

Inputs: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class ValueCheck:
    """How far one node of the program is from one value of the export.

    Attributes:
        node: of the program.
        value: of the export.
        errors: the largest absolute error, by precision.
        scale: the root mean square of the value, where that exceeds 1: rounding errors grow with what is rounded.
    """

    node: str
    value: str
    errors: Mapping[str, float]
    scale: float

    def within(self, precision: str) -> bool:
        """Whether the error is at most the tolerance times the scale (never for NaN)."""
        return self.errors[precision] <= TOLERANCES[precision] * self.scale


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
        output: the error of the output: in float32 against the network itself, in float64 against its export, where
            casts to lower precisions on the way are not made.
        values: errors at every value that the program has in common with the export.
        shapes: of the inputs that were tried.
        share: how much is recognised.
        assumes: what must hold of inputs for the program to be exact.
        notes: what export had to give up.
        seconds: how long lifting took.
    """

    output: ValueCheck
    values: tuple[ValueCheck, ...]
    shapes: tuple[tuple[int, ...], ...]
    share: Share
    assumes: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def worst(self, precision: str) -> float:
        """The largest absolute error at any value, the output included."""
        return max(v.errors[precision] for v in (self.output, *self.values))

    def __str__(self) -> str:
        checks = (*self.values, self.output)
        precisions = tuple(self.output.errors)
        width = max(len(v.node) for v in checks)
        rows = [
            f"{'node':<{width}}  " + "".join(f"{p:>8}  " for p in precisions) + f"{'scale':>6}  value of the export"
        ]
        for v in checks:
            errors = "".join(f"{v.errors[p]:8.1e}  " for p in precisions)
            rows.append(f"{v.node:<{width}}  {errors}{v.scale:6.1f}  {v.value}")
        levels = ", ".join(f"{count} {level}" for level, count in self.share.nodes.items())
        shares = f"{self.share.numbers:.1%} of the numbers and {self.share.multiplications:.1%} of the multiplications"
        rows.append(f"{levels} nodes; {shares} recognised")
        rows += [f"assumes: {a}" for a in self.assumes] + [f"note: {n}" for n in self.notes]
        return "\n".join(rows)


def error(mine: Tensor, reference: Tensor) -> float:
    """The largest absolute difference; relative where a mask filled in a huge number; infinite for other shapes or NaN.

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
) -> tuple[ValueCheck, tuple[ValueCheck, ...]]:
    """Errors of the programs (by precision) on some inputs.

    Args:
        network: the network itself, whose output the program must give in the network's own precision.
        exported: its export, whose values are the reference for everything else.
        graphs: the program in `float32` and in `float64`.
        references: for nodes that must equal a value of the export.
        batches: inputs by the ids of the program's inputs.

    Returns:
        The errors at the output, and at every node of `references`.
    """
    final = _final_value(exported)
    tally = _Tally()
    own = "float64" if "float32" not in graphs else "float32"
    wanted = {r.value for r in references.values()} | {final}
    for precision, graph in graphs.items():
        executor = Executor(graph)
        for batch in batches:
            double = precision == "float64"
            given = {k: v.double() if double and v.is_floating_point() else v for k, v in batch.items()}
            truth = interpret(exported, given, wanted, double=double)
            mine = executor.run({n.id: given[n.id] for n in graph.inputs}, [*references, *graph.outputs])
            for node, reference in references.items():
                tally.add(node, precision, mine[node], _in_place(truth[reference.value], reference, mine[node]))
            whole = own_output(network, exported.arguments, batch) if precision == own else truth[final]
            tally.add("output", precision, mine[graph.outputs[0]], whole)
    values = tuple(tally.check(node, reference.value) for node, reference in references.items())
    return tally.check("output", "the network's own output"), values


class _Tally:
    """The worst of what was compared, node by node."""

    def __init__(self) -> None:
        self._errors: dict[str, dict[str, float]] = {}
        self._scale: dict[str, float] = {}

    def add(self, node: str, precision: str, mine: Tensor, reference: Tensor) -> None:
        errors = self._errors.setdefault(node, {})
        errors[precision] = max(errors.get(precision, 0.0), error(mine, reference))
        self._scale[node] = max(self._scale.get(node, 1.0), _root_mean_square(reference))

    def check(self, node: str, value: str) -> ValueCheck:
        return ValueCheck(node, value, self._errors[node], self._scale[node])


def _root_mean_square(value: Tensor) -> float:
    if not value.is_floating_point():
        return 1.0
    plain = value[value.abs() < _FILLED].double()
    return float(plain.square().mean().sqrt()) if plain.numel() else 1.0


def _final_value(exported: Exported) -> str:
    (result,) = next(n for n in exported.program.graph.nodes if n.op == "output").args[0]
    return str(result.name)


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


def check_errors(output: ValueCheck, values: Sequence[ValueCheck]) -> None:
    """Raises LiftError for the first value, in the order of the program, that differs by more than its tolerance."""
    for check in (*values, output):
        for precision, found in check.errors.items():
            if not check.within(precision):
                raise LiftError(
                    f"The lifted program differs from the network at {check.node} ({check.value}) by "
                    f"{found:.2g} in {precision}, where {TOLERANCES[precision] * check.scale:.2g} is allowed."
                )
