"""The parts of a network that can be taken away one by one: attention heads, and what else writes into the stream.

They are read off the export, by structure alone. A *residual addition* adds what was computed from a stream to that
stream; what it adds is a *writer*. Attention mixes values by a softmax over keys; the result is split into heads.
A network without a stream is a chain of layers, whose activations are its parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from exegesis.ir import Graph, Level, Node
from exegesis.runtime.exported import ExportedNetwork, Value
from exegesis.verify.alignment import Aligned
from exegesis.verify.places import Place

_THROUGH = (
    "dropout",
    "to",
    "clone",
    "contiguous",
    "mul",
    "add",
    "where",
    "masked_fill",
    "nan_to_num",
    "alias",
    "detach",
)
"""Operations that a softmax may pass through before it mixes anything."""
_ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid", "elu", "leaky_relu", "softplus", "hardtanh")


@dataclass(frozen=True, eq=False)
class Part:
    """One head of an attention, or another writer (an MLP).

    Attributes:
        label: how a person calls it.
        place: where it is taken away.
        inside: the values that belong to it, from the stream to what it writes.
    """

    label: str
    place: Place
    inside: frozenset[str]

    @property
    def is_head(self) -> bool:
        """Whether it is a head of an attention."""
        return self.place.head is not None


def find_parts(exported: ExportedNetwork) -> tuple[Part, ...]:
    """The parts of a network, in the order of computation: without a residual stream, its layers of activations."""
    stream = _Stream.of(exported)
    if not stream.values:
        active = [v for v in exported.values.values() if _op(v) in _ACTIVATIONS]
        return tuple(Part(_label(v), _whole(v), frozenset({v.name})) for v in active)
    mixes = dict(_mixes(exported))
    parts: list[Part] = []
    for writer in stream.writers:
        inside = stream.inside(writer)
        if not any(read in stream.values for v in inside for read in exported.values[v].reads):
            continue  # an embedding: an input, no part
        own = [name for name in mixes if name in inside]
        for name in own:
            parts += _heads(exported.values[name], mixes[name], inside)
        if not own:
            parts.append(Part(_label(exported.values[writer]), _whole(exported.values[writer]), inside))
    order = {name: i for i, name in enumerate(exported.values)}
    return tuple(sorted(parts, key=lambda p: (order[p.place.value], p.place.head or 0)))


@dataclass(frozen=True, eq=False)
class _Stream:
    """The residual stream: its states, and what writes into it."""

    exported: ExportedNetwork
    values: frozenset[str]
    writers: tuple[str, ...]

    @classmethod
    def of(cls, exported: ExportedNetwork) -> _Stream:
        """Follows every addition of what depends on a value to that value."""
        width = _width(exported)
        adds = [v for v in exported.values.values() if _adds(v, exported, width)]
        values, writers = {v.name for v in adds}, list[str]()
        for add in adds:
            left, right = add.reads
            for term, other in ((left, right), (right, left)):
                if term in exported.before([other]):
                    values.add(term)
                else:
                    writers.append(term)
        plain = {name for name in writers if _unwrapped(exported, name) not in values}
        return cls(exported, frozenset(values), tuple(name for name in dict.fromkeys(writers) if name in plain))

    def inside(self, writer: str) -> frozenset[str]:
        """What a writer computes from the stream on, itself included."""
        found: set[str] = set()
        stack = [writer]
        while stack:
            name = stack.pop()
            if name not in found and name not in self.values and self.exported.values[name].op != "input":
                found.add(name)
                stack.extend(self.exported.values[name].reads)
        return frozenset(found)


def _width(exported: ExportedNetwork) -> int | None:
    """The width of the stream: that of the first real value with a batch, positions and a width."""
    for value in exported.values.values():
        if value.dtype.is_floating_point and len(value.shape) == 3 and value.shape[0] is None:
            return value.shape[2]
    return None


def _adds(value: Value, exported: ExportedNetwork, width: int | None) -> bool:
    """Whether it is the sum of two values of the stream's width, both of which depend on the input."""
    if not value.op.startswith("aten.add.Tensor") or len(value.reads) != 2 or len(value.shape) != 3:
        return False
    return width is not None and all(
        exported.values[name].shape[-1:] == (width,) for name in (value.name, *value.reads)
    )


def used_parts(
    parts: tuple[Part, ...], graph: Graph, groups: tuple[Aligned, ...], exported: ExportedNetwork
) -> set[int]:
    """The parts that a program uses, by number.

    A part is used where a variable lives in it. It is also used where it may be what does something that lives nowhere
    in particular: a head where the program gathers something from other positions, another writer where it computes
    something, each where it lies between what the program reads for it and what reads the result.
    """
    places = [place for group in groups for place in group.places]
    used = {i for i, part in enumerate(parts) for place in places if _lives_in(place, part)}
    for heads, does in ((True, _gathers), (False, _computes)):
        spans = list(_spans(graph, groups, exported, does))
        for i, part in enumerate(parts):
            here = part.place.value
            if part.is_head == heads and any(here in after and here in before for after, before in spans):
                used.add(i)
    return used


def _lives_in(place: Place, part: Part) -> bool:
    if place.value not in part.inside:
        return False
    return part.place.head is None or place.head is None or place.head == part.place.head


def _spans(
    graph: Graph, groups: tuple[Aligned, ...], exported: ExportedNetwork, does: Callable[[Node], bool]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """For each thing that is done nowhere in particular: values after what it reads, and before what reads it."""
    aligned = {n.id: group for group in groups for n in group.nodes}
    for target in {*aligned, graph.outputs[0]}:
        ends = [p.value for p in aligned[target].places] if target in aligned else [exported.output]
        before: frozenset[str] = frozenset().union(*(exported.before([end]) for end in ends))
        for source in _sources(graph, target, aligned, does):
            starts = [p.value for p in aligned[source].places]
            after: frozenset[str] = frozenset().union(*(exported.after([start]) for start in starts))
            yield after, before


def _sources(graph: Graph, target: str, aligned: dict[str, Aligned], does: Callable[[Node], bool]) -> set[str]:
    """Aligned variables that reach a node through nodes without alignment, of which at least one does it."""
    found: set[str] = set()
    seen: set[tuple[str, bool]] = set()
    stack = [(i, does(graph[target]) and target not in aligned) for i in graph[target].inputs]
    while stack:
        name, done = stack.pop()
        if (name, done) in seen:
            continue
        seen.add((name, done))
        if name in aligned:
            found |= {name} if done else set()
            continue
        stack.extend((i, done or does(graph[name])) for i in graph[name].inputs)
    return found


def _gathers(node: Node) -> bool:
    """Whether a node brings together what other positions hold."""
    return node.op in ("symbolic.share", "symbolic.count", "symbolic.copy", "symbolic.total", "symbolic.width")


def _computes(node: Node) -> bool:
    """Whether a node is more than looking somewhere and gathering what is there."""
    return node.level is not Level.INPUT and node.type.kind != "selector" and not _gathers(node)


def _unwrapped(exported: ExportedNetwork, name: str) -> str:
    """What a value is before it goes through operations that leave it as it is in evaluation mode."""
    while (
        _op(exported.values[name]) in ("dropout", "to", "clone", "contiguous", "alias") and exported.values[name].reads
    ):
        name = exported.values[name].reads[0]
    return name


def _op(value: Value) -> str:
    return value.op.removeprefix("aten.").split(".", 1)[0]


def _mixes(exported: ExportedNetwork) -> Iterator[tuple[str, int | None]]:
    """Values that an attention mixes, [b, …], and which axis is that of its heads; None where it has a single one."""
    for value in exported.values.values():
        if _op(value).startswith(("scaled_dot_product", "_scaled_dot_product")) and len(value.shape) == 4:
            yield value.name, 1
        elif _op(value) in ("softmax", "_softmax"):
            over_keys = len(value.shape) == 3 and value.shape[1:] == (None, None)
            if over_keys or len(value.shape) == 4:
                yield from _mixed_by(exported, value)


def _mixed_by(exported: ExportedNetwork, softmax: Value) -> Iterator[tuple[str, int | None]]:
    readers: dict[str, list[Value]] = {}
    for value in exported.values.values():
        for read in value.reads:
            readers.setdefault(read, []).append(value)
    stack, seen = [softmax.name], set[str]()
    while stack:
        name = stack.pop()
        for value in readers.get(name, []):
            if value.name in seen or len(value.shape) != len(softmax.shape):
                continue
            seen.add(value.name)
            if _op(value) in ("matmul", "bmm"):
                yield value.name, 1 if len(value.shape) == 4 else None
            elif _op(value) == "einsum" and (axis := _einsum_heads(exported, value, name)) is not None:
                yield value.name, axis
            elif _op(value) in _THROUGH:
                stack.append(value.name)


def _einsum_heads(exported: ExportedNetwork, value: Value, pattern: str) -> int | None:
    """Which axis of an einsum's result is the pattern's axis 1."""
    equation = exported.equation(value.name)
    found = re.fullmatch(r"([a-z]+),([a-z]+)->([a-z]+)", equation.replace(" ", "")) if equation else None
    if found is None or pattern not in value.reads:
        return None
    operand = found[1 + value.reads.index(pattern)]
    return found[3].index(operand[1]) if len(operand) == 4 and operand[1] in found[3] else None


def _heads(value: Value, axis: int | None, inside: frozenset[str]) -> Iterator[Part]:
    width = value.shape[-1] or 1
    if axis is None:
        yield Part(f"{_label(value)} head", Place(value.name, _label(value), 0, 1, None, None, width, 0), inside)
        return
    heads = value.shape[axis]
    for head in range(heads or 0):
        selected = torch.zeros(heads or 0, dtype=torch.bool)
        selected[head] = True
        shape = [len(selected) if i == axis else 1 for i in range(4)]
        label = f"{_label(value)} head {head}"
        position = 1 if axis == 2 else 2
        yield Part(label, Place(value.name, label, 0, position, selected.reshape(shape), None, width, head), inside)


def _whole(value: Value) -> Place:
    position = 1 if len(value.shape) == 3 else None  # [b, s, d]; else the layer of a network over arrays
    return Place(value.name, _label(value), 0, position, None, None, value.shape[-1] or 1)


def _label(value: Value) -> str:
    return f"{value.module} ({value.name})" if value.module else value.name
