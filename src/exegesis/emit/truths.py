"""Truth values that a program reads off other positions: where they can be written as such.

In the graph the copy of a truth is a category (false, true, or none where nothing is looked at), the share of a truth
has a class for each, and a width is a number. Where all readers ask only whether it is true, or how much of it, or
whether there is any position at all, the program says `holds_at`, `fraction` and `exists` instead.
"""

from __future__ import annotations

from exegesis.ir import Graph, Node

_IS_TRUE = frozenset({("==", 1), (">", 0), (">=", 1)})
_IS_NOT_TRUE = frozenset({("!=", 1), ("<=", 0), ("<", 1)})
_IS_ANY = frozenset({(">", 0), (">=", 1), ("!=", 0)})
_IS_NONE = frozenset({("<=", 0), ("<", 1), ("==", 0)})


def asks_truth(graph: Graph, reader: Node, source: str) -> bool | None:
    """Whether a reader asks if `source` is true, or any (True); if it is not (False); or for something else (None)."""
    width = graph[source].op == "symbolic.width"
    match reader.op:
        case "symbolic.compare":
            asked, yes, no = (reader.attrs["is"], reader.attrs["to"]), *_answers(width)
            return True if asked in yes else False if asked in no else None
        case "symbolic.is_in":
            return True if reader.attrs["values"] == [1] and not width else None
        case "symbolic.where":
            is_key = reader.inputs[1] == source and reader.attrs["values"] == [1] and not width
            return not reader.attrs["negated"] if is_key else None
        case "symbolic.form":
            classes = {cls for _, k, cls in reader.attrs["terms"] if reader.inputs[k] == source}
            return True if classes == {1} else None
        case _:
            return None


def _answers(width: bool) -> tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]:
    return (_IS_ANY, _IS_NONE) if width else (_IS_TRUE, _IS_NOT_TRUE)


def is_truth(graph: Graph, node_id: str) -> bool:
    """Whether a node is written as `holds_at`, `fraction` or `exists`, since nobody reads more of it than that."""
    node = graph[node_id]
    if node.op not in ("symbolic.copy", "symbolic.share", "symbolic.width") or node_id in graph.outputs[:1]:
        return False
    if node.op != "symbolic.width" and graph[node.inputs[1]].type.kind != "bool":
        return False
    users = graph.users(node_id)
    reads_number = node.op == "symbolic.share"
    return bool(users) and all(
        asks_truth(graph, u, node_id) is not None and (u.op == "symbolic.form" or not reads_number) for u in users
    )
