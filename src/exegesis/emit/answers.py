"""What `run` returns: the program's output, read as an answer."""

from __future__ import annotations

from exegesis.behavior import Argmax, Readout, Sign
from exegesis.emit.code import Code, call, index, literal, method, tuple_of
from exegesis.ir import Graph, GraphError


def answer(graph: Graph, readout: Readout, code: Code) -> Code:
    """The expression that `run` returns, given that of the graph's output.

    Raises:
        GraphError: the output is of a kind that the readout cannot read.
    """
    output = graph[graph.outputs[0]]
    kind, axes = output.type.kind, output.type.axes
    positions = _position(graph)
    # A network's own output may not name its axis of positions, but logits [batch, position, output] have no other.
    per_position = positions in axes or (positions is not None and kind == "real" and len(axes) == 3)
    if isinstance(readout, Argmax):
        if kind == "real":
            among = {} if readout.outputs is None else {"among": _outputs(readout.outputs)}
            code = call("largest", code, **among)
        elif kind not in ("category", "int"):
            raise GraphError(f"The output {output.id!r} is {output.type}, of which no largest entry can be taken.")
        return method(code, "tolist") if per_position else call("int", code)
    if isinstance(readout, Sign):
        if output.op == "symbolic.allow":
            return code
        if kind not in ("real", "bool"):
            raise GraphError(f"The output {output.id!r} is {output.type}, which has no signs.")
        return call("positive", code) if per_position else index(call("positive", index(code, "None")), "0")
    if _classes(graph, axes):
        code = index(code, "..., 0")
    return method(code, "tolist") if per_position else call("float", code)


def _position(graph: Graph) -> str | None:
    """The axis of positions; None where the input is no sequence."""
    return next((n.type.axes[-1] for n in graph.inputs if n.op in ("input.tokens", "input.positions")), None)


def _classes(graph: Graph, axes: tuple[str, ...]) -> bool:
    """Whether there is an axis of outputs after batch and positions."""
    return len(axes) > (1 if _position(graph) is None else 2)


def _outputs(outputs: tuple[int, ...]) -> Code:
    run = range(outputs[0], outputs[-1] + 1)
    if len(outputs) > 3 and outputs == tuple(run):
        return Code(f"range({run.stop})" if run.start == 0 else f"range({run.start}, {run.stop})")
    return tuple_of(literal(o) for o in outputs)
