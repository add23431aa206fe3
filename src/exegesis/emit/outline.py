"""The modules of a program: what each computes, where in the network it lives, how much of it is opaque."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exegesis.emit.docstrings import places
from exegesis.emit.naming import function_names
from exegesis.ir import Function, Graph, Level, price


@dataclass(frozen=True)
class Module:
    """One function of a program.

    Attributes:
        name: of its definition in `program.py`.
        depth: 0 for a function of the program, 1 for one inside it, …
        doc: what it computes.
        where: where in the network its values live.
        steps: how many operations it is made of, those of functions inside apart.
        opaque_bits, symbolic_bits: the description length of these, in bits.
    """

    name: str
    depth: int
    doc: str
    where: str
    steps: int
    opaque_bits: float
    symbolic_bits: float


def outline(graph: Graph) -> tuple[Module, ...]:
    """The functions of a program, each followed by those inside it; `run` with what is in no function comes last."""
    names = function_names(graph)
    held = {i for f in graph.functions for i in f.nodes}
    rest = Function("run", tuple(n.id for n in graph.nodes if n.id not in held and n.level is not Level.INPUT))
    bits = price(graph).by_node

    def module(function: Function, name: str, depth: int) -> Module:
        costs = [bits[i] for i in function.nodes]
        return Module(
            name,
            depth,
            function.doc,
            places(graph[i] for i in function.nodes),
            len(function.nodes),
            sum((c.opaque for c in costs), 0.0),
            sum((c.symbolic for c in costs), 0.0),
        )

    def inside(parent: str | None, depth: int) -> Iterator[Module]:
        for function in graph.functions:
            if function.parent == parent:
                yield module(function, names[function.name], depth)
                yield from inside(function.name, depth + 1)

    return (*inside(None, 0), module(rest, "run", 0))
