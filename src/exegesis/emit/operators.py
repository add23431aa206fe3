"""Operators of the export that nobody recognised, as expressions. Their values keep the batch axis, of size 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exegesis.emit.code import ATOM, PRODUCT, UNARY, Code, call, chain, compared, index, literal, tuple_of
from exegesis.emit.symbolic import Scene, tensor
from exegesis.ir import Graph, GraphError, Json, Level, Node
from exegesis.primitives.aten import OPERATORS

_SYMBOLS = {"add": "+", "sub": "-", "mul": "*"}
_RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_FUNCTIONS = {n: n.removeprefix("sym_") for n in ("min", "max", "sym_min", "sym_max", "abs", "int", "sym_int")}
_BUILTINS = frozenset({*_SYMBOLS, *_RELATIONS, *_FUNCTIONS, "floordiv", "getitem", "neg"})
_TORCH_ONLY = frozenset({"layout", "device", "memory_format"})
_DTYPES = {"bfloat16": "float32", "float16": "float32"}


def refusal(node: Node) -> str | None:
    """Why a program on numpy alone cannot run an exported operator, or None."""
    kind, _, name = node.op.removeprefix("tensor.").partition(".")
    known = _BUILTINS if kind == "builtin" else OPERATORS
    if node.op == "tensor.constant" or name.partition(".")[0] in known:
        return None
    return (
        f"Node {node.id!r} is still the exported operator {node.op.removeprefix('tensor.')}, "
        "which a program on numpy alone cannot run."
    )


def has_batch(graph: Graph, node: Node) -> bool:
    """Whether the first axis of a value is that of the batch."""
    batch = next((n.type.axes[0] for n in graph.inputs if n.type.axes), None)
    return bool(node.type.axes) and node.type.axes[0] == batch


def crossed(graph: Graph, source: Node, code: Code, reader: Level) -> Code:
    """A value as an operation of another level reads it: exported operators have the batch axis, all others do not."""
    if (source.level is Level.TENSOR) == (reader is Level.TENSOR) or not has_batch(graph, source):
        return code
    return index(code, "None" if reader is Level.TENSOR else "0")


def operator(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """An exported operator on values that have the batch axis."""
    if node.op == "tensor.constant":
        return tensor(node, "value")
    kind, _, name = node.op.removeprefix("tensor.").partition(".")
    given = node.attrs.get("args")
    args = list(inputs) if given is None else [_argument(a, inputs) for a in given]
    if kind == "builtin":
        return _builtin(name, args)
    named = {k: _argument(v, inputs) for k, v in (node.attrs.get("kwargs") or {}).items() if not _is_torch_only(k, v)}
    code = call("aten", Code(f'"{name.partition(".")[0]}"'), *args, **named)
    at = node.attrs.get("index")
    return code if at is None else index(code, str(at))


def _is_torch_only(name: str, value: Json) -> bool:
    return name in (*_TORCH_ONLY, "pin_memory", "non_blocking") or (
        isinstance(value, Mapping) and not _TORCH_ONLY.isdisjoint(value)
    )


def _argument(value: Json, inputs: Sequence[Code]) -> Code:
    """An argument as `exegesis.ir.arguments` keeps it."""
    if isinstance(value, list | tuple):
        items = [_argument(v, inputs) for v in value]
        return tuple_of(items) if items else Code("()")
    if isinstance(value, Mapping):
        ((kind, held),) = value.items()
        if kind == "node":
            return inputs[held]
        if kind == "float":
            return Code({"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}[held], UNARY)
        return Code(f'"{_DTYPES.get(held, held)}"') if kind == "dtype" else Code("None")
    if isinstance(value, bool) or value is None:
        return Code(str(value))
    return Code(f'"{value}"') if isinstance(value, str) else literal(value)


def _builtin(name: str, args: Sequence[Code]) -> Code:
    if name in _SYMBOLS:
        return chain(_SYMBOLS[name], args)
    if name in _RELATIONS:
        return compared(args[0], _RELATIONS[name], args[1])
    if name in _FUNCTIONS:
        return call(_FUNCTIONS[name], *args)
    if name == "getitem":
        return index(args[0], args[1].text, args[1].uses)
    if name == "neg":
        return Code(f"-{args[0].inside(UNARY)}", UNARY, args[0].depth, args[0].uses)
    left, right = args
    text = f"{left.inside(PRODUCT)} // {right.inside(ATOM)}"
    return Code(text, PRODUCT, max(left.depth, right.depth), left.uses | right.uses)


def check_operators(graph: Graph, live: Callable[[str], bool]) -> None:
    """Raises GraphError where an operator is needed that numpy cannot run."""
    for node in graph.nodes:
        if node.level is Level.TENSOR and live(node.id) and (reason := refusal(node)):
            raise GraphError(reason)
