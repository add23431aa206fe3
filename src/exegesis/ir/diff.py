"""What changed between two programs: by id, and where ids differ, by what nodes compute."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from exegesis.ir.graph import Array, Function, Graph, Json, Level, Node
from exegesis.ir.heads import HEADS, heads_told


@dataclass(frozen=True)
class Change:
    """One field of something that both programs hold, before and after."""

    field: str
    before: Json
    after: Json

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.before)} → {_short(self.after)}"


@dataclass(frozen=True)
class TensorChange:
    """A tensor that both programs hold, with other content.

    `largest` is the largest absolute difference between entries; None where shapes or dtypes differ.
    """

    name: str
    before: str
    after: str
    largest: float | None

    def __str__(self) -> str:
        if self.largest is None:
            return f"{self.name}: {self.before} → {self.after}"
        return f"{self.name}: {self.before}, entries differ by up to {self.largest:g}"


@dataclass(frozen=True)
class Diff:
    """What is in program b and not in a, and the other way round. False where nothing is.

    Attributes:
        added, removed: nodes that compute something which no node of the other program computes, in order.
        renamed: ids before and after of nodes that compute the same from the same under another id.
        changed: fields that differ, by id of nodes that both have. Inputs are compared after renaming.
        tensors_added, tensors_removed, tensors_changed: likewise for tensors, by name.
        functions_added, functions_removed, functions_changed: likewise for functions, by name.
        program: what else differs: outputs, axes, meta.
        heads: in words, what heads of the network do otherwise, where passes noted that.
    """

    added: tuple[Node, ...]
    removed: tuple[Node, ...]
    renamed: tuple[tuple[str, str], ...]
    changed: Mapping[str, tuple[Change, ...]]
    tensors_added: tuple[str, ...]
    tensors_removed: tuple[str, ...]
    tensors_changed: tuple[TensorChange, ...]
    functions_added: tuple[str, ...]
    functions_removed: tuple[str, ...]
    functions_changed: Mapping[str, tuple[Change, ...]]
    program: tuple[Change, ...]
    heads: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))

    def __str__(self) -> str:
        return "\n".join(self._lines()) or "no difference"

    def _lines(self) -> Iterator[str]:
        yield from (f"* {told}" for told in self.heads)
        yield from (f"- {_line(n)}" for n in self.removed)
        yield from (f"+ {_line(n)}" for n in self.added)
        yield from (f"> {before} is now {after}" for before, after in self.renamed)
        for name, changes in self.changed.items():
            yield from (f"~ {name}.{change}" for change in changes)
        yield from (f"- tensor {name}" for name in self.tensors_removed)
        yield from (f"+ tensor {name}" for name in self.tensors_added)
        yield from (f"~ tensor {change}" for change in self.tensors_changed)
        yield from (f"- function {name}" for name in self.functions_removed)
        yield from (f"+ function {name}" for name in self.functions_added)
        for name, changes in self.functions_changed.items():
            yield from (f"~ function {name}.{change}" for change in changes)
        yield from (f"~ {change}" for change in self.program)


def diff(a: Graph, b: Graph) -> Diff:
    """What changed from program a to program b. Nodes may stand in another order without being different."""
    renamed = _renamed(a, b)
    now = dict(renamed)
    before = {new: old for old, new in renamed}
    shared = [n.id for n in a.nodes if n.id in b.by_id and n.id not in now and n.id not in before]
    pairs = [(i, i) for i in shared] + list(renamed)
    changed = {old: _changes(_with_names(a[old], now), b[new], skip=("id",)) for old, new in pairs}
    old_functions, new_functions = _functions(a, now), {f.name: f for f in b.functions}
    kept = [name for name in old_functions if name in new_functions]
    function_changes = {name: _changes(old_functions[name], new_functions[name]) for name in kept}
    return Diff(
        added=tuple(n for n in b.nodes if n.id not in a.by_id and n.id not in before),
        removed=tuple(n for n in a.nodes if n.id not in b.by_id and n.id not in now),
        renamed=renamed,
        changed={name: changes for name, changes in changed.items() if changes},
        tensors_added=tuple(sorted(set(b.tensors) - set(a.tensors))),
        tensors_removed=tuple(sorted(set(a.tensors) - set(b.tensors))),
        tensors_changed=_tensor_changes(a, b),
        functions_added=tuple(name for name in new_functions if name not in old_functions),
        functions_removed=tuple(name for name in old_functions if name not in new_functions),
        functions_changed={name: changes for name, changes in function_changes.items() if changes},
        program=_program_changes(a, b, now),
        heads=heads_told(a, b),
    )


def _renamed(a: Graph, b: Graph) -> tuple[tuple[str, str], ...]:
    """Pairs of nodes under two ids, each of which only one program has, that compute the same from the same."""
    waiting: dict[str, list[str]] = {}
    for node in b.nodes:
        if node.id not in a.by_id:
            waiting.setdefault(_content(node, b, {}), []).append(node.id)
    now: dict[str, str] = {}
    for node in a.nodes:  # in order, so that the inputs of a node have their new names already
        same = None if node.id in b.by_id else waiting.get(_content(node, a, now))
        if same:
            now[node.id] = same.pop(0)
    return tuple(now.items())


def _content(node: Node, graph: Graph, now: Mapping[str, str]) -> str:
    """What a node computes and from what, whatever it is called. The inputs of a program are what they are called."""
    tensors = {role: _tensor_digest(graph.tensors[name]) for role, name in sorted(node.tensors.items())}
    inputs = [now.get(i, i) for i in node.inputs]
    called = node.id if node.level is Level.INPUT else None
    attrs = json.dumps(_plain(node.attrs), sort_keys=True)
    return repr((node.op, called, str(node.type), attrs, tensors, inputs))


def _with_names(node: Node, now: Mapping[str, str]) -> Node:
    return replace(node, inputs=tuple(now.get(i, i) for i in node.inputs))


def _functions(graph: Graph, now: Mapping[str, str]) -> dict[str, Function]:
    return {f.name: replace(f, nodes=tuple(now.get(i, i) for i in f.nodes)) for f in graph.functions}


def _changes(before: Node | Function, after: Node | Function, skip: tuple[str, ...] = ()) -> tuple[Change, ...]:
    names = [f.name for f in fields(before) if f.name not in skip]
    pairs = [(name, _plain(getattr(before, name)), _plain(getattr(after, name))) for name in names]
    return tuple(Change(name, old, new) for name, old, new in pairs if old != new)


def _program_changes(a: Graph, b: Graph, now: Mapping[str, str]) -> tuple[Change, ...]:
    outputs = tuple(now.get(o, o) for o in a.outputs)
    found = [] if outputs == b.outputs else [Change("outputs", list(outputs), list(b.outputs))]
    for what, old, new in (("axis", a.axes, b.axes), ("meta", a.meta, b.meta)):
        for key in sorted({*old, *new}):
            before, after = _plain(old.get(key)), _plain(new.get(key))
            if what == "meta" and key == HEADS and HEADS in old and HEADS in new:
                continue  # told in words
            if before != after or (key in old) != (key in new):
                found.append(Change(f"{what} {key}", before, after))
    return tuple(found)


def _tensor_changes(a: Graph, b: Graph) -> tuple[TensorChange, ...]:
    found = []
    for name in sorted(set(a.tensors) & set(b.tensors)):
        old, new = a.tensors[name], b.tensors[name]
        if _tensor_digest(old) == _tensor_digest(new):
            continue
        same_form = (old.shape, old.dtype) == (new.shape, new.dtype)
        largest = float(np.abs(old.astype(np.float64) - new.astype(np.float64)).max()) if same_form else None
        found.append(TensorChange(name, _form(old), _form(new), largest))
    return tuple(found)


def _tensor_digest(array: Array) -> str:
    return hashlib.sha256(f"{_form(array)}\0".encode() + array.tobytes()).hexdigest()


def _form(array: Array) -> str:
    return f"{array.dtype.name}{list(array.shape)}"


def _plain(value: Any) -> Json:
    """Tuples as lists, so that a program that was saved and loaded is not different."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _line(node: Node) -> str:
    attrs = "".join(f", {k}={_short(v)}" for k, v in sorted(node.attrs.items()))
    return f"{node.id} = {node.op}({', '.join(node.inputs)}{attrs}): {node.type}"


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
