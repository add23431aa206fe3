"""How the arguments of tensor-level ops are written as JSON, and read back.

An argument list of the exported graph holds numbers, strings, nested lists, values of other nodes and a few objects of
torch (data types, devices, memory layouts). Everything that is not plain JSON becomes an object with one key:

========================  ==========================================================
`{"node": k}`             the value of the k-th input of the node
`{"dtype": "float32"}`    `torch.float32`; likewise `layout` and `memory_format`
`{"device": "cpu"}`       wherever the program runs: an export's device is not kept
`{"float": "inf"}`        a float that JSON has no sign for: `inf`, `-inf`, `nan`
========================  ==========================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable

from exegesis.ir.errors import GraphError
from exegesis.ir.graph import Json

TORCH_KINDS = ("dtype", "device", "layout", "memory_format")
_FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def encode_argument(value: object, input_of: Callable[[object], int | None]) -> Json:
    """An argument of an exported op as JSON.

    Args:
        value: what the export holds.
        input_of: the index of the input that carries an object of the export (a node), or None where it is not one.

    Raises:
        GraphError: an object that has no form in JSON.
    """
    index = input_of(value)
    if index is not None:
        return {"node": index}
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case list() | tuple():
            return [encode_argument(v, input_of) for v in value]
    kind = type(value)
    if kind.__module__.split(".", 1)[0] == "torch" and kind.__name__ in TORCH_KINDS:
        return {kind.__name__: str(value).removeprefix("torch.")}
    raise GraphError(f"An op of the export has a {kind.__name__} argument ({value!r}), which a program cannot hold.")


def decode_argument(
    value: Json, input_at: Callable[[int], object], torch_object: Callable[[str, str], object]
) -> object:
    """The argument that a JSON value stands for.

    Args:
        value: what `encode_argument` gave.
        input_at: the value of the k-th input.
        torch_object: maps a kind out of `TORCH_KINDS` and a name to torch's object.

    Raises:
        GraphError: an object that `encode_argument` never writes.
    """
    if isinstance(value, list | tuple):
        return [decode_argument(v, input_at, torch_object) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "node" and isinstance(content, int) and not isinstance(content, bool):
            return input_at(content)
        if kind == "float" and content in _FLOATS:
            return _FLOATS[content]
        if kind in TORCH_KINDS and isinstance(content, str):
            return torch_object(kind, content)
    raise GraphError(f"{value!r} is no argument that a program can hold.")
