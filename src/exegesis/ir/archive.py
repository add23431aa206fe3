"""Programs on disk: `program.json` says what is computed, `tensors.safetensors` holds what nobody could explain yet.

Equal graphs give equal bytes. A reader takes a file whole or refuses it in one sentence: another schema, a field that
it does not know, an op that the language does not have, a tensor that is missing or not the one that was saved.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as tensor_bytes

from exegesis.ir.errors import GraphError, InputError
from exegesis.ir.graph import Array, Axis, Function, Graph, Json, Kind, Node, Origin, Site, Type
from exegesis.ir.spec import check

FORMAT = "exegesis program"
SCHEMA = 1
PROGRAM_FILE = "program.json"
TENSORS_FILE = "tensors.safetensors"


class _Record(BaseModel):
    """What a file holds: no field too many, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Axis(_Record):
    name: str
    size: int | None = Field(default=None, ge=0)
    labels: list[str] | None = None

    def restore(self) -> Axis:
        return Axis(self.name, self.size, None if self.labels is None else tuple(self.labels))


class _Type(_Record):
    kind: Kind
    axes: list[str] = []
    of: str | None = None

    def restore(self) -> Type:
        return Type(self.kind, tuple(self.axes), self.of)


class _Origin(_Record):
    by: str
    out_of: list[str] = []
    why: str = ""

    def restore(self) -> Origin:
        return Origin(self.by, tuple(self.out_of), self.why)


class _Place(_Record):
    axis: str
    at: int


class _Site(_Record):
    value: str
    axes: list[str]
    module: str | None = None
    port: Literal["output", "input", "inner"] = "inner"
    index: list[_Place] = []
    basis: str | None = None

    def restore(self) -> Site:
        index = tuple((p.axis, p.at) for p in self.index)
        return Site(self.value, tuple(self.axes), self.module, self.port, index, self.basis)


class _Node(_Record):
    id: str
    op: str
    inputs: list[str] = []
    type: _Type
    attrs: dict[str, Any] = {}
    tensors: dict[str, str] = {}
    name: str | None = None
    doc: str = ""
    origin: _Origin = _Origin(by="hand")
    sites: list[_Site] = []

    def restore(self) -> Node:
        return Node(
            id=self.id,
            op=self.op,
            inputs=tuple(self.inputs),
            type=self.type.restore(),
            attrs=self.attrs,
            tensors=self.tensors,
            name=self.name,
            doc=self.doc,
            origin=self.origin.restore(),
            sites=tuple(s.restore() for s in self.sites),
        )


class _Function(_Record):
    name: str
    nodes: list[str]
    doc: str = ""
    parent: str | None = None

    def restore(self) -> Function:
        return Function(self.name, tuple(self.nodes), self.doc, self.parent)


class _Tensor(_Record):
    """What identifies a tensor: its NumPy dtype, its shape, and the SHA-256 of its bytes in C order."""

    dtype: str
    shape: list[int]
    sha256: str


class _Program(_Record):
    format: Literal["exegesis program"]
    schema_: int = Field(alias="schema")
    axes: dict[str, _Axis]
    nodes: list[_Node]
    outputs: list[str]
    functions: list[_Function]
    tensors: dict[str, _Tensor]
    meta: dict[str, Any]


def save_graph(graph: Graph, folder: str | Path) -> None:
    """Writes a program into a folder, which is made where it does not exist. Each file appears whole or not at all.

    Tuples in attributes come back as lists; everything else comes back as it was.

    Raises:
        GraphError: the graph breaks its specification, or holds something that JSON or safetensors cannot.
        InputError: the folder cannot be written.
    """
    check(graph)
    arrays = {name: _plain(array) for name, array in sorted(graph.tensors.items())}
    text = _program_text(graph, {name: _identity(array) for name, array in arrays.items()})
    try:
        content = tensor_bytes(arrays)
    except SafetensorError as error:
        raise GraphError(f"A tensor of the program cannot be saved: {error}.") from None
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / TENSORS_FILE, content)
        _write(folder / PROGRAM_FILE, text.encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from None


def load_graph(folder: str | Path) -> Graph:
    """Reads what `save_graph` wrote, checked against the specification.

    Raises:
        InputError: a file is missing, malformed, of another schema, or does not belong to the other one.
    """
    folder = Path(folder)
    path = folder / PROGRAM_FILE
    record = _parse(path)
    try:
        graph = Graph(
            nodes=tuple(n.restore() for n in record.nodes),
            outputs=tuple(record.outputs),
            tensors=_load_tensors(folder / TENSORS_FILE, record.tensors),
            axes={name: axis.restore() for name, axis in record.axes.items()},
            functions=tuple(f.restore() for f in record.functions),
            meta=record.meta,
        )
        check(graph)
    except GraphError as error:
        raise InputError(f"{path} holds no valid program: {error}") from None
    return graph


def _plain(array: Array) -> Array:
    """In C order and native bytes: safetensors writes the memory of an array as it lies, whatever its strides say."""
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def _identity(array: Array) -> dict[str, Json]:
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": digest}


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _program_text(graph: Graph, tensors: dict[str, dict[str, Json]]) -> str:
    """One line per axis, node, function and tensor, so that two versions of a program compare line by line."""

    def line(value: Json) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    def lines(items: list[str], brackets: str) -> str:
        return f"{brackets[0]}\n  " + ",\n  ".join(items) + f"\n {brackets[1]}" if items else brackets

    def mapping(items: dict[str, Json]) -> str:
        return lines([f"{line(key)}: {line(items[key])}" for key in sorted(items)], "{}")

    _check_json(dict(graph.meta), "meta")
    for node in graph.nodes:
        _check_json(dict(node.attrs), f"an attribute of node {node.id!r}")
    fields = {
        "format": line(FORMAT),
        "schema": line(SCHEMA),
        "axes": mapping({key: _record(axis) for key, axis in graph.axes.items()}),
        "nodes": lines([line(_record(node)) for node in graph.nodes], "[]"),
        "outputs": line(list(graph.outputs)),
        "functions": lines([line(_record(function)) for function in graph.functions], "[]"),
        "tensors": mapping(dict(tensors)),
        "meta": mapping(dict(graph.meta)),
    }
    return "{\n " + ",\n ".join(f"{line(key)}: {value}" for key, value in fields.items()) + "\n}\n"


def _record(value: object) -> Json:
    """A dataclass as JSON without the fields that have their default; mappings by key, tuples as lists."""
    if isinstance(value, Site):
        places = [{"axis": axis, "at": at} for axis, at in value.index]
        return {**_record_fields(value), **({"index": places} if places else {})}
    if is_dataclass(value):
        return _record_fields(value)
    if isinstance(value, Mapping):
        return {key: _record(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_record(item) for item in value]
    return value


def _record_fields(value: object) -> dict[str, Json]:
    record = {}
    for field in fields(value):  # type: ignore[arg-type]
        content = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if content != default:
            record[field.name] = _record(content)
    return record


def _check_json(value: Json, where: str) -> None:
    """Raises GraphError at what JSON would change or refuse."""
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise GraphError(f"The program cannot be saved: {where} has the key {key!r}, which is no string.")
                _check_json(item, where)
        case list() | tuple():
            for item in value:
                _check_json(item, where)
        case None | bool() | int() | str():
            return
        case float() if np.isfinite(value):
            return
        case _:
            raise GraphError(f"The program cannot be saved: {where} holds {value!r}, which JSON does not have.")


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [k for k, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice in one object")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _parse(path: Path) -> _Program:
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is no program of exegesis.")
    if content.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {content.get('schema')!r}; this version of exegesis reads schema {SCHEMA}."
        )
    try:
        return _Program.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} is no valid program: {where}: {first['msg']}.") from None


def _load_tensors(path: Path, wanted: dict[str, _Tensor]) -> dict[str, Array]:
    try:
        found = read_tensors(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no valid safetensors file: {error}.") from None
    if set(found) != set(wanted):
        name = sorted(set(found) ^ set(wanted))[0]
        problem = "lacks" if name in wanted else "holds the unknown"
        raise InputError(f"{path} does not belong to the program beside it: it {problem} tensor {name!r}.")
    for name, record in wanted.items():
        if _identity(found[name]) != record.model_dump():
            raise InputError(f"{path} does not belong to the program beside it: its tensor {name!r} is another one.")
    return {name: found[name] for name in wanted}
