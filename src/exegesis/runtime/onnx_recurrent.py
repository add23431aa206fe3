"""Recurrent operators of ONNX files (RNN, GRU, LSTM) as torch's layers.

ONNX orders gates in its own way (GRU: update, reset, candidate; LSTM: input, output, forget, candidate), keeps both
biases in one tensor, and gives all states as [steps, directions, batch, size].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from exegesis.ir import InputError

Attrs: TypeAlias = Mapping[str, Any]

_ORDER: Mapping[str, tuple[int, ...]] = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}
"""Where torch's gates stand among those of ONNX."""
_USUAL = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}


def _refused(attrs: Attrs, kind: str) -> str | None:
    """What about an operator torch has no layer for."""
    directions = 2 if attrs.get("direction") == b"bidirectional" or attrs.get("direction") == "bidirectional" else 1
    acts = tuple(a.decode() if isinstance(a, bytes) else a for a in attrs.get("activations", ()))
    usual = acts in ((), _USUAL[kind] * directions)
    if not usual and not (kind == "RNN" and acts == ("Relu",) * directions):
        return f"activations {', '.join(acts)}"
    if "clip" in attrs or attrs.get("input_forget", 0):
        return "clipped or coupled gates"
    if kind == "GRU" and not attrs.get("linear_before_reset", 0):
        return "a reset gate that comes before its product (linear_before_reset=0)"
    return None


def _layer(kind: str) -> Callable[..., Any]:
    def run(
        attrs: Attrs,
        x: Tensor,
        of_input: Tensor,
        of_state: Tensor,
        biases: Tensor | None = None,
        lengths: Tensor | None = None,
        start: Tensor | None = None,
        memory: Tensor | None = None,
        peepholes: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        why = _refused(attrs, kind)
        why = "lengths of its sequences as an input" if lengths is not None else why
        why = "peepholes" if peepholes is not None else why
        if why is not None:
            raise InputError(f"A {kind} of the ONNX model has {why}, which is not supported.")
        first = bool(attrs.get("layout", 0))
        back = attrs.get("direction", "forward") == "reverse"
        ways, size = of_state.shape[0], of_state.shape[-1]
        params = [w for way in range(ways) for w in _weights(kind, way, of_input, of_state, biases)]
        read = x if first else x.transpose(0, 1)
        read = read.flip(1) if back else read
        starts = [_start(read, s, ways, size, first) for s in ((start, memory) if kind == "LSTM" else (start,))]
        relu = attrs.get("activations", ("",))[0] in (b"Relu", "Relu")
        name = {"RNN": "rnn_relu" if relu else "rnn_tanh"}.get(kind, kind.lower())
        layer: Any = getattr(torch._C._VariableFunctions, name)
        given = starts if kind == "LSTM" else starts[0]
        states, *last = layer(read, given, params, biases is not None, 1, 0.0, False, ways == 2, True)
        states = states.flip(1) if back else states
        apart = states.unflatten(-1, (ways, size))  # [batch, steps, directions, size]
        if first:
            return (apart, *(v.transpose(0, 1) for v in last))
        return (apart.permute(1, 2, 0, 3), *last)

    return run


def _weights(kind: str, way: int, of_input: Tensor, of_state: Tensor, biases: Tensor | None) -> list[Tensor]:
    """Of one direction: `weight_ih`, `weight_hh` and, where there are any, both biases, gates in torch's order."""
    order, size = _ORDER[kind], of_state.shape[-1]
    rows = len(order) * size
    both = [] if biases is None else [biases[way][:rows], biases[way][rows:]]
    weights = (of_input[way], of_state[way], *both)
    return [torch.cat([weight[i * size : (i + 1) * size] for i in order]) for weight in weights]


def _start(x: Tensor, given: Tensor | None, ways: int, size: int, first: bool) -> Tensor:
    """A starting state, [directions, batch, size]; zeros for any number of inputs where it is not given."""
    if given is None:
        return torch.zeros(ways, x.shape[0], size, dtype=x.dtype, device=x.device)
    return given.transpose(0, 1) if first else given


RECURRENT: Mapping[str, Callable[..., Any]] = {kind: _layer(kind) for kind in _ORDER}
