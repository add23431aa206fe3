"""Lets torch.export see what networks leave open: how long a batch is, and how many steps a recurrent layer takes.

Three things would fix a size for good while a network is traced. `len(x)` must be a number in Python, so the networks'
own code gets a `len` that gives a symbol for tensors. Recurrent layers are traced step by step, so that a layer that
reads tokens of any length would be fixed to that of the example: such a layer is one operator while it is traced, and
torch's own in what comes out. And an einsum of three values or more fixes them all: it is taken pair by pair.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.overrides import TorchFunctionMode

RECURRENT = ("gru", "lstm", "rnn_tanh", "rnn_relu")
NAMESPACE = "exegesis"
"""Of the operators that stand for whole recurrent layers: `exegesis::gru` takes what `aten::gru.input` takes."""
_REST = "Tensor[] params, bool has_biases, int layers, float dropout, bool train, bool both_ways, bool batch_first"


@contextmanager
def tracing(network: nn.Module, examples: Iterable[Tensor]) -> Iterator[None]:
    """While this lasts, tracing a network keeps sizes open.

    Args:
        network: what is traced.
        examples: its inputs; recurrent layers stay whole where one of them holds ids of tokens.
    """
    ids = any(not x.is_floating_point() and x.ndim == 2 for x in examples)
    with _open_lengths(network), _Traced(whole_layers=ids):
        yield


def with_torchs_layers(program: ExportedProgram) -> ExportedProgram:
    """An export in which recurrent layers that stayed whole are torch's operators (the same object)."""
    for node in program.graph.nodes:
        target: Any = node.target
        if isinstance(target, torch._ops.OpOverload) and target.namespace == NAMESPACE:
            node.target = getattr(torch.ops.aten, target._schema.name.split("::")[-1]).input
    return program


@contextmanager
def _open_lengths(network: nn.Module) -> Iterator[None]:
    """A `len` of its own for the code of a network's classes, which are torch's where they are not the user's."""
    spaces: dict[int, dict[str, Any]] = {}
    for module in network.modules():
        forward: Any = type(module).forward
        names = getattr(forward, "__globals__", None)
        if names is not None and not str(names.get("__name__", "")).startswith("torch.") and "len" not in names:
            spaces[id(names)] = names
    for names in spaces.values():
        names["len"] = _length
    try:
        yield
    finally:
        for names in spaces.values():
            del names["len"]


def _length(value: Any) -> Any:
    return value.shape[0] if isinstance(value, Tensor) and value.ndim else builtins.len(value)


class _Traced(TorchFunctionMode):
    """Functions of torch that are traced as others."""

    def __init__(self, *, whole_layers: bool) -> None:
        super().__init__()
        self._whole_layers = whole_layers

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if self._whole_layers and name in RECURRENT and len(args) == 9 and isinstance(args[3], bool):
            return _operators()[name](*args)  # nine, the fourth a flag: a batch of sequences that is not packed
        if name == "einsum" and isinstance(args[0], str) and (pairs := _in_pairs(args)) is not None:
            return pairs
        return func(*args, **dict(kwargs or {}))


def _in_pairs(args: tuple[Any, ...]) -> Tensor | None:
    """An einsum of three values or more, two at a time; None where it has fewer, or is not written out."""
    equation = args[0].replace(" ", "")
    values = list(args[1]) if len(args) == 2 and isinstance(args[1], list | tuple) else list(args[1:])
    if len(values) < 3 or "->" not in equation or "." in equation:
        return None
    given, wanted = equation.split("->")
    terms = given.split(",")
    while len(terms) > 1:
        needed = set("".join(terms[2:]) + wanted)
        both = "".join(dict.fromkeys(i for i in terms[0] + terms[1] if i in needed)) if terms[2:] else wanted
        values[:2] = [torch.einsum(f"{terms[0]},{terms[1]}->{both}", values[0], values[1])]
        terms[:2] = [both]
    found: Tensor = values[0]
    return found


@cache
def _operators() -> Mapping[str, Callable[..., Any]]:
    """The operators, made when they are first needed."""
    return {name: _lstm() if name == "lstm" else _layer(name) for name in RECURRENT}


def _sizes(x: Tensor, state: Tensor, both_ways: bool) -> tuple[Any, ...]:
    """The shape of a layer's outputs."""
    return (*x.shape[:2], state.shape[-1] * (2 if both_ways else 1))


def _layer(name: str) -> Callable[..., Any]:
    torchs: Any = getattr(torch._C._VariableFunctions, name)

    def whole(
        x: Tensor,
        start: Tensor,
        params: list[Tensor],
        has_biases: bool,
        layers: int,
        dropout: float,
        train: bool,
        both_ways: bool,
        batch_first: bool,
    ) -> tuple[Tensor, Tensor]:
        states, last = torchs(x, start, params, has_biases, layers, dropout, train, both_ways, batch_first)
        return states.clone(), last.clone()

    schema = f"(Tensor x, Tensor start, {_REST}) -> (Tensor, Tensor)"
    made: Any = torch.library.custom_op(f"{NAMESPACE}::{name}", whole, mutates_args=(), schema=schema)
    made.register_fake(
        lambda x, start, params, has_biases, layers, dropout, train, both_ways, batch_first: (
            x.new_empty(_sizes(x, start, both_ways)),
            torch.empty_like(start),
        )
    )
    found: Callable[..., Any] = made
    return found


def _lstm() -> Callable[..., Any]:
    torchs: Any = torch._C._VariableFunctions.lstm

    def whole(
        x: Tensor,
        start: list[Tensor],
        params: list[Tensor],
        has_biases: bool,
        layers: int,
        dropout: float,
        train: bool,
        both_ways: bool,
        batch_first: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        states, last, memory = torchs(x, start, params, has_biases, layers, dropout, train, both_ways, batch_first)
        return states.clone(), last.clone(), memory.clone()

    schema = f"(Tensor x, Tensor[] start, {_REST}) -> (Tensor, Tensor, Tensor)"
    made: Any = torch.library.custom_op(f"{NAMESPACE}::lstm", whole, mutates_args=(), schema=schema)
    made.register_fake(
        lambda x, start, params, has_biases, layers, dropout, train, both_ways, batch_first: (
            x.new_empty(_sizes(x, start[0], both_ways)),
            torch.empty_like(start[0]),
            torch.empty_like(start[1]),
        )
    )
    found: Callable[..., Any] = made
    return found
