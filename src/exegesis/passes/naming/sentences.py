"""What positions a selector looks at, in words, and how variables and tokens are called in sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exegesis.ir import Graph, Node

PLACES = ("component.arange", "input.positions")


class Named(NamedTuple):
    """What a namer says: what the function that computes it is called, what its value is called, and a sentence."""

    function: str
    variable: str
    sentence: str


@dataclass(frozen=True)
class Labels:
    """Names given so far, by node id, and what categories are called."""

    names: Mapping[str, str]
    tokens: Sequence[str]

    def of(self, node_id: str) -> str:
        """The name of a variable, or its id while it has none."""
        return self.names.get(node_id, node_id)

    def token(self, k: int) -> str:
        """The label of a token as part of a name."""
        if k < 0:
            return "none"
        label = self.tokens[k] if k < len(self.tokens) else str(k)
        return re.sub(r"\W+", "", label) or f"token{k}"


def is_length(graph: Graph, node_id: str) -> bool:
    """Whether a node is the number of all positions."""
    node = graph[node_id]
    selector = graph[node.inputs[0]] if node.op == "symbolic.width" else node
    return selector.op == "symbolic.everywhere" and not selector.attrs["causal"]


def place(graph: Graph, selector: Node, labels: Labels) -> tuple[str, str]:
    """Where a selector looks, as a suffix and in words."""
    match selector.op:
        case "symbolic.everywhere":
            return ("", "so far") if selector.attrs["causal"] else ("", "in the whole sequence")
        case "symbolic.back":
            return f"_{selector.attrs['by']}_back", f"{selector.attrs['by']} positions back"
        case "symbolic.where":
            inner, words = place(graph, graph[selector.inputs[0]], labels)
            values = ", ".join(labels.token(v) for v in selector.attrs["values"][:4])
            but, relation = ("other than ", "is none of") if selector.attrs["negated"] else ("", "is")
            what = in_words(singular(labels.of(selector.inputs[1])))
            if len(selector.attrs["values"]) == 1 and what == "token":
                return f"{inner}_there", f"{words}, where it is {but}{values}"
            return f"{inner}_there", f"{words}, where the {what} {relation} {values}"
        case "symbolic.weigh":
            inner, words = place(graph, graph[selector.inputs[0]], labels)
            return f"{inner}_weighed", f"{words}, weighed by the {in_words(singular(labels.of(selector.inputs[1])))}"
        case "symbolic.weigh_pairs":
            inner, words = place(graph, graph[selector.inputs[0]], labels)
            q, k = (in_words(singular(labels.of(i))) for i in selector.inputs[1:])
            return f"{inner}_weighed", f"{words}, weighed by the {k} and by the {q} that looks"
        case "symbolic.both":
            sides = [place(graph, graph[i], labels) for i in selector.inputs]
            said = " and ".join(w for _, w in sides).replace("0, ", "", 1 if ("", "before") in sides else 0)
            return "".join(dict.fromkeys(s for s, _ in sides)), said.removesuffix(" and before")
        case "symbolic.ordered" if all(graph[i].op in PLACES for i in selector.inputs) and selector.attrs["is"] == "<":
            return "", "before"
        case "symbolic.match" if (found := _phase(graph, selector)) is not None:
            return found
        case "symbolic.match":
            k, q = (in_words(singular(labels.of(i))) for i in (selector.inputs[1], selector.inputs[0]))
            return "_there", f"where the {k} is the {q}"
        case _:
            return "_there", "among the positions looked at"


def holding(graph: Graph, selector: Node, labels: Labels) -> str:
    """`where(selector, v, values)` after "How many positions"."""
    values = " or ".join(labels.token(v) for v in selector.attrs["values"])
    held = f"hold {'anything but ' if selector.attrs['negated'] else ''}{values}"
    what = singular(labels.of(selector.inputs[1]))
    held += "" if what == "token" else f" as {in_words(what)}"
    _, where = place(graph, graph[selector.inputs[0]], labels)
    return held if where == "in the whole sequence" else f"{held} {where}"


def _phase(graph: Graph, selector: Node) -> tuple[str, str] | None:
    """`match(mod(place), mod(place))` as a suffix and in words."""
    ends = [graph[i] for i in selector.inputs]
    if any(e.op != "symbolic.mod" or graph[e.inputs[0]].op not in PLACES for e in ends):
        return None
    period, (asked, given) = ends[0].attrs["period"], (e.attrs.get("plus", 0) for e in ends)
    if ends[1].attrs["period"] != period:
        return None
    behind = (given - asked) % period  # a key this far behind the query, or a whole number of periods more
    listed = ", ".join(str(behind + k * period) for k in range(3))
    return f"_every_{period}", f"{listed} … positions back"


def singular(name: str) -> str:
    """What one value of a variable is called."""
    return "token" if name == "tokens" else name


def in_words(name: str) -> str:
    """A name as words."""
    return name.replace("_", " ")
