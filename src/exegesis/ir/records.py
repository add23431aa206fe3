"""Programs as records: what JSON holds of a graph, and the arrays beside it.

A record says which arrays belong to it, down to their bytes. Whoever reads one takes it whole or refuses it in one
sentence: another schema, a field that nobody knows, an op that the language does not have, an array that is not the one
that was recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exegesis.ir.errors import GraphError, InputError
from exegesis.ir.graph import Array, Axis, Function, Graph, Json, Kind, Node, Origin, Site, Type
from exegesis.ir.spec import check

FORMAT = "exegesis program"
SCHEMA = 1


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
    label: str = ""
    echo: str | None = None

    def restore(self) -> Site:
        index = tuple((p.axis, p.at) for p in self.index)
        return Site(self.value, tuple(self.axes), self.module, self.port, index, self.basis, self.label, self.echo)


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


def graph_record(graph: Graph) -> tuple[dict[str, Json], dict[str, Array]]:
    """A graph as JSON, and its arrays by name, in C order and native bytes.

    Equal graphs give equal records. Tuples in attributes become lists; everything else comes back as it was.

    Raises:
        GraphError: the graph breaks its specification, or holds something that JSON does not have.
    """
    check(graph)
    _check_json(dict(graph.meta), "meta")
    for node in graph.nodes:
        _check_json(dict(node.attrs), f"an attribute of node {node.id!r}")
    arrays = {name: _plain(array) for name, array in sorted(graph.tensors.items())}
    record = {
        "format": FORMAT,
        "schema": SCHEMA,
        "axes": _record(graph.axes),
        "nodes": [_record(node) for node in graph.nodes],
        "outputs": list(graph.outputs),
        "functions": [_record(function) for function in graph.functions],
        "tensors": {name: _identity(array) for name, array in arrays.items()},
        "meta": _record(graph.meta),
    }
    return record, arrays


def graph_from_record(
    record: Json, arrays: Mapping[str, Array], *, source: str = "The record", arrays_source: str = "The set of arrays"
) -> Graph:
    """The graph that `graph_record` was given, checked against the specification.

    Args:
        record: the JSON.
        arrays: what belongs to it, by name.
        source, arrays_source: how an error calls the two, usually their paths.

    Raises:
        InputError: the record is malformed, of another schema, no valid program, or the arrays are not its own.
    """
    valid = _validated(record, source)
    _check_arrays(valid.tensors, arrays, arrays_source)
    try:
        graph = Graph(
            nodes=tuple(n.restore() for n in valid.nodes),
            outputs=tuple(valid.outputs),
            tensors={name: arrays[name] for name in valid.tensors},
            axes={name: axis.restore() for name, axis in valid.axes.items()},
            functions=tuple(f.restore() for f in valid.functions),
            meta=valid.meta,
        )
        check(graph)
    except GraphError as error:
        raise InputError(f"{source} holds no valid program: {error}") from None
    return graph


def _validated(record: Json, source: str) -> _Program:
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{source} is no program of exegesis.")
    if record.get("schema") != SCHEMA:
        raise InputError(
            f"{source} has schema {record.get('schema')!r}; this version of exegesis reads schema {SCHEMA}."
        )
    try:
        return _Program.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{source} is no valid program: {where}: {first['msg']}.") from None


def _check_arrays(wanted: Mapping[str, _Tensor], found: Mapping[str, Array], source: str) -> None:
    if set(found) != set(wanted):
        name = sorted(set(found) ^ set(wanted))[0]
        problem = "lacks" if name in wanted else "holds the unknown"
        raise InputError(f"{source} does not belong to the program beside it: it {problem} tensor {name!r}.")
    for name, tensor in wanted.items():
        if _identity(found[name]) != tensor.model_dump():
            raise InputError(f"{source} does not belong to the program beside it: its tensor {name!r} is another one.")


def _plain(array: Array) -> Array:
    """In C order and native bytes: safetensors writes the memory of an array as it lies, whatever its strides say."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def _identity(array: Array) -> dict[str, Json]:
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": digest}


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
