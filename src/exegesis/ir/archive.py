"""Programs on disk: `program.json` says what is computed, `tensors.safetensors` holds what nobody could explain yet.

Equal graphs give equal bytes. A reader takes a file whole or refuses it in one sentence: another schema, a field that
it does not know, an op that the language does not have, a tensor that is missing or not the one that was saved.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

from exegesis.ir.errors import GraphError, InputError
from exegesis.ir.files import write_bytes, write_text
from exegesis.ir.graph import Array, Graph, Json
from exegesis.ir.records import graph_from_record, graph_record

PROGRAM_FILE = "program.json"
TENSORS_FILE = "tensors.safetensors"
_LISTS = ("nodes", "functions")


def save_graph(graph: Graph, folder: str | Path) -> None:
    """Writes a program into a folder, which is made where it does not exist. Each file appears whole or not at all.

    Tuples in attributes come back as lists; everything else comes back as it was.

    Raises:
        GraphError: the graph breaks its specification, or holds something that JSON or safetensors cannot.
        InputError: the folder cannot be written.
    """
    record, arrays = graph_record(graph)
    text = _text(record)
    try:
        content = tensor_bytes(arrays)
    except SafetensorError as error:
        raise GraphError(f"A tensor of the program cannot be saved: {error}.") from None
    write_bytes(Path(folder) / TENSORS_FILE, content)
    write_text(Path(folder) / PROGRAM_FILE, text)


def load_graph(folder: str | Path) -> Graph:
    """Reads what `save_graph` wrote, checked against the specification.

    Raises:
        InputError: a file is missing, malformed, of another schema, or does not belong to the other one.
    """
    program, tensors = Path(folder) / PROGRAM_FILE, Path(folder) / TENSORS_FILE
    return graph_from_record(_parse(program), _load(tensors), source=str(program), arrays_source=str(tensors))


def _text(record: dict[str, Json]) -> str:
    """One line per axis, node, function and tensor, so that two versions of a program compare line by line."""

    def line(value: Json) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    def lines(items: list[str], brackets: str) -> str:
        return f"{brackets[0]}\n  " + ",\n  ".join(items) + f"\n {brackets[1]}" if items else brackets

    def text(name: str, value: Json) -> str:
        if isinstance(value, dict):
            return lines([f"{line(key)}: {line(value[key])}" for key in sorted(value)], "{}")
        return lines([line(item) for item in value], "[]") if name in _LISTS else line(value)

    return "{\n " + ",\n ".join(f"{line(name)}: {text(name, value)}" for name, value in record.items()) + "\n}\n"


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [k for k, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice in one object")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _parse(path: Path) -> Json:
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def _load(path: Path) -> dict[str, Array]:
    try:
        found: dict[str, Array] = read_tensors(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no valid safetensors file: {error}.") from None
    return found
