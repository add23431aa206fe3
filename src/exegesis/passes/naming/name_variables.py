"""Names variables and functions after what they hold.

What: every symbolic variable gets a name and a sentence from the first namer that knows what it computes.
Why valid: a name is read off the definition of the variable, so it cannot say what the variable does not hold.
Refuses when: no namer knows the definition, or a name would stand for more than three variables (it then says nothing); the node keeps its plain id.
Guarantee: exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from exegesis.ir import Function, Graph, Level
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.naming.rules import NAMERS, Labels

_TOO_COMMON = 3


@dataclass(frozen=True)
class NameVariables:
    """No settings; labels of tokens are read off the graph's `token` axis."""

    name = "name_variables"
    stage = "name"
    guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """Something symbolic."""
        return None if any(n.level is Level.SYMBOLIC for n in graph.nodes) else "nothing is symbolic yet"

    def ensures(self, graph: Graph) -> str | None:
        """Function names are distinct."""
        return None if len({f.name for f in graph.functions}) == len(graph.functions) else "two functions share a name"

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph with names and sentences."""
        spoken = next((n.type.of for n in graph.inputs if n.op == "input.tokens"), None)
        labels = Labels({}, graph.axes[spoken].labels or () if spoken else ())
        names: dict[str, str] = {}
        sentences: dict[str, str] = {}
        attempts = []
        for node in graph.nodes:
            labels = replace(labels, names=names)
            for namer in NAMERS:
                if (named := namer(graph, node, labels)) is not None:
                    names[node.id], sentences[node.id] = named
                    attempts.append(Attempt(node.id, f"{named[0]}, by {namer.__name__}", True))
                    break
        common = {n for n, k in Counter(names.values()).items() if k > _TOO_COMMON}
        names = {i: n for i, n in names.items() if n not in common}
        nodes = [replace(n, name=names.get(n.id, n.name), doc=sentences.get(n.id) or n.doc) for n in graph.nodes]
        functions = _named_functions(graph, names, sentences)
        return Outcome(replace(graph, nodes=tuple(nodes), functions=functions), tuple(attempts))


def _named_functions(graph: Graph, names: dict[str, str], sentences: dict[str, str]) -> tuple[Function, ...]:
    """Functions called after the variable they compute."""
    taken: Counter[str] = Counter()
    functions = []
    for function in graph.functions:
        target = function.nodes[-1]
        name = names.get(target, function.name)
        taken[name] += 1
        name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        functions.append(replace(function, name=name, doc=sentences.get(target, "")))
    return tuple(functions)

