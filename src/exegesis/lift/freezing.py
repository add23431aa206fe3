"""From the workbench to a program: readable ids, named axes, and every number in one precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from exegesis.ir import Array, Axis, Graph, Node, Origin, Site, Type
from exegesis.ir.arguments import encode_argument
from exegesis.ir.graph import Kind
from exegesis.lift.bench import Bench, Cell, Ref, Reference, Size
from exegesis.lift.export import Argument
from exegesis.lift.naming import Names, name_cells

_INPUTS = {"token": "tokens", "position": "positions"}  # by what the ids are of


@dataclass(frozen=True, eq=False)
class Frozen:
    """A program, and for nodes that must equal a value of the export, which one."""

    graph: Graph
    references: Mapping[str, Reference]


def freeze(bench: Bench, arguments: tuple[Argument, ...], *, double: bool, meta: Mapping[str, Any]) -> Frozen:
    """The program on the bench.

    Args:
        bench: the cells.
        arguments: of the network, for the kinds of the inputs.
        double: numbers in float64 instead of float32.
        meta: what the program should know about where it comes from.
    """
    names = name_cells(bench)
    ids = names.ids
    typist = _Typist(bench, {a.id: a for a in arguments}, names)
    nodes, tensors = [], dict[str, Array]()
    shared: dict[int, str] = {}  # steps of a recurrent layer hold the very same tensors
    for cell in bench.cells():
        held = dict(cell.tensors) if cell.value is None else {"value": cell.value}
        named = {role: f"{ids[cell.id]}.{role}" for role in held}
        if cell.by == "lift.recurrent":
            named = {role: shared.setdefault(id(held[role]), name) for role, name in named.items()}
        tensors |= {named[role]: _array(value, double) for role, value in held.items() if named[role] not in tensors}
        nodes.append(_node(bench, cell, ids, typist, named, names, double))
    graph = Graph(tuple(nodes), (ids[bench.output],), tensors, typist.axes, meta=dict(meta))
    references = {ids[c.id]: c.reference for c in bench.cells() if c.reference is not None and c.op != "input"}
    return Frozen(graph, references)


def _array(value: Tensor, double: bool) -> Array:
    value = value.detach().cpu()
    if value.is_floating_point():
        value = value.to(torch.float64 if double else torch.float32)
    return np.array(value.contiguous().numpy())


def _node(
    bench: Bench,
    cell: Cell,
    ids: Mapping[str, str],
    typist: _Typist,
    tensors: Mapping[str, str],
    names: Names,
    double: bool,
) -> Node:
    attrs: dict[str, Any] = dict(cell.attrs)
    inputs = tuple(ids[r.id] for r in cell.args) if cell.is_component else tuple(ids[i] for i in cell.inputs)
    op = cell.op
    if op == "input":
        op = f"input.{_INPUTS.get(typist.types[cell.id].of or '', 'array')}"
    elif op == "constant":
        op = "tensor.constant"
    elif not cell.is_component:
        op = f"tensor.{cell.op}"
        attrs = _arguments(cell, double)
    elif op == "component.linear":
        attrs["role"] = names.linears[cell.id]
    origin = Origin(cell.by, cell.out_of)
    return Node(
        ids[cell.id],
        op,
        inputs,
        typist.types[cell.id],
        attrs,
        tensors,
        origin=origin,
        sites=_sites(cell, typist.types[cell.id], typist.axes),
    )


def _arguments(cell: Cell, double: bool) -> dict[str, Any]:
    """The arguments of a tensor-level cell as JSON."""
    inputs = cell.inputs

    def index(value: object) -> int | None:
        return inputs.index(value.id) if isinstance(value, Ref) else None

    def ready(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [ready(v) for v in value]
        if double and isinstance(value, torch.dtype) and value.is_floating_point:
            return torch.float64
        return value

    args = [encode_argument(ready(a), index) for a in cell.args]
    kwargs = {k: encode_argument(ready(v), index) for k, v in cell.kwargs.items()}
    return {"args": args} | ({"kwargs": kwargs} if kwargs else {})


def _sites(cell: Cell, type_: Type, known: Mapping[str, Axis]) -> tuple[Site, ...]:
    """Where the network computes this; nowhere if its axes are merged there, or if nothing there has this value.

    A single head need not have an axis of its own there.
    """
    reference = cell.reference
    if reference is None:
        return ()
    if reference.reshape:
        rest = tuple(a for a in type_.axes if a == "batch" or known[a].size != 1)
        return (Site(reference.value, rest),) if len(rest) == len(type_.axes) - 1 else ()
    axes = type_.axes if reference.order is None else tuple(type_.axes[i] for i in reference.order)
    return (Site(reference.value, axes),)


class _Typist:
    """Types of all cells, with the axes they name.

    Attributes:
        types: by cell.
        axes: all axes named so far.
    """

    def __init__(self, bench: Bench, arguments: Mapping[str, Argument], names: Names) -> None:
        self.axes: dict[str, Axis] = {}
        self.types: dict[str, Type] = {}
        self._bench, self._names = bench, names
        self._symbols: dict[sympy.Symbol, str] = {}
        for cell in bench.inputs:
            self._name_symbols(cell)
        for cell in bench.cells():
            self.types[cell.id] = self._input(cell, arguments[cell.id]) if cell.op == "input" else self._type(cell)

    def _name_symbols(self, cell: Cell) -> None:
        usual = {2: ("batch", "pos"), 3: ("batch", "pos", "feature")}
        for index, size in enumerate(cell.shape or ()):
            if isinstance(size, sympy.Symbol) and size not in self._symbols:
                names = usual.get(len(cell.shape or ()), ("batch",))
                stem = names[index] if index < len(names) else f"axis{index}"
                taken = self._symbols.values()
                name = stem if stem not in taken else f"{stem}_{cell.id}"
                self._symbols[size] = name
                self.axes[name] = Axis(name)

    def _axis(self, name: str, size: Size) -> str:
        """An axis of this name and size; the name gets the size as a suffix where it is taken by another."""
        known = None if not isinstance(size, int) else size
        found = self.axes.setdefault(name, Axis(name, known))
        if found.size == known:
            return name
        other = f"{name}_{size}"
        self.axes.setdefault(other, Axis(other, known))
        return other

    def _plain(self, size: Size) -> str:
        """An axis that nothing is known about."""
        if isinstance(size, int):
            return f"={size}"
        if size in self._symbols:
            return self._symbols[size]
        text = str(size.subs({s: sympy.Symbol(n) for s, n in self._symbols.items()})).replace(" ", "")
        return self._axis(text, size)

    def _input(self, cell: Cell, argument: Argument) -> Type:
        shape = cell.shape or ()
        if len(shape) == 4:
            return Type(
                "real",
                tuple(self._named(n, s) for n, s in zip(("batch", "channel", "height", "width"), shape, strict=True)),
            )
        usual = ("batch", "pos") if len(shape) == 2 and not argument.example.is_floating_point() else ()
        axes = tuple(self._named(usual[i], s) if i < len(usual) else self._plain(s) for i, s in enumerate(shape))
        if argument.is_tokens or cell.id == "positions":
            return Type("category", axes, self._axis("token" if argument.is_tokens else "position", self._rows(cell)))
        return Type(_kind(cell), axes)

    def _rows(self, cell: Cell) -> Size:
        """How many ids there are: rows of the table that they look up."""
        readers = self._bench.users(cell.id)
        readers += [v for u in readers if u.op == "component.pick" for v in self._bench.users(u.id)]
        tables = [u.tensors["weight"] for u in readers if u.op == "component.embed"]
        return len(tables[0]) if tables else sympy.Symbol("unknown")

    def _named(self, name: str, size: Size) -> str:
        return self._symbols[size] if size in self._symbols else self._axis(name, size)

    def _type(self, cell: Cell) -> Type:
        if cell.shape is None:
            return Type("symint" if cell.size is not None else "tuple")
        if not cell.is_component:
            return Type(_kind(cell), tuple(self._plain(s) for s in cell.shape))
        if cell.op == "component.arange":
            axes = tuple(self._named(n, s) for n, s in zip(("batch", "pos"), cell.shape, strict=True))
            return Type("category", axes, self._axis("position", self._rows(cell)))
        if cell.op == "component.pick":
            source = self.types[cell.inputs[0]]
            return Type(source.kind, tuple(a for i, a in enumerate(source.axes) if i != cell.attrs["axis"]), source.of)
        return Type("real", self._component_axes(cell))

    def _component_axes(self, cell: Cell) -> tuple[str, ...]:
        shape = cell.shape or ()
        names: tuple[str, ...] = ()
        first = self.types[cell.inputs[0]].axes
        match cell.name:
            case "heads" | "mix":
                names = ("batch", self._heads(shape[1]), "pos", "d_head")
            case "scores" | "mask" | "softmax":
                return (
                    self._named("batch", shape[0]),
                    self._axis("head", shape[1]),
                    self._axis("query", shape[2]),
                    self._axis("key", shape[3]),
                )
            case "write" | "constant" if len(shape) == 3:
                names = ("batch", "pos", "d_model")
            case "embed":
                return (*first, self._axis("d_model", shape[-1]))
            case "linear":
                wide = {
                    "mlp_in": "neuron",
                    "mlp_gate": "neuron",
                    "mlp_out": "d_model",
                    "unembed": "output",
                    "dense": "hidden",
                }
                return (*first[:-1], self._axis(wide[self._names.linears[cell.id]], shape[-1]))
            case "conv2d" | "pool2d":
                names = ("batch", "channel", "height", "width")
            case "constant" if len(shape) == 2:
                return (first[0], self._axis("hidden", shape[-1]))
            case "flatten" | "join" | "recurrent" if len(shape) in (2, 3):
                last = "state" if cell.name == "recurrent" else "feature"
                return (*first[: len(shape) - 1], self._axis(last, shape[-1]))
            case "add":
                return max(
                    (self.types[i].axes for i in cell.inputs),
                    key=lambda a: (len(a), sum(not x.startswith("=") for x in a)),
                )
            case _ if len(first) == len(shape):
                return first
        if len(names) != len(shape):
            return tuple(self._plain(s) for s in shape)
        return tuple(self._named(n, s) for n, s in zip(names, shape, strict=True))

    def _heads(self, count: Size) -> str:
        taken = self.axes.get("head")
        return "head" if taken is None or taken.size == count else "kv_head"


def _kind(cell: Cell) -> Kind:
    if cell.dtype == torch.bool:
        return "bool"
    return "real" if cell.is_real else "int"
