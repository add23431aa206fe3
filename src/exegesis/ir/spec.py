"""The executable specification of the language: what every op takes, holds and gives.

One table per level (`tensor.py`, `component.py`, `symbolic.py`); `check` runs them over a whole graph, and the pass
manager runs `check` after every pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from exegesis.ir.errors import GraphError
from exegesis.ir.graph import Axis, Graph, Json, Kind, Level, Node, Site

Check = Callable[[Node, Graph], str | None]


@dataclass(frozen=True)
class OpSpec:
    """What one op takes and gives.

    Attributes:
        op: full name, e.g. `component.norm`.
        doc: one sentence that a reader of the program may see.
        inputs: roles of the inputs in order; a role ending in `?` is optional, one ending in `*` repeats (also zero
            times).
        kinds: what each role may be; a role that is not listed may be anything.
        attrs: names and a predicate on the JSON value; a name ending in `?` may be left out.
        tensors: names of tensor roles; a name ending in `?` may be left out. The value is the rank it must have (None:
            any).
        gives: the kinds a result may have.
        check: a further test that returns what is wrong, or None.
    """

    op: str
    doc: str
    inputs: tuple[str, ...]
    kinds: Mapping[str, tuple[Kind, ...]] = field(default_factory=dict)
    attrs: Mapping[str, Callable[[Json], bool]] = field(default_factory=dict)
    tensors: Mapping[str, int | None] = field(default_factory=dict)
    gives: tuple[Kind, ...] = ("real",)
    check: Check | None = None


def number(value: Json) -> bool:
    """A finite number (booleans are not numbers here)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def whole(value: Json) -> bool:
    """An integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def positive(value: Json) -> bool:
    """An integer above 0."""
    return whole(value) and value > 0


def flag(value: Json) -> bool:
    """A boolean."""
    return isinstance(value, bool)


@dataclass(frozen=True)
class OneOf:
    """One of these words."""

    choices: tuple[str, ...]

    def __call__(self, value: Json) -> bool:
        return isinstance(value, str) and value in self.choices


def one_of(*choices: str) -> OneOf:
    """One of these words."""
    return OneOf(choices)


def wholes(value: Json) -> bool:
    """A list of integers."""
    return isinstance(value, list | tuple) and all(whole(v) for v in value)


def anything(value: Json) -> bool:
    """No constraint beyond being JSON."""
    return True


def axis_size(axis: str, graph: Graph) -> int | None:
    """The size of an axis, a name or `=64`; None where it varies, or where the graph does not declare it."""
    if axis.startswith("="):
        return int(axis[1:]) if axis[1:].isdecimal() else None
    return graph.axes[axis].size if axis in graph.axes else None


def describe(node: Node, graph: Graph) -> str:
    """One line that shows a node the way an error must: op, type, sources with their types, attributes."""
    sources = ", ".join(f"{i}: {graph.by_id[i].type}" if i in graph.by_id else f"{i}: missing" for i in node.inputs)
    attrs = str(dict(node.attrs)) if node.attrs else ""
    attrs = attrs if len(attrs) <= 300 else f"{attrs[:300]} …"  # a table of a thousand rows tells nobody what is wrong
    return f"{node.id} = {node.op}({sources}) -> {node.type} {attrs}".rstrip()


def _roles(spec: OpSpec, count: int) -> list[str] | None:
    """The role of each of `count` inputs, or None when the count does not fit."""
    required = [r for r in spec.inputs if r[-1] not in "?*"]
    repeated = [r for r in spec.inputs if r.endswith("*")]
    if count < len(required) or (not repeated and count > len(spec.inputs)):
        return None
    plain = [r.rstrip("?") for r in spec.inputs if not r.endswith("*")]
    roles = plain[:count]
    return roles + [repeated[0].rstrip("*")] * (count - len(roles)) if repeated else roles


def _names(given: Iterable[str], declared: Mapping[str, object], what: str) -> str | None:
    given = set(given)
    known = {n.rstrip("?") for n in declared}
    required = {n for n in declared if not n.endswith("?")}
    if missing := sorted(required - given):
        return f"lacks {what} {missing[0]!r}"
    if extra := sorted(given - known):
        return f"has {what} {extra[0]!r}, which its op does not know"
    return None


def _check_values(node: Node, graph: Graph, spec: OpSpec) -> str | None:
    for name, test in spec.attrs.items():
        key = name.rstrip("?")
        if key in node.attrs and not test(node.attrs[key]):
            return f"has attribute {key} = {node.attrs[key]!r}, which its op does not allow"
    for name, rank in spec.tensors.items():
        key = name.rstrip("?")
        if key in node.tensors:
            tensor = graph.tensors.get(node.tensors[key])
            if tensor is None:
                return f"names tensor {node.tensors[key]!r}, which the graph does not hold"
            if rank is not None and tensor.ndim != rank:
                return f"has a {key} of rank {tensor.ndim} where its op wants {rank}"
            if np.issubdtype(tensor.dtype, np.floating) and not np.isfinite(tensor).all():
                return f"has a {key} with values that are not finite"
    return None


def check_node(node: Node, graph: Graph, specs: Mapping[str, OpSpec]) -> str | None:
    """What is wrong with one node, or None."""
    spec = specs.get(node.op)
    if spec is None:
        return f"has an op that the specification of level {node.level.value!r} does not list"
    roles = _roles(spec, len(node.inputs))
    if roles is None:
        return f"takes {len(node.inputs)} inputs where its op takes ({', '.join(spec.inputs)})"
    for role, source in zip(roles, node.inputs, strict=True):
        wanted = spec.kinds.get(role)
        if wanted and graph[source].type.kind not in wanted:
            kind = graph[source].type.kind
            return f"reads {source!r} as its {role}, which is {kind} where {' or '.join(wanted)} is wanted"
    if node.type.kind not in spec.gives:
        return f"is typed {node.type.kind} where its op gives {' or '.join(spec.gives)}"
    return (
        _names(node.attrs, spec.attrs, "attribute")
        or _names(node.tensors, spec.tensors, "tensor")
        or _check_values(node, graph, spec)
        or (spec.check(node, graph) if spec.check else None)
    )


def _check_axes(node: Node, graph: Graph) -> str | None:
    for axis in (*node.type.axes, *((node.type.of,) if node.type.of is not None else ())):
        if axis.startswith("=") and not axis[1:].isdecimal():
            return f"uses axis {axis!r}, which is no size"
        if not axis.startswith("=") and axis not in graph.axes:
            return f"uses axis {axis!r}, which the graph does not declare"
    return None


def _check_axis(name: str, axis: Axis) -> str | None:
    if axis.name != name:
        return f"is called {axis.name!r} itself"
    if name.startswith("="):
        return "has a name that stands for a size"
    if axis.labels is not None and len(axis.labels) != axis.size:
        return f"has {len(axis.labels)} labels and size {axis.size}"
    return None


def _check_sites(node: Node, graph: Graph) -> str | None:
    for site in node.sites:
        if site.basis is not None and site.basis not in graph.tensors:
            return f"lives in the subspace {site.basis!r}, a tensor that the graph does not hold"
        if unknown := [axis for axis, _ in site.index if axis not in site.axes]:
            return f"lives at an index of axis {unknown[0]!r}, which {site.value!r} does not have"
        if site.echo is not None and (problem := _echo_problem(site, graph)):
            return f"says by {site.echo!r} how other entries of {site.value!r} follow, {problem}"
    return None


def _echo_problem(site: Site, graph: Graph) -> str | None:
    """What is wrong with the tensor that says how entries follow those that a site picks."""
    assert site.echo is not None
    echo, picked = graph.tensors.get(site.echo), sorted({number for _, number in site.index})
    if echo is None:
        return "a tensor that the graph does not hold"
    if len({axis for axis, _ in site.index}) != 1 or site.basis is not None:
        return "but picks none along one axis alone"
    if echo.ndim != 2 or len(echo) != len(picked) or picked[-1] >= echo.shape[1]:
        return f"which is {list(echo.shape)} for {len(picked)} entries"
    if not np.array_equal(echo[:, picked], np.eye(len(picked))):
        return "which changes the entries themselves"
    return None


def _check_functions(graph: Graph) -> None:
    parents = {f.name: f.parent for f in graph.functions}
    if len(parents) < len(graph.functions):
        names = [f.name for f in graph.functions]
        raise GraphError(f"Two functions share the name {next(n for n in names if names.count(n) > 1)!r}.")
    holder: dict[str, str] = {}
    for function in graph.functions:
        for name in function.nodes:
            if name not in graph.by_id:
                raise GraphError(f"Function {function.name!r} holds node {name!r}, which does not exist.")
            if name in holder:
                raise GraphError(f"Functions {holder[name]!r} and {function.name!r} both hold node {name!r}.")
            holder[name] = function.name
        above = function.parent
        seen = {function.name}
        while above is not None:
            if above not in parents:
                raise GraphError(f"Function {function.name!r} is inside {above!r}, which does not exist.")
            if above in seen:
                raise GraphError(f"Function {above!r} is inside itself.")
            seen.add(above)
            above = parents[above]


def check(graph: Graph) -> None:
    """Runs the specification over every node.

    Raises:
        GraphError: naming the node, its op, types, sources and attributes, and what is wrong.
    """
    from exegesis.ir.levels import SPECS, tensor_spec

    seen: set[str] = set()
    for node in graph.nodes:
        if early := [i for i in node.inputs if i not in seen]:
            raise GraphError(f"Node {node.id!r} reads {early[0]!r} before it is computed.")
        if node.id in seen:
            raise GraphError(f"Two nodes share the id {node.id!r}.")
        seen.add(node.id)
        specs = {node.op: tensor_spec(node.op)} if node.level is Level.TENSOR else SPECS
        problem = _check_axes(node, graph) or check_node(node, graph, specs) or _check_sites(node, graph)
        if problem:
            raise GraphError(f"Node {node.id!r} {problem}.\n  {describe(node, graph)}")
    for output in graph.outputs:
        if output not in seen:
            raise GraphError(f"The graph gives {output!r}, which it does not compute.")
    for name, axis in graph.axes.items():
        if problem := _check_axis(name, axis):
            raise GraphError(f"Axis {name!r} {problem}.")
    _check_functions(graph)
