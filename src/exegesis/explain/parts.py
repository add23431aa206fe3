"""Parts of a program that can be explained by themselves: its functions, its variables, its heads, groups of units.

`ProgramModule` is a program as a PyTorch module with a submodule for every part, so that whatever explains a layer of a
network explains a part of a program over arrays. Programs over tokens are read by `TokenProgram`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from exegesis.explain.inputs import Inputs
from exegesis.explain.model import Model, NotDifferentiableError
from exegesis.ir import Graph, InputError, Node, Type
from exegesis.runtime import Executor

KINDS = ("real", "int", "bool", "category")
_WITHIN = frozenset(f"component.{name}" for name in ("arange", "constant", "keep", "mask", "scores", "softmax"))
"""Ops whose values are steps on the way, not something that a reader would ask about."""


@dataclass(frozen=True)
class Member:
    """A value of a program, or some of its units.

    Args:
        node: the id of the value.
        units: which of its units (channels, entries of its last axis); None for all.
        head: which head of a value over heads; None for values without.
    """

    node: str
    units: tuple[int, ...] | None = None
    head: int | None = None


@dataclass(frozen=True)
class Part:
    """A part of a program.

    Args:
        name: what it is called.
        members: what it consists of, as a rule one value.
        also: other names it answers to.
        labels: what its units are called; empty where they have numbers only.
        doc: what it is, in the program's words; empty where it says nothing.
    """

    name: str
    members: tuple[Member, ...]
    also: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    doc: str = ""

    @property
    def key(self) -> str:
        """The name of its submodule: PyTorch allows no dots there."""
        return re.sub(r"\W", "_", self.name)

    def label(self, unit: int) -> str:
        """What one of its units is called."""
        return self.labels[unit] if unit < len(self.labels) else str(unit)


def program_parts(graph: Graph) -> tuple[Part, ...]:
    """Functions of a program first, then its variables in order, then the heads of those that have heads."""
    given = {out: f for f in reversed(graph.functions) if (out := _handed_out(graph, f.nodes)) is not None}
    values = [node for node in graph.nodes if _shows(node)]
    taken: set[str] = set()
    functions = [_of_value(graph, graph[out], f.name, taken, f.doc) for out, f in reversed(given.items())]
    variables = [
        _of_value(graph, node, node.name or node.id, taken)
        for node in values
        if "head" not in node.type.axes and node.id not in given
    ]
    heads = [
        Part(_head_name(node, h), (Member(node.id, None, h),), (f"{node.id}.{h}",))
        for node in values
        if node.op == "component.mix" and "head" in node.type.axes
        for h in range(graph.axes["head"].size or 0)
    ]
    return (*functions, *variables, *heads)


def part_of(parts: Sequence[Part], text: str) -> Part:
    """The part that a user names: by its name, by its place in the network (`L0H1`), or by its number.

    Raises:
        InputError: there is none, or several; the sentence lists those that there are.
    """
    listed = ", ".join(f"{number} {part.name}" for number, part in enumerate(parts)) or "none"
    if not text:
        raise InputError(f"Which part of the program? Its parts are {listed}.")
    if text.isdecimal():
        if int(text) < len(parts):
            return parts[int(text)]
        raise InputError(f"The program has no part {text}; its parts are {listed}.")
    found = [part for part in parts if text == part.name] or [part for part in parts if text in part.also]
    if len(found) > 1:
        raise InputError(f"{len(found)} parts are at {text}: {', '.join(part.name for part in found)}; name one.")
    if not found:
        raise InputError(f"The program has no part {text!r}; its parts are {listed}.")
    return found[0]


def _shows(node: Node) -> bool:
    kind = node.type.kind
    return kind in KINDS and node.type.axes[:1] == ("batch",) and node.op not in _WITHIN and bool(node.inputs)


def _handed_out(graph: Graph, nodes: Sequence[str]) -> str | None:
    """What a function gives: the last of its values that can be shown and is read outside."""
    inside = set(nodes)
    for name in reversed(nodes):
        read = any(user.id not in inside for user in graph.users(name)) or name in graph.outputs
        if read and _shows(graph[name]):
            return name
    return None


def _of_value(graph: Graph, node: Node, wanted: str, taken: set[str], doc: str = "") -> Part:
    """A value under the wanted name while that is free, else under the node's."""
    name = wanted if wanted not in taken else node.id
    taken.add(name)
    also = (node.id, *((node.name,) if node.name else ()), *_places(node))
    return Part(name, (Member(node.id),), also, _labels(graph, node), doc or node.doc)


def _places(node: Node) -> tuple[str, ...]:
    """Where it lives: a head's label, the path of a module."""
    places = (site.label or (site.module if site.port == "output" else None) for site in node.sites)
    return tuple(dict.fromkeys(place for place in places if place))


def _head_name(node: Node, head: int) -> str:
    layer = re.match(r"L\d+(?=\.)", node.id)
    return f"{layer[0]}H{head}" if layer else f"{node.id} head {head}"


def _labels(graph: Graph, node: Node) -> tuple[str, ...]:
    kind = node.type
    axis = kind.of if kind.kind == "category" else kind.axes[-1] if len(kind.axes) > 1 else None
    return (graph.axes[axis].labels or ()) if axis is not None and axis in graph.axes else ()


def real_value(value: Tensor, kind: Type, graph: Graph) -> Float[Tensor, "n ..."]:
    """A value as real numbers with an axis of units: categories one-hot ("none" is zero everywhere), single numbers as
    one unit.

    Raises:
        InputError: categories of an axis whose size nobody knows.
    """
    if kind.kind == "category":
        size = graph.axes[kind.of].size if kind.of is not None and kind.of in graph.axes else None
        if size is None:
            raise InputError("The categories of that value are not counted, so it has no units.")
        named = value.long()
        none = named < 0  # nothing was left to look at
        return torch.nn.functional.one_hot(named.clamp_min(0), size).float().masked_fill(none[..., None], 0.0)
    found = value if value.is_floating_point() else value.float()
    last = kind.axes[-1]
    counted = last.startswith("=") or (last in graph.axes and graph.axes[last].size is not None)
    return found if counted else found[..., None]  # batch and positions are not counted, units are


def part_value(part: Part, values: Mapping[str, Any], graph: Graph) -> Float[Tensor, "n ..."]:
    """The value of a part: that of its one member as it is, or units of several side by side, means over places."""
    if len(part.members) == 1 and part.members[0].units is None:
        return _member(part.members[0], values, graph)
    columns = []
    for member in part.members:
        value = _member(member, values, graph)
        units = value if member.units is None else _along_units(value)[list(member.units)].movedim(0, -1)
        places = tuple(range(1, units.ndim - 1))
        columns.append(units.mean(places) if places else units)
    return torch.cat(columns, -1)


def _along_units(value: Tensor) -> Tensor:
    return value.movedim(1 if value.ndim == 4 else -1, 0)


def _member(member: Member, values: Mapping[str, Any], graph: Graph) -> Tensor:
    kind = graph[member.node].type
    value = values[member.node]
    if member.head is not None:
        at = kind.axes.index("head")
        axes = (*kind.axes[:at], *kind.axes[at + 1 :])
        return real_value(value.select(at, member.head), replace(kind, axes=axes), graph)
    return real_value(value, kind, graph)


class _Executor(Executor):
    """An executor whose tensors are given by somebody else."""

    def __init__(self, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(graph)
        self._given = tensors

    def tensor(self, name: str) -> Tensor:
        return self._given[name]


class _Kept:
    """A program's executor for certain tensors; a copy of it has none yet, since the copy's tensors are others."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.executor: _Executor | None = None
        self.tensors: tuple[Tensor, ...] = ()

    def __deepcopy__(self, memo: object) -> _Kept:
        return _Kept(self.graph)

    def of(self, tensors: Mapping[str, Tensor]) -> _Executor:
        given = tuple(tensors.values())
        if self.executor is None or any(a is not b for a, b in zip(self.tensors, given, strict=True)):
            self.executor, self.tensors = _Executor(self.graph, tensors), given
        return self.executor


class ProgramModule(nn.Module):
    """A program over arrays as a module: real tensors are parameters, each part is a submodule that gives its value.

    The tensors of a node lie in a submodule of their own, in the order of the nodes, as layers of a network do.

    Args:
        graph: the program.
        parts: which parts get a submodule, under `Part.key`.

    Raises:
        InputError: a program that does not read one array.
    """

    def __init__(self, graph: Graph, parts: Sequence[Part]) -> None:
        super().__init__()
        if [node.op for node in graph.inputs] != ["input.array"]:
            raise InputError("The program reads tokens; this is for programs over arrays.")
        self.parts = tuple(parts)
        self._names: dict[str, tuple[str, str]] = {}
        for number, node in enumerate(graph.nodes):
            own = [name for name in dict.fromkeys(node.tensors.values()) if name not in self._names]
            if own:
                self.add_module(f"tensors_of_{number}", self._holding(graph, own, f"tensors_of_{number}"))
        for part in self.parts:
            self.add_module(part.key, nn.Identity())
        self._kept = _Kept(graph)

    def _holding(self, graph: Graph, names: Sequence[str], at: str) -> nn.Module:
        holder = nn.Module()
        for number, name in enumerate(names):
            tensor = torch.tensor(graph.tensors[name])
            self._names[name] = (at, f"tensor_{number}")
            if tensor.is_floating_point():
                holder.register_parameter(f"tensor_{number}", nn.Parameter(tensor))
            else:
                holder.register_buffer(f"tensor_{number}", tensor)
        return holder

    def program(self, weights: Mapping[str, Tensor], node: str) -> Graph:
        """The program up to one of its values, with other weights (by the names they have as parameters) in it."""
        graph = self._kept.graph
        given = {name: weights[".".join(at)].detach().cpu().numpy() for name, at in self._names.items()}
        return replace(graph, tensors={**graph.tensors, **given}, outputs=(node,), functions=())

    def forward(self, x: Tensor) -> Tensor:
        """The program's first output [n, outputs] of inputs [n, ...]; every part's value goes through its submodule."""
        executor = self._kept.of({name: getattr(getattr(self, at), own) for name, (at, own) in self._names.items()})
        graph = executor.graph
        source, last = graph.inputs[0].id, graph.outputs[0]
        needed = dict.fromkeys(m.node for part in self.parts for m in part.members)
        values = executor.run({source: x}, [*needed, last], gradients=torch.is_grad_enabled())
        for part in self.parts:
            self.get_submodule(part.key)(part_value(part, values, graph))
        out = values[last]
        return real_value(out, graph[last].type, graph)


class TokenProgram:
    """A part of a program over tokens, as a model (see `Model`).

    Where the program embeds its tokens once, it is a function of the embeddings; elsewhere of the ids themselves, which
    have no gradient, and between which nothing lies.

    Args:
        graph: the program.
        part: which part.
        name, fingerprint: of what.

    Raises:
        InputError: a program that reads no tokens.
    """

    def __init__(self, graph: Graph, part: Part, name: str, fingerprint: str = "") -> None:
        if not any(node.op == "input.tokens" for node in graph.inputs):
            raise InputError("The program reads arrays; this is for programs over tokens.")
        self.graph, self.part = graph, part
        self.name, self.fingerprint, self.device = f"{name} at {part.name}", fingerprint, torch.device("cpu")
        self._needed = list(dict.fromkeys(m.node for m in part.members))
        self._executor = Executor(graph)
        self._embedding = _embedding(graph, self._needed)
        self._ids = [node.id for node in graph.inputs if node.op == "input.tokens"]

    @property
    def reads_ids(self) -> bool:
        """Whether it is a function of the ids of tokens themselves."""
        return self._embedding is None

    def start(self, inputs: Inputs) -> Float[Tensor, "n s d"]:
        """See `Model.start`: embeddings, or ids [n, s, 1]."""
        assert inputs.tokens is not None
        if self._embedding is None:
            return inputs.tokens[..., None].float()
        found: Tensor = self._executor.run(self._inputs(inputs, torch.arange(len(inputs))), [self._embedding])[
            self._embedding
        ]
        return found.detach()

    def __call__(self, x: Tensor, inputs: Inputs, rows: Tensor) -> Tensor:
        """See `Model.__call__`: the part's value [m, s, units]."""
        given = {} if self._embedding is None else {self._embedding: x}
        asked = self._inputs(inputs, rows)
        if self._embedding is None:
            asked = {**asked, **dict.fromkeys(self._ids, _whole(x.detach()[..., 0], self.name))}
        values = self._executor.run(asked, self._needed, given=given, gradients=torch.is_grad_enabled())
        value = part_value(self.part, values, self.graph)
        if value.ndim != 3:
            raise InputError(f"{self.part.name} has no value at every position, so no string excites it.")
        return value

    def _inputs(self, inputs: Inputs, rows: Tensor) -> dict[str, Tensor]:
        assert inputs.tokens is not None
        tokens = inputs.tokens[rows]
        found = {}
        for node in self.graph.inputs:
            if node.op == "input.tokens":
                found[node.id] = tokens
            else:
                plain = torch.arange(tokens.shape[1]).expand(tokens.shape)
                found[node.id] = plain if inputs.positions is None else inputs.positions[rows]
        return found


def reads_ids(model: Model) -> bool:
    """Whether a model is a function of the ids of tokens themselves, so that noise, shifts and blanks mean nothing."""
    return isinstance(model, TokenProgram) and model.reads_ids


def _whole(ids: Float[Tensor, "m s"], name: str) -> Tensor:
    if not bool((ids == ids.round()).all()):
        raise NotDifferentiableError(f"{name} reads the ids of tokens, and between two ids there is nothing.")
    return ids.long()


def _embedding(graph: Graph, needed: Sequence[str]) -> str | None:
    """The one node that embeds the tokens, where all that is needed reads tokens through it alone."""
    ids = {node.id for node in graph.inputs if node.op == "input.tokens"}
    inside = graph.upstream(needed)
    readers = [n for n in graph.nodes if n.id in inside and ids & set(n.inputs) and n.op not in _LENGTH]
    return readers[0].id if len(readers) == 1 and readers[0].op == "component.embed" else None


_LENGTH = ("component.arange", "component.constant")  # these read how long a row is, not what it holds
