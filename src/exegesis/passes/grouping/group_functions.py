"""Cuts a symbolic program into functions: one for each variable that lives somewhere in the network.

What: a variable with an alignment becomes a function, together with the nodes that only it needs (its selector,
renamed queries …), and with the variables that share its subspace.
Why valid: nothing is computed differently; functions only say what belongs together.
Refuses when: the program has no variable with an alignment; everything then stays in `run`, as does a variable that
a line or two compute.
Guarantee: exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exegesis.ir import Function, Graph, Level, Node
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting

_FEWEST = 4  # nodes; what a line or two say needs no function


@dataclass(frozen=True)
class GroupFunctions:
    """No settings."""

    name = "group_functions"
    stage = "group"
    guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """A variable with an alignment."""
        return None if any(_is_aligned(graph, n.id) for n in graph.nodes) else "no variable has an alignment"

    def ensures(self, graph: Graph) -> str | None:
        """No node is in two functions."""
        members = [i for f in graph.functions for i in f.nodes]
        twice = [m for m in members if members.count(m) > 1]
        return f"{twice[0]} is in two functions" if twice else None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph with its functions."""
        taken: set[str] = set()
        functions, attempts = [], []
        for node in graph.nodes:
            if not _is_aligned(graph, node.id) or node.id in taken:
                continue
            members = [n for n in _exclusive(graph, _together(graph, node)) if n not in taken]
            if len(members) < _FEWEST:
                continue
            taken.update(members)
            functions.append(Function(node.id, tuple(members)))
            attempts.append(Attempt(node.id, f"a function of {len(members)} nodes", True))
        return Outcome(replace(graph, functions=tuple(functions)), tuple(attempts))


def _is_aligned(graph: Graph, node_id: str) -> bool:
    node = graph[node_id]
    return node.level is Level.SYMBOLIC and bool(node.sites)


def _together(graph: Graph, node: Node) -> frozenset[str]:
    """The node, and the variables that live with it in one and the same subspace, if nothing else lies between them."""
    if not any(site.basis for site in node.sites):
        return frozenset({node.id})
    targets = frozenset(n.id for n in graph.nodes if n.sites == node.sites and n.level is Level.SYMBOLIC)
    between = graph.downstream(targets) & graph.upstream(targets)
    return targets if between <= set(_exclusive(graph, targets)) else frozenset({node.id})


def _exclusive(graph: Graph, targets: frozenset[str]) -> list[str]:
    """The targets and the symbolic nodes that serve them alone, in order of computation."""
    inside = set(targets)
    for node in reversed(graph.nodes):
        users = graph.users(node.id)
        if node.level is not Level.SYMBOLIC or node.id in inside or node.id in graph.outputs or not users:
            continue
        if all(u.id in inside for u in users) and not node.sites:
            inside.add(node.id)
    return [n.id for n in graph.nodes if n.id in inside]
