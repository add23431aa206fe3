"""Writes a graph as a Python program."""

from __future__ import annotations

from collections.abc import Sequence

from exegesis import primitives
from exegesis.behavior import Readout
from exegesis.emit.about import About
from exegesis.emit.body import Body
from exegesis.emit.code import INDENT, WIDTH
from exegesis.emit.docstrings import answer_doc, docstring, places, sentence
from exegesis.emit.naming import function_names
from exegesis.emit.structure import Scope, Structure, structure
from exegesis.emit.symbolic import Scene
from exegesis.emit.words import Words
from exegesis.ir import Graph


def emit_program(graph: Graph, *, about: About, readout: Readout, tokens: Sequence[str] = ()) -> str:
    """The program as formatted Python that needs numpy and `exegesis.primitives` only.

    `run(input_ids, position_ids=None)` of a sequence program takes one list of token ids and returns a list with one
    entry per position; `run(x)` of any other takes one input. An entry is an int (argmax), a sorted list of output ids
    (sign) or a float (value).

    Args:
        graph: the program. Its first output is the answer (a category, a set made by `symbolic.allow`, a number), or
            the logits that `readout` makes an answer of.
        about: what the docstrings say.
        readout: how outputs are read.
        tokens: labels of the token ids, for axes that bring none.

    Raises:
        GraphError: the graph breaks the specification, has a node that numpy cannot run, a function that is no single
            definition, or an output that the readout cannot read.
    """
    return _Writer(graph, structure(graph), about, readout, tokens).program()


class _Writer:
    def __init__(self, graph: Graph, plan: Structure, about: About, readout: Readout, tokens: Sequence[str]) -> None:
        self.graph = graph
        self.plan = plan
        self.about = about
        self.readout = readout
        self.functions = function_names(graph)
        self.scene = Scene(graph, Words(graph, tokens, taken=self.functions.values()))
        self.uses: set[str] = set()

    def program(self) -> str:
        """The whole module."""
        definitions = self._definitions(self.plan.root)
        tensors = "TENSORS" in self.uses
        needed = self.uses | ({"load_tensors"} if tensors else set())
        imported = _import(sorted(needed & set(primitives.__all__)))
        constants = self.scene.words.declared(self.uses)
        if tensors:
            constants.append("TENSORS = load_tensors(__file__)")
        head = [*docstring(self._module_doc(), 0), "", "import numpy as np", *(["", *imported] if imported else [])]
        blocks = ["\n".join(head + (["", *constants] if constants else [])), *definitions]
        return "\n\n\n".join(blocks) + "\n"

    def _module_doc(self) -> list[str]:
        modules = (self.graph.meta.get("modules") or {}).get("says", "")
        return [p for p in (self.about.title, self.about.behavior, modules, *self.about.checked) if p]

    def _definitions(self, scope: Scope) -> list[str]:
        inner = [d for item in scope.body if isinstance(item, Scope) for d in self._definitions(item)]
        body = Body(self.scene, self.plan.tables, self.functions, self.readout, scope)
        lines = body.lines()
        self.uses |= body.uses
        return [*inner, "\n".join([body.signature(), *docstring(self._function_doc(scope), INDENT), *lines])]

    def _function_doc(self, scope: Scope) -> list[str]:
        function = scope.function
        if function is None:
            return [answer_doc(self.graph, self.readout)]
        gives = f"Gives {', '.join(n.replace('_', ' ') for n in scope.gives)}."
        first, *more = (function.doc or gives).split("\n\n")
        found = places([self.graph[n] for n in function.nodes if n in self.graph.by_id])
        where = f"In the network: {found}." if found else ""
        known = self.about.evidence
        checks = [known.get(n, known.get(self.graph[n].name or "", "")) for n in function.nodes]
        rest = " ".join(s for s in (where, *dict.fromkeys(checks)) if s)
        return [p for p in (sentence(first), *more, rest) if p]


def _import(words: Sequence[str]) -> list[str]:
    """The import of the primitives a program uses."""
    line = f"from exegesis.primitives import {', '.join(words)}"
    if not words or len(line) <= WIDTH:
        return [line] if words else []
    return ["from exegesis.primitives import (", *(f"{' ' * INDENT}{w}," for w in words), ")"]
