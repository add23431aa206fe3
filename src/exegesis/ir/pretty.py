"""A program as text, the way a compiler dumps its intermediate code: for whoever works on it, not for its readers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby

from exegesis.ir.graph import Axis, Function, Graph, Json, Level, Node

_INDENT = "  "


def pretty(graph: Graph, width: int = 100, *, provenance: bool = False) -> str:
    """A listing of a program: its axes, its functions with their nodes (nested, in order), the other nodes by level.

    Args:
        graph: the program.
        width: lines are broken at this many characters where they can be.
        provenance: also show which pass made each node, out of what and why, and where its value lives in the network.
    """
    listing = _Listing(graph, width, provenance)
    return "\n".join(listing.lines()) + "\n"


class _Listing:
    def __init__(self, graph: Graph, width: int, provenance: bool) -> None:
        self.graph = graph
        self.width = width
        self.provenance = provenance
        self.order = {n.id: k for k, n in enumerate(graph.nodes)}

    def lines(self) -> Iterator[str]:
        yield from self._head()
        held = {i for f in self.graph.functions for i in f.nodes}
        loose = [n for n in self.graph.nodes if n.id not in held]
        for level, nodes in groupby(loose, key=lambda n: n.level):
            yield ""
            yield f"{level.value}:"
            yield from self._nodes(nodes, _INDENT)
        for function in self.graph.functions:
            if function.parent is None:
                yield ""
                yield from self._function(function, "")
        yield ""
        yield from self._wrapped(f"return {', '.join(self.graph.outputs)}", "")

    def _head(self) -> Iterator[str]:
        counts = {level: sum(n.level is level for n in self.graph.nodes) for level in Level}
        levels = ", ".join(f"{count} {level.value}" for level, count in counts.items() if count)
        numbers = sum(t.size for t in self.graph.tensors.values())
        held = f"{numbers} numbers in {len(self.graph.tensors)} tensors"
        yield from self._wrapped(f"program of {len(self.graph.nodes)} nodes ({levels}), {held}", "")
        axes = ", ".join(_axis(axis) for axis in self.graph.axes.values())
        yield from self._wrapped(f"axes {axes or 'none'}", "")

    def _function(self, function: Function, indent: str) -> Iterator[str]:
        yield f"{indent}function {function.name}:"
        inner = indent + _INDENT
        if function.doc:
            yield from self._wrapped(f'"{function.doc}"', inner)
        yield from self._nodes((self.graph[i] for i in sorted(function.nodes, key=self.order.__getitem__)), inner)
        for child in self.graph.functions:
            if child.parent == function.name:
                yield from self._function(child, inner)

    def _nodes(self, nodes: Iterable[Node], indent: str) -> Iterator[str]:
        for node in nodes:
            yield from self._node(node, indent)

    def _node(self, node: Node, indent: str) -> Iterator[str]:
        named = f" ({node.name})" if node.name and node.name != node.id else ""
        yield from self._wrapped(
            f"{node.id}{named}: {node.type} = {node.op}({', '.join(self._arguments(node))})", indent
        )
        if node.doc:
            yield from self._wrapped(f"# {node.doc}", indent + _INDENT)
        if self.provenance:
            yield from self._provenance(node, indent + _INDENT)

    def _arguments(self, node: Node) -> Iterator[str]:
        yield from node.inputs
        for key in sorted(node.attrs):
            yield f"{key}={_value(node.attrs[key])}"
        for role, name in sorted(node.tensors.items()):
            tensor = self.graph.tensors.get(name)
            form = "missing" if tensor is None else f"{tensor.dtype.name}{list(tensor.shape)}"
            yield f"{role}=@{name}: {form}"

    def _provenance(self, node: Node, indent: str) -> Iterator[str]:
        origin = node.origin
        source = f" out of {', '.join(origin.out_of)}" if origin.out_of else ""
        why = f": {origin.why}" if origin.why else ""
        yield from self._wrapped(f"; by {origin.by}{source}{why}", indent)
        for site in node.sites:
            at = "".join(f"[{axis} {k}]" for axis, k in site.index)
            place = f" ({site.port} of {site.module})" if site.module else ""
            subspace = f", in the subspace @{site.basis}" if site.basis else ""
            echo = f", and what follows it by @{site.echo}" if site.echo else ""
            yield from self._wrapped(f"; at {site.value}{at}{place}{subspace}{echo}", indent)

    def _wrapped(self, text: str, indent: str) -> list[str]:
        """Continuation lines stand two levels deeper; a word longer than a line is left whole."""
        return textwrap.wrap(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=indent + 2 * _INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _axis(axis: Axis) -> str:
    size = "" if axis.size is None else f"={axis.size}"
    if not axis.labels:
        return axis.name + size
    shown = [*axis.labels[:8], "…"] if len(axis.labels) > 8 else axis.labels
    return f"{axis.name}{size} [{' '.join(shown)}]"


def _value(value: Json) -> str:
    """A value of an attribute; long lists are cut after the first entries."""
    if isinstance(value, list | tuple):
        shown = [_value(v) for v in value[:12]]
        more = [f"… {len(value) - 12} more"] if len(value) > 12 else []
        return f"[{', '.join([*shown, *more])}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    return repr(value)
