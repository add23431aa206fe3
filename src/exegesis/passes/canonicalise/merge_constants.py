"""Adds up the constant writers of a residual stream.

What: several biases in one sum become one. Why valid: addition is associative. Refuses when: a sum has at most one
constant.
Guarantee: exact, to float error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exegesis.ir import Array, Graph, Node
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting


@dataclass(frozen=True)
class MergeConstants:
    """No settings."""

    name = "merge_constants"
    stage = "canonicalise"
    guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """A sum with two constants."""
        return None if any(len(_constants(graph, n)) > 1 for n in graph.nodes) else "no sum has two constants"

    def ensures(self, graph: Graph) -> str | None:
        """Every sum has at most one constant."""
        left = [n.id for n in graph.nodes if len(_constants(graph, n)) > 1]
        return f"{left[0]} still adds several constants" if left else None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph with one constant per sum; sums of the same constants share it."""
        made: dict[tuple[str, ...], Node] = {}
        tensors: dict[str, Array] = {}
        nodes: list[Node] = []
        attempts = []
        for node in graph.nodes:
            constants = _constants(graph, node)
            if len(constants) > 1:
                if constants not in made:
                    first = graph[constants[0]]
                    name = f"{first.id}+{len(made)}"
                    tensors[name] = sum(graph.tensors[graph[c].tensors["value"]] for c in constants)  # type: ignore[assignment]
                    made[constants] = replace(
                        first, id=name, inputs=(_token_input(graph),), tensors={"value": name}, sites=()
                    )
                    nodes.append(made[constants])
                rest = tuple(i for i in node.inputs if i not in constants)
                node = replace(node, inputs=(*rest, made[constants].id))
                attempts.append(Attempt(node.id, f"{len(constants)} constants became one", True))
            nodes.append(node)
        return Outcome(graph.with_nodes(nodes, tensors=tensors).pruned(), tuple(attempts))


def _constants(graph: Graph, node: Node) -> tuple[str, ...]:
    if node.op != "component.add":
        return ()
    return tuple(i for i in node.inputs if graph[i].op == "component.constant")


def _token_input(graph: Graph) -> str:
    return graph.inputs[0].id
