"""Names variables and functions after what they hold.

What: every symbolic variable gets a name and a sentence from the first namer that knows what it computes.
Why valid: a name is read off the definition of the variable, so it cannot say what the variable does not hold.
Refuses when: no namer knows the definition, or a name would stand for more than three variables (it then says
nothing); the node keeps its plain id.
Guarantee: exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from exegesis.ir import Function, Graph, Level
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.naming.rules import NAMERS
from exegesis.passes.naming.sentences import Labels, Named

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
        given: dict[str, Named] = {}
        attempts = []
        for node in graph.nodes:
            labels = replace(labels, names={i: n.function for i, n in given.items()})
            for namer in NAMERS:
                if (named := namer(graph, node, labels)) is not None:
                    given[node.id] = named
                    attempts.append(Attempt(node.id, f"{named.function}, by {namer.__name__}", True))
                    break
        common = {n for n, k in Counter(n.function for n in given.values()).items() if k > _TOO_COMMON}
        given = {i: n for i, n in given.items() if n.function not in common}
        nodes = [
            replace(n, name=given[n.id].variable or None, doc=given[n.id].sentence or n.doc) if n.id in given else n
            for n in graph.nodes
        ]
        functions = _named_functions(graph, given)
        return Outcome(replace(graph, nodes=tuple(nodes), functions=functions), tuple(attempts))


def _named_functions(graph: Graph, given: dict[str, Named]) -> tuple[Function, ...]:
    """Functions called after the variable they compute."""
    taken: Counter[str] = Counter()
    functions = []
    for function in graph.functions:
        named = given.get(function.name) or given.get(function.nodes[-1])
        name = named.function if named else function.name
        taken[name] += 1
        name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        functions.append(replace(function, name=name, doc=_sentences(graph, function, given) or function.doc))
    return tuple(functions)


def _sentences(graph: Graph, function: Function, given: dict[str, Named]) -> str:
    """What a function hands out: the sentences of its variables that live in the network, or of the last one."""
    handed = [i for i in function.nodes if graph[i].sites] or [function.nodes[-1]]
    said = list(dict.fromkeys(given[i].sentence for i in handed if i in given and given[i].sentence))
    if len(said) > 1 and all(s.startswith("The ") and ". " not in s for s in said):
        said = ["; ".join([said[0].rstrip("."), *(f"the {s[4:].rstrip('.')}" for s in said[1:])]) + "."]
    return " ".join(s[0].upper() + s[1:] for s in said)
