"""From a module to torch's own export of it: batch and sequence length dynamic wherever the network allows it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sympy
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from exegesis.ir import InputError
from exegesis.lift.bench import Size
from exegesis.lift.errors import LiftError
from exegesis.runtime.exported import quiet
from exegesis.runtime.network import output_tensor
from exegesis.runtime.tracing import tracing, with_torchs_layers

Example = Mapping[str, Tensor] | tuple[Tensor, ...]

# The names under which the usual arguments enter a program; any other keeps its own.
_IDS = {"input_ids": "tokens", "position_ids": "positions"}


def as_size(value: int | torch.SymInt) -> Size:
    """A size of the export as an expression; a number where it is fixed."""
    if isinstance(value, int):
        return value
    expression: sympy.Expr = value.node.expr
    return int(expression) if expression.is_number else expression


@dataclass(frozen=True)
class Argument:
    """One argument of `forward`.

    Attributes:
        name: its name in `forward`.
        id: the id of the input node that stands for it.
        example: what the caller gave.
        dynamic: which of its axes may vary.
    """

    name: str
    id: str
    example: Tensor
    dynamic: tuple[int, ...]

    @property
    def is_tokens(self) -> bool:
        """Whether it holds ids of tokens: integers, under the usual name or under none of the other usual ones."""
        integers = not self.example.dtype.is_floating_point and self.example.dtype != torch.bool
        return self.id == "tokens" or (
            integers and self.name not in ("attention_mask", "token_type_ids", "position_ids")
        )


@dataclass(frozen=True)
class Exported:
    """An export with the arguments it was made for, and what had to be given up on the way."""

    program: ExportedProgram
    arguments: tuple[Argument, ...]
    notes: tuple[str, ...]


class Outputs(nn.Module):
    """A network whose only result is the tensor that counts, with positional arguments."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._names = tuple(names)
        takes = inspect.signature(network.forward).parameters
        self._fixed: dict[str, Any] = {"use_cache": False} if "use_cache" in takes else {}

    def forward(self, *args: Tensor) -> Tensor:
        out = self.network(**dict(zip(self._names, args, strict=True)), **self._fixed)
        return output_tensor(out, type(self.network).__name__)


def named_arguments(network: nn.Module, example: Example) -> tuple[Argument, ...]:
    """The arguments of an example, with the axes that may vary: batch and position of ids and streams, batch of images.

    Raises:
        InputError: no example, one that `forward` does not take, or one that is no tensor.
    """
    parameters = [p for p in inspect.signature(network.forward).parameters.values() if p.kind is not p.VAR_KEYWORD]
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    given = dict(example) if isinstance(example, Mapping) else dict(zip(names, example, strict=False))
    if not given:
        raise InputError("Lifting needs an example of the network's inputs.")
    if len(given) < len(example):
        raise InputError(f"The example has {len(example)} tensors, but forward takes {len(names)}.")
    arguments = []
    for name, value in given.items():
        if name not in names:
            raise InputError(f"The example has {name!r}, which forward does not take.")
        if not getattr(value, "ndim", 0):
            raise InputError(f"The example's {name!r} is no tensor with a batch axis.")
        two = value.ndim == 3 or (value.ndim == 2 and not value.dtype.is_floating_point)
        arguments.append(Argument(name, _IDS.get(name, name), value, (0, 1) if two else (0,)))
    return tuple(arguments)


def check_weights(network: nn.Module) -> None:
    """Raises InputError for a weight that is NaN or infinite, or in a precision that cannot be certified."""
    for name, weight in network.named_parameters():
        if weight.is_floating_point() and weight.dtype not in (torch.float32, torch.float64):
            raise InputError(
                f"Weight {name} is {str(weight.dtype).removeprefix('torch.')}; lift the network in float32 or float64."
            )
        if not bool(torch.isfinite(weight).all()):
            raise InputError(f"Weight {name} holds values that are NaN or infinite.")
    for name, held in network.named_buffers():
        if bool(held.isnan().any()):  # masks hold infinities for a reason
            raise InputError(f"Buffer {name} holds values that are NaN.")


def export(network: nn.Module, example: Example) -> Exported:
    """Exports a network in evaluation mode.

    Tries dynamic batch and sequence length first, then batch alone, then neither; what was given up is noted.

    Raises:
        InputError: see `named_arguments` and `check_weights`.
        LiftError: the network fails on its example, or torch.export rejects it.
    """
    check_weights(network)
    arguments = named_arguments(network, example)
    wrapped = Outputs(network, [a.name for a in arguments])
    with evaluating(network), quiet(), torch.no_grad():
        try:
            wrapped(*(a.example for a in arguments))
        except InputError:
            raise
        except Exception as error:
            raise LiftError(f"The network fails on the example it is lifted with: {_reason(error)}") from error
        notes, failure = list[str](), Exception("no attempt")
        for axes, lost in (
            ((0, 1), ""),
            ((0,), "the sequence length is fixed"),
            ((), "batch size and sequence length are fixed"),
        ):
            try:
                program = _export_once(wrapped, arguments, axes)
            except Exception as error:
                failure = error
                continue
            if lost:
                notes.append(f"{lost}: {_reason(failure)}")
            notes += _specialised(program, arguments, axes)
            return Exported(program, _as_exported(program, arguments), tuple(notes))
    raise LiftError(f"torch.export rejects the network: {_reason(failure)}") from failure


def own_output(network: nn.Module, arguments: Sequence[Argument], inputs: Mapping[str, Tensor]) -> Tensor:
    """What the network itself gives, for inputs by the ids of the program's."""
    with evaluating(network), torch.no_grad():
        out: Tensor = Outputs(network, [a.name for a in arguments])(*(inputs[a.id] for a in arguments))
    return out


def _export_once(wrapped: Outputs, arguments: Sequence[Argument], axes: tuple[int, ...]) -> ExportedProgram:
    dynamic = tuple({i: Dim.AUTO for i in a.dynamic if i in axes} for a in arguments)
    examples = tuple(_varied(a, axes, _odd_batch(wrapped, arguments)) for a in arguments)
    with tracing(wrapped.network, examples):
        program = torch.export.export(wrapped, examples, dynamic_shapes={"args": dynamic}, strict=False)
    return with_torchs_layers(program.run_decompositions({}) if _writes(program) else program)


def _writes(program: ExportedProgram) -> bool:
    """Whether some op writes into its operands: an empty table of decompositions makes these pure and leaves others."""
    targets = (n.target for n in program.graph.nodes)
    return any(isinstance(t, torch._ops.OpOverload) and t._schema.is_mutable for t in targets)


def _odd_batch(wrapped: Outputs, arguments: Sequence[Argument]) -> int:
    """A batch size that no other size of the network or of its inputs equals: else export may confuse them."""
    taken = {size for p in wrapped.network.parameters() for size in p.shape}
    taken |= {size for a in arguments for size in a.example.shape[1:]}
    return next(n for n in range(max(3, len(arguments[0].example)), len(taken) + 1000) if n not in taken)


def _varied(argument: Argument, axes: tuple[int, ...], batch: int) -> Tensor:
    """The example with no dynamic axis of size 1, which export takes for fixed, and a batch unlike other sizes."""
    value = argument.example
    if 1 in axes and 1 in argument.dynamic and value.shape[1] == 1:
        value = value.expand(*(3 if i == 1 else -1 for i in range(value.ndim)))
    if 0 in axes and 0 in argument.dynamic:
        value = value[torch.arange(batch) % len(value)]
    return value.contiguous()


def _specialised(program: ExportedProgram, arguments: Sequence[Argument], axes: tuple[int, ...]) -> tuple[str, ...]:
    users = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    notes = []
    for argument, node in zip(arguments, users, strict=True):
        for axis in argument.dynamic:
            size = as_size(node.meta["val"].shape[axis])
            if axis in axes and isinstance(size, int):
                notes.append(f"axis {axis} of {argument.name} is fixed at {size} by the network")
    return tuple(notes)


def _as_exported(program: ExportedProgram, arguments: Sequence[Argument]) -> tuple[Argument, ...]:
    """The arguments with the axes alone that vary in the export."""
    users = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in program.graph_signature.user_inputs]
    shapes = [[as_size(s) for s in n.meta["val"].shape] for n in users]
    return tuple(
        replace(a, dynamic=tuple(i for i in a.dynamic if not isinstance(shape[i], int)))
        for a, shape in zip(arguments, shapes, strict=True)
    )


_DATA = re.compile(r"data-dependent expression|data-dependent")
_CALL = re.compile(r'File "([^"]*)", line (\d+), in (\w+)')


def _reason(error: Exception) -> str:
    """An error in one sentence; where torch cannot follow a decision that depends on data, where that is made."""
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0].strip()
    calls = _CALL.findall(text.partition("The following call raised this error:")[2])
    if _DATA.search(first) is None or not calls:
        return first
    file, line, function = calls[-1]
    where = f"{Path(file).name}:{line}, {function}"
    return f"what it computes depends on its data in a way that cannot be traced ({where})."


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for as long as it takes; each module gets its own mode back."""
    before = [(m, m.training) for m in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
