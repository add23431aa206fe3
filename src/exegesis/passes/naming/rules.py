"""Namers: what a variable computes decides what it is called and how it is described.

A namer is a function `(Graph, Node, Labels) -> Named | None`. It may give up; the first that does not, wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exegesis.ir import Graph, Node


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


Namer = Callable[[Graph, Node, Labels], Named | None]


def as_written(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """A variable that the pass which made it named: its function is called as its node."""
    return Named(node.id, node.name, node.doc) if node.name and node.doc else None


def copied_from_a_distance(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(back(k), v)`."""
    if node.op != "symbolic.copy" or (selector := graph[node.inputs[0]]).op != "symbolic.back":
        return None
    what, by = _singular(labels.of(node.inputs[1])), selector.attrs["by"]
    if by == 0:
        return Named(f"own_{what}", f"own_{what}", f"The {_words(what)} at the position itself.")
    if by == 1:
        return Named(
            f"previous_{what}",
            "previous" if what == "token" else f"previous_{what}_value",
            f"The {_words(what)} one position back.",
        )
    return Named(f"{what}_{by}_back", f"back_{by}", f"The {_words(what)} {by} positions back.")


def copied_from_the_start(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(at(k), v)`."""
    if node.op != "symbolic.copy" or (selector := graph[node.inputs[0]]).op != "symbolic.at":
        return None
    what, index = _singular(labels.of(node.inputs[1])), selector.attrs["index"]
    name = f"first_{what}" if index == 0 else f"{what}_at_{index}"
    return Named(name, "first" if index == 0 else f"at_{index}", f"The {_words(what)} at position {index}.")


def copied_from_a_match(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(match(q, k), v)`."""
    if node.op != "symbolic.copy" or (selector := graph[node.inputs[0]]).op != "symbolic.match":
        return None
    query, renamed = graph[selector.inputs[0]], ""
    if query.op == "symbolic.relabel":
        pairs = [f"{labels.token(a)} looks for {labels.token(b)}" for a, b in query.attrs["table"]]
        renamed = f" ({', '.join(pairs)})"
        query = graph[query.inputs[0]]
    q, k, v = (_singular(labels.of(i)) for i in (query.id, selector.inputs[1], node.inputs[1]))
    if k == f"previous_{q}" and v == q:
        sentence = f"The {_words(v)} that came after the earlier occurrence of the {_words(q)}{renamed}."
        return Named(f"{v}_that_followed", "followed_by", sentence)
    sentence = f"The {_words(v)} at the position whose {_words(k)} is the {_words(q)}{renamed}."
    return Named(f"{v}_where_{k}_is_{q}", "found", sentence)


def copied_from_the_next(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(extreme(ordered(q, k), k), v)`: the nearest in value."""
    if node.op != "symbolic.copy" or (nearest := graph[node.inputs[0]]).op != "symbolic.extreme":
        return None
    side = graph[nearest.inputs[0]]
    direction = (side.attrs.get("is"), nearest.attrs["which"])
    words = {(">", "smallest"): ("larger", "smallest", "greater"), ("<", "largest"): ("smaller", "largest", "less")}
    if side.op != "symbolic.ordered" or direction not in words:
        return None
    name, which, than = words[direction]
    query = graph[side.inputs[0]]
    below = [labels.token(a) for a, b in query.attrs["table"] if b < 0] if query.op == "symbolic.relabel" else []
    note = f" ({', '.join(below)} {'counts' if len(below) == 1 else 'count'} as less than any)" if below else ""
    what = _singular(labels.of(node.inputs[1]))
    sentence = f"The {which} {_words(what)} among those that are {than} than the position's own{note}."
    return Named(f"next_{name}_{what}", f"next_{name}", sentence)


def stripped(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`relabel(v)` that only turns categories into none: what is left are values that can be compared."""
    if node.op != "symbolic.relabel" or any(b >= 0 for _, b in node.attrs["table"]):
        return None
    return Named(_singular(labels.of(node.inputs[0])), "values", "")


def copied_from_somewhere(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """Any other copy."""
    if node.op != "symbolic.copy":
        return None
    what = _singular(labels.of(node.inputs[1]))
    return Named(f"{what}_seen", "only", f"The one {_words(what)} that is seen among the positions looked at.")


def tallied(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`count(selector, v)` or `share(selector, v)`."""
    if node.op not in ("symbolic.count", "symbolic.share"):
        return None
    selector = graph[node.inputs[0]]
    what = _singular(labels.of(node.inputs[1]))
    where, how = _place(graph, selector, labels)
    if node.op == "symbolic.count":
        return Named(f"count_of_each_{what}{where}", "seen", f"How often each {_words(what)} occurs {how}.")
    return Named(f"share_of_each_{what}{where}", "share", f"The share of each {_words(what)} {how}.")


def measured(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`width(selector)`: how many positions are looked at."""
    if node.op != "symbolic.width":
        return None
    selector = graph[node.inputs[0]]
    match selector.op:
        case "symbolic.everywhere":
            if selector.attrs["causal"]:
                return Named("count_so_far", "so_far", "How many positions there are so far, this one included.")
            return Named("sequence_length", "length", "How many positions the sequence has.")
        case "symbolic.match" if selector.inputs[0] == selector.inputs[1]:
            what = _singular(labels.of(selector.inputs[0]))
            return Named(f"count_of_same_{what}", "same", f"How many positions hold the same {_words(what)}.")
        case "symbolic.ordered" if selector.inputs[0] == selector.inputs[1]:
            what = _singular(labels.of(selector.inputs[0]))
            side = "smaller" if selector.attrs["is"].startswith("<") else "larger"
            equal = "_or_equal" if selector.attrs["is"].endswith("=") else ""
            sentence = f"How many positions hold a {side}{_words(equal)} {_words(what)}."
            return Named(f"count_of_{side}{equal}_{what}s", f"{side}{equal}", sentence)
        case "symbolic.where" if graph[selector.inputs[1]].type.kind == "bool":
            _, how = _place(graph, graph[selector.inputs[0]], labels)
            what = _words(labels.of(selector.inputs[1]))
            return Named(
                f"count_where_{labels.of(selector.inputs[1])}", "how_many", f"At how many positions {what} {how}."
            )
        case "symbolic.where" if len(selector.attrs["values"]) <= 2:
            values = [labels.token(v) for v in selector.attrs["values"]]
            _, how = _place(graph, selector, labels)
            name = f"count_of_{'all_but_' if selector.attrs['negated'] else ''}{'_or_'.join(values)}"
            return Named(
                name,
                name.removeprefix("count_of_") if values[0].isidentifier() else "how_many",
                f"How many positions there are {how}.",
            )
        case _:
            return None


def combined(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """A linear form with few whole coefficients, unless all that is done with it is to compare it once."""
    if node.op != "symbolic.form" or len(node.attrs["terms"]) > 3:
        return None
    users = graph.users(node.id)
    if len(users) == 1 and users[0].op == "symbolic.compare" and not node.sites:
        return None
    parts: list[str] = []
    for coefficient, source, cls in sorted(node.attrs["terms"], key=lambda t: t[0] < 0):
        label = labels.token(cls) if cls is not None else labels.of(node.inputs[source])
        if not float(coefficient).is_integer() or not label.isascii() or not label or label == f"token{cls}":
            return None
        sign = "minus_" if coefficient < 0 else "plus_" if parts else ""
        times = "" if abs(coefficient) == 1 else f"{int(abs(coefficient))}_"
        parts.append(f"{sign}{times}{label}")
    if plus := node.attrs["plus"]:
        parts.append(f"{'minus' if plus < 0 else 'plus'}_{abs(plus)}")
    name = "_".join(parts).lower()
    if not f"n_{name}".isidentifier():
        return None
    return Named(name, "" if len(users) == 1 and plus and not node.sites else name, "")


def judged(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """Several truth values at once."""
    names = {"symbolic.and": "all_hold", "symbolic.or": "some_hold"}
    return Named(names[node.op], names[node.op] if node.sites else "", "") if node.op in names else None


NAMERS: tuple[Namer, ...] = (
    as_written,
    copied_from_a_distance,
    copied_from_the_start,
    copied_from_a_match,
    copied_from_the_next,
    copied_from_somewhere,
    stripped,
    tallied,
    measured,
    combined,
    judged,
)


def _place(graph: Graph, selector: Node, labels: Labels) -> tuple[str, str]:
    """Where a selector looks, as a suffix and in words."""
    match selector.op:
        case "symbolic.everywhere":
            return ("", "so far") if selector.attrs["causal"] else ("", "in the whole sequence")
        case "symbolic.back":
            return f"_{selector.attrs['by']}_back", f"{selector.attrs['by']} positions back"
        case "symbolic.where":
            inner, words = _place(graph, graph[selector.inputs[0]], labels)
            values = ", ".join(labels.token(v) for v in selector.attrs["values"][:4])
            relation = "is none of" if selector.attrs["negated"] else "is"
            return (
                f"{inner}_there",
                f"{words}, where the {_words(_singular(labels.of(selector.inputs[1])))} {relation} {values}",
            )
        case "symbolic.weigh":
            inner, words = _place(graph, graph[selector.inputs[0]], labels)
            return f"{inner}_weighed", f"{words}, weighed by the {_words(_singular(labels.of(selector.inputs[1])))}"
        case "symbolic.weigh_pairs":
            inner, words = _place(graph, graph[selector.inputs[0]], labels)
            q, k = (_words(_singular(labels.of(i))) for i in selector.inputs[1:])
            return f"{inner}_weighed", f"{words}, weighed by the {k} and by the {q} that looks"
        case "symbolic.match":
            k, q = (_words(_singular(labels.of(i))) for i in (selector.inputs[1], selector.inputs[0]))
            return "_there", f"where the {k} is the {q}"
        case _:
            return "_there", "among the positions looked at"


def _singular(name: str) -> str:
    return "token" if name == "tokens" else name


def _words(name: str) -> str:
    return name.replace("_", " ")
