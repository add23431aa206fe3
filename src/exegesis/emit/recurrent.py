"""Recurrent layers as a step of their own that is taken once per input, and automata as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exegesis.emit.code import INDENT, WIDTH, Code, Term, call, chain, dict_of, linear, literal, statement, tuple_of
from exegesis.emit.symbolic import Build, Scene, tensor
from exegesis.ir import Node
from exegesis.ir.spec import axis_size


def definition(node: Node, name: str) -> tuple[list[str], frozenset[str]]:
    """The lines that define the step of a layer inside another definition, and the names that they use."""
    kind = node.attrs["kind"]
    if kind == "gru":
        statements = [
            *_gate(node, "reset", "sigmoid"),
            *_gate(node, "update", "sigmoid"),
            *_gate(node, "candidate", "tanh", reset=True),
            ("return ", Code("(1 - update) * candidate + update * state")),
        ]
    elif kind == "lstm":
        statements = [
            *_gate(node, "input", "sigmoid", called="entry"),
            *_gate(node, "forget", "sigmoid"),
            *_gate(node, "candidate", "tanh"),
            *_gate(node, "output", "sigmoid", called="shown"),
            ("memory = ", Code("forget * memory + entry * candidate")),
            ("return ", Code("shown * np.tanh(memory), memory")),
        ]
    else:
        *before, (_, last) = _gate(node, "next", kind.removeprefix("rnn_"))
        statements = [*before, ("return ", last)]
    takes = "state, memory, x" if kind == "lstm" else "state, x"
    lines = ["", f"{' ' * INDENT}def {name}({takes}):"]
    for prefix, code in statements:
        lines += statement(prefix, code, 2 * INDENT)
    return [*lines, ""], frozenset().union(*(code.uses for _, code in statements))


def _gate(node: Node, gate: str, act: str, *, called: str | None = None, reset: bool = False) -> list[tuple[str, Code]]:
    """The statements of a gate: an activation of what the input and the state say to it, which have statements of
    their own where they are long. With `reset`, the reset gate multiplies what the state says."""
    bias = f"{gate}_state_bias" if reset else None
    parts = {"heard": _heard(node, gate), "recalled": _recalled(node, gate, bias)}
    room = WIDTH - 3 * INDENT - len("+ reset * " if reset else "+ ")
    before = [(f"{k} = ", v) for k, v in parts.items() if len(v.text) > room]
    heard, recalled = (Code(k) if f"{k} = " in dict(before) else v for k, v in parts.items())
    said = chain("+", [heard, chain("*", [Code("reset"), recalled]) if reset else recalled])
    return [*before, (f"{called or gate} = ", call("activation", said, Code(f'"{act}"')))]


def _map(node: Node, role: str) -> Code:
    """The weight of a map; one of integers counts steps."""
    step = node.attrs.get("steps", {}).get(role)
    return tensor(node, role) if step is None else linear([Term(step, tensor(node, role))], 0)


def _heard(node: Node, gate: str) -> Code:
    """What the input says to a gate."""
    return call("linear", Code("x"), _map(node, f"{gate}_from_input"), tensor(node, f"{gate}_bias"))


def _recalled(node: Node, gate: str, bias: str | None = None) -> Code:
    """What the state says to a gate."""
    more = [tensor(node, bias)] if bias else []
    return call("linear", Code("state"), _map(node, f"{gate}_from_state"), *more)


def _recurrent(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """The states of a layer, whose `step` has been defined."""
    size = axis_size(node.type.axes[-1], scene.graph)
    assert size is not None
    reverse = {"reverse": Code("True")} if node.attrs.get("reverse") else {}
    scans = "scan_memory" if node.attrs["kind"] == "lstm" else "scan"
    return call(scans, Code("step"), inputs[0], literal(size), **reverse)


def _automaton(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    states, tokens = node.type.of, scene.axis_of(node.inputs[0])
    category = scene.words.category
    rows = dict_of(
        (tuple_of([category(states, state), category(tokens, token)]), category(states, after))
        for state, token, after in node.attrs["transitions"]
    )
    return call("automaton", inputs[0], rows, start=category(states, node.attrs["start"]))


RECURRENT: Mapping[str, Build] = {"component.recurrent": _recurrent, "symbolic.automaton": _automaton}
