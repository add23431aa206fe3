"""Recurrent layers as one operation, and the automaton that one may turn out to be.

A recurrent layer holds the maps of its gates by name: `G_from_input` [in, n], `G_from_state` [n, n] and `G_bias` [n]
for every gate G; the candidate of a GRU has a `candidate_state_bias` [n] besides, which its reset gate multiplies. With
h the state (zero before the first step), x the input, and gate G(x, h) = x @ G_from_input + h @ G_from_state + G_bias:

- `rnn_tanh`, `rnn_relu`: h' = tanh(next) or relu(next);
- `gru`: h' = (1 - update)·candidate + update·h, reset and update through a sigmoid, the candidate through tanh, in
  which reset multiplies what comes of h;
- `lstm`: c' = forget·c + input·candidate, h' = output·tanh(c').

The formulas are those of torch's documentation of `nn.RNN`, `nn.GRU` and `nn.LSTM`.
"""

from __future__ import annotations

from collections.abc import Mapping

from exegesis.ir.graph import Graph, Json, Node
from exegesis.ir.spec import OpSpec, axis_size, flag, number, one_of, whole, wholes

GATES: Mapping[str, tuple[str, ...]] = {
    "rnn_tanh": ("next",),
    "rnn_relu": ("next",),
    "gru": ("reset", "update", "candidate"),
    "lstm": ("input", "forget", "candidate", "output"),
}
"""The gates of each kind of layer, in torch's order."""


def roles(kind: str) -> tuple[str, ...]:
    """The names of a layer's tensors, gate by gate."""
    each = tuple(f"{gate}_{part}" for gate in GATES[kind] for part in ("from_input", "from_state", "bias"))
    return (*each, "candidate_state_bias") if kind == "gru" else each


def _steps(value: Json) -> bool:
    return isinstance(value, Mapping) and all(number(step) for step in value.values())


def _maps_fit(node: Node, graph: Graph) -> str | None:
    wanted, held = set(roles(node.attrs["kind"])), set(node.tensors)
    if wanted != held:
        return f"is a {node.attrs['kind']} with tensors {sorted(held ^ wanted)} too many or missing"
    size = axis_size(node.type.axes[-1], graph)
    steps = node.attrs.get("steps", {})
    if unknown := sorted(set(steps) - {r for r in held if "_from_" in r}):
        return f"has a step for {unknown[0]!r}, which is no map of it"
    for role in sorted(held):
        tensor = graph.tensors.get(node.tensors[role])
        if tensor is not None and size is not None and tensor.shape[-1] != size:
            return f"has {tensor.shape[-1]} columns in {role}, but its axis {node.type.axes[-1]!r} has {size}"
        if tensor is not None and (tensor.dtype.kind in "iu") != (role in steps):
            return f"has whole numbers in {role} and no step for them, or a step and reals"
    return None


def _transitions(value: Json) -> bool:
    """Triples [state, token, next state], sorted, no pair of state and token twice, none that stays."""
    if not isinstance(value, list | tuple) or not all(wholes(r) and len(r) == 3 for r in value):
        return False
    pairs = [(r[0], r[1]) for r in value]
    return pairs == sorted(set(pairs)) and all(r[0] != r[2] for r in value)


RECURRENT = (
    OpSpec(
        "component.recurrent",
        "The states of a recurrent layer that begins with zeros, [b, s, in] → [b, s, n]; `reverse`: from the end. With "
        "`steps`, the maps named there count steps.",
        ("x",),
        attrs={"kind": one_of(*GATES), "reverse?": flag, "steps?": _steps},
        tensors={f"{r}?": (2 if "_from_" in r else 1) for kind in GATES for r in roles(kind)},
        check=_maps_fit,
    ),
)

AUTOMATA = (
    OpSpec(
        "symbolic.automaton",
        "The state of a finite automaton after every token: it begins in `start`, and the pair of state and token "
        "gives the next state; a pair that is not listed leaves it as it is.",
        ("token",),
        kinds={"token": ("category", "bool", "int")},
        attrs={"start": whole, "transitions": _transitions},
        gives=("category",),
    ),
)
