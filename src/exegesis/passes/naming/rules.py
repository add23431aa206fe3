"""Namers: what a variable computes decides what it is called and how it is described.

A namer is a function `(Graph, Node, Labels) -> Named | None`. It may give up; the first that does not, wins.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from exegesis.ir import Graph, Node
from exegesis.passes.naming.sentences import PLACES, Labels, Named, holding, in_words, is_length, place, singular

_LONGEST = 40  # characters of a function's name

Namer = Callable[[Graph, Node, Labels], Named | None]


def as_written(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """A variable that the pass which made it named: its function is called as its node."""
    return Named(node.id, node.name, node.doc) if node.name and node.doc else None


def copied_from_a_distance(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(back(k), v)`."""
    if node.op != "symbolic.copy" or (selector := graph[node.inputs[0]]).op != "symbolic.back":
        return None
    what, by = singular(labels.of(node.inputs[1])), selector.attrs["by"]
    if by == 0:
        taken = all(_is_taken_back(u, node) for u in graph.users(node.id) or (node,))
        note = ", as the head sees it; the position's own embedding takes back what that adds" if taken else ""
        return Named(f"own_{what}", f"own_{what}", f"The {in_words(what)} at the position itself{note}.")
    if by == 1:
        return Named(
            f"previous_{what}",
            "previous" if what == "token" else f"previous_{what}_value",
            f"The {in_words(what)} one position back.",
        )
    return Named(f"{what}_{by}_back", f"{what}_{by}_back", f"The {in_words(what)} {by} positions back.")


def _is_taken_back(form: Node, copied: Node) -> bool:
    """Whether a form adds for what is copied from the position itself just what it takes off for the original."""
    if form.op != "symbolic.form":
        return False
    terms = [(c, form.inputs[k], cls) for c, k, cls in form.attrs["terms"]]
    added = [(c, cls) for c, source, cls in terms if source == copied.id]
    return bool(added) and all((-c, copied.inputs[1], cls) in terms for c, cls in added)


def copied_from_the_start(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(at(k), v)`."""
    if node.op != "symbolic.copy" or (selector := graph[node.inputs[0]]).op != "symbolic.at":
        return None
    what, index = singular(labels.of(node.inputs[1])), selector.attrs["index"]
    name = f"first_{what}" if index == 0 else f"{what}_at_{index}"
    return Named(name, "first" if index == 0 else f"at_{index}", f"The {in_words(what)} at position {index}.")


def copied_from_the_end(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(match(length - 1, place), v)`: what stands at the last position."""
    if node.op != "symbolic.copy" or (selector := graph[node.inputs[0]]).op != "symbolic.match":
        return None
    sought = graph[selector.inputs[0]]
    if sought.op != "symbolic.form" or (sought.attrs["terms"], sought.attrs["plus"]) != ([[1, 0, None]], -1):
        return None
    if not is_length(graph, sought.inputs[0]) or graph[selector.inputs[1]].op not in PLACES:
        return None
    what = singular(labels.of(node.inputs[1]))
    return Named(f"{what}_at_end", f"{what}_at_end", "")


def copied_from_a_match(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(match(q, k), v)`."""
    if node.op != "symbolic.copy":
        return None
    selector, rest = graph[node.inputs[0]], ""
    if selector.op == "symbolic.otherwise":
        selector, rest = graph[selector.inputs[0]], " For want of one, what the rest of the attention prefers."
    if selector.op != "symbolic.match":
        return None
    query, renamed = graph[selector.inputs[0]], ""
    if query.op == "symbolic.relabel":
        pairs = [f"{labels.token(a)} looks for {labels.token(b)}" for a, b in query.attrs["table"]]
        renamed = f" ({', '.join(pairs)})"
        query = graph[query.inputs[0]]
    q, k, v = (singular(labels.of(i)) for i in (query.id, selector.inputs[1], node.inputs[1]))
    if k.endswith(f"previous_{q}") and v == q:
        sentence = f"The {in_words(v)} that came after the earlier occurrence of the {in_words(q)}{renamed}."
        return Named(f"{v}_that_followed", "followed_by", sentence)
    k, q = (
        re.sub("^places?", "place", "place" if graph[i].op in PLACES else n)
        for i, n in ((selector.inputs[1], k), (query.id, q))
    )
    sentence = f"The {in_words(v)} at the position whose {in_words(k)} is the {in_words(q)}{renamed}.{rest}"
    name = f"{v}_where_{k}_is_{q}"
    return Named(name if len(name) <= _LONGEST else f"sought_{v}", "found", sentence)


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
    below = _no_values(graph[side.inputs[0]], labels)
    note = f" ({', '.join(below)} {'counts' if len(below) == 1 else 'count'} as less than any)" if below else ""
    what = singular(labels.of(node.inputs[1]))
    sentence = f"The {which} {in_words(what)} among those that are {than} than the position's own{note}."
    return Named(f"next_{name}_{what}", f"next_{name}", sentence)


def copied_from_the_greatest(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`copy(extreme(everywhere, v), v)`: the greatest or least value in sight, itself."""
    if node.op != "symbolic.copy" or (extreme := graph[node.inputs[0]]).op != "symbolic.extreme":
        return None
    everywhere = graph[extreme.inputs[0]]
    if everywhere.op != "symbolic.everywhere" or node.inputs[1] not in (
        extreme.inputs[1],
        *graph[extreme.inputs[1]].inputs,
    ):
        return None
    what, which = singular(labels.of(node.inputs[1])), extreme.attrs["which"]
    left_out = _no_values(graph[extreme.inputs[1]], labels)
    note = f" ({', '.join(left_out)} left out)" if left_out else ""
    name, words = ("_so_far", "so far") if everywhere.attrs["causal"] else ("", "in the whole sequence")
    return Named(f"{which}_{what}{name}", f"{which}_{what}", f"The {which} {in_words(what)} {words}{note}.")


def _no_values(relabelled: Node, labels: Labels) -> list[str]:
    """Which categories count as none, by their labels."""
    if relabelled.op != "symbolic.relabel":
        return []
    return [labels.token(a) for a, b in relabelled.attrs["table"] if b < 0]


def stripped(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`relabel(v)` that only turns categories into none: what is left are values that can be compared."""
    if node.op != "symbolic.relabel" or any(b >= 0 for _, b in node.attrs["table"]):
        return None
    return Named(singular(labels.of(node.inputs[0])), "values", "")


def copied_from_somewhere(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """Any other copy."""
    if node.op != "symbolic.copy":
        return None
    source, what = graph[node.inputs[1]], singular(labels.of(node.inputs[1]))
    if source.type.kind == "bool":
        return Named(f"{what}_there", "" if len(graph.users(node.id)) == 1 else f"{what}_there", "")
    if (found := _behind_or_at(graph, graph[node.inputs[0]], labels, what)) is not None:
        return found
    return Named(f"{what}_seen", "found", f"The {in_words(what)} that is found there.")


def _behind_or_at(graph: Graph, selector: Node, labels: Labels, what: str) -> Named | None:
    """Copies from `where(back(k), place)`, `nearest(where(…))` and `otherwise(where(…, v, {c}), back(k))`."""
    match selector.op:
        case "symbolic.where" if graph[selector.inputs[0]].op == "symbolic.back" and not selector.attrs["negated"]:
            by, places = graph[selector.inputs[0]].attrs["by"], selector.attrs["values"]
            span = f"{places[0]} to {places[-1]}" if len(places) > 2 else " or ".join(map(str, places))
            if graph[selector.inputs[1]].op in PLACES and by:
                sentence = f"The {in_words(what)} {by} positions back, where that is one of the positions {span}."
                return Named(f"{what}_{by}_back", f"{what}_{by}_back", sentence)
        case "symbolic.nearest" if (among := graph[selector.inputs[0]]).op == "symbolic.where":
            which, values = selector.attrs["which"], [labels.token(v) for v in among.attrs["values"]]
            if labels.of(among.inputs[1]) == "tokens" and len(values) <= 3:
                of = "of all but" if among.attrs["negated"] else "of"
                name = f"{which}_{'but_' if among.attrs['negated'] else ''}{'_or_'.join(values)}"
                return Named(name, name, f"The {which} {of} {' and '.join(values)} so far.")
        case "symbolic.otherwise":
            first, rest = (graph[i] for i in selector.inputs)
            if first.op == "symbolic.where" and rest.op == "symbolic.back" and len(first.attrs["values"]) == 1:
                there, by = labels.token(first.attrs["values"][0]), rest.attrs["by"]
                behind = {0: "own", 1: "previous"}.get(by, f"{by}_back")
                sentence = f"The {in_words(what)} {by} back; once {there} has been there before, {there}."
                sentence = sentence.replace(" 0 back", " at the position itself").replace(
                    " 1 back", " one position back"
                )
                return Named(f"{there}_or_{behind}_{what}", f"{there}_or_{behind}", sentence)
    return None


def tallied(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """`count(selector, v)` or `share(selector, v)`."""
    if node.op not in ("symbolic.count", "symbolic.share"):
        return None
    selector = graph[node.inputs[0]]
    what = singular(labels.of(node.inputs[1]))
    where, how = place(graph, selector, labels)
    if graph[node.inputs[1]].type.kind == "bool":
        return Named(f"{'count' if node.op == 'symbolic.count' else 'share'}_of_{what}", "", "")
    if node.op == "symbolic.count":
        return Named(f"count_of_each_{what}{where}", "seen", f"How often each {in_words(what)} occurs {how}.")
    return Named(f"share_of_each_{what}{where}", "share", f"The share of each {in_words(what)} {how}.")


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
            what = singular(labels.of(selector.inputs[0]))
            return Named(f"count_of_same_{what}", "same", f"How many positions hold the same {in_words(what)}.")
        case "symbolic.ordered" if selector.inputs[0] == selector.inputs[1]:
            what = singular(labels.of(selector.inputs[0]))
            side = "smaller" if selector.attrs["is"].startswith("<") else "larger"
            equal = "_or_equal" if selector.attrs["is"].endswith("=") else ""
            sentence = f"How many positions hold a {side}{in_words(equal)} {in_words(what)}."
            return Named(f"count_of_{side}{equal}_{what}s", f"{side}{equal}", sentence)
        case "symbolic.where" if graph[selector.inputs[1]].type.kind == "bool":
            condition = labels.of(selector.inputs[1])
            users = graph.users(node.id)
            if users and all(u.op == "symbolic.compare" and u.attrs["to"] == 0 for u in users):
                ever = f"ever_{condition.removeprefix('any_')}"
                return Named(ever, ever if node.sites or len(users) > 1 else "", "")
            return Named(f"count_where_{condition}", "how_many", "")
        case "symbolic.where" if len(selector.attrs["values"]) <= 2:
            values = [labels.token(v) for v in selector.attrs["values"]]
            how = holding(graph, selector, labels)
            name = f"count_of_{'all_but_' if selector.attrs['negated'] else ''}{'_or_'.join(values)}"
            return Named(
                name,
                name.removeprefix("count_of_") if values[0].isidentifier() else "how_many",
                f"How many positions {how}.",
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
    if name := _balance(node, labels):
        return Named(name, name, "")
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
    return Named(name, "" if len(users) == 1 and not node.sites else name, "")


def _balance(node: Node, labels: Labels) -> str:
    """`curly_bracket_balance` for what opens less what closes it, by the names that Unicode gives them."""
    if len(terms := node.attrs["terms"]) != 2 or node.attrs["plus"]:
        return ""
    (a, _, opens), (b, _, closes) = sorted(terms, key=lambda t: -t[0])
    if a != -b or None in (opens, closes) or max(opens, closes) >= len(labels.tokens):
        return ""
    named = [unicodedata.name(t, "") if len(t := labels.tokens[k]) == 1 else "" for k in (opens, closes)]
    kinds = {n.removeprefix(side) for n, side in zip(named, ("LEFT ", "RIGHT "), strict=True) if n.startswith(side)}
    kind = kinds.pop() if len(kinds) == 1 and all(named) else ""
    return f"{kind.replace(' ', '_').lower()}_balance" if kind else ""


def mirrored(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """The length less the place: the place opposite."""
    if node.op != "symbolic.form" or len(terms := node.attrs["terms"]) != 2:
        return None
    (a, length, _), (b, place, _) = sorted(terms, key=lambda t: -t[0])
    first, second = graph[node.inputs[length]], graph[node.inputs[place]]
    if (a, b) != (1, -1) or not is_length(graph, first.id) or second.op not in PLACES:
        return None
    return Named("opposite_place", "opposite", "The place as far from the end as this one from the start.")


def judged(graph: Graph, node: Node, labels: Labels) -> Named | None:
    """Several truth values at once."""
    if node.op not in ("symbolic.and", "symbolic.or"):
        return None
    sources = [graph[i] for i in node.inputs]
    asked = {(s.attrs["is"], s.attrs["to"]) for s in sources if s.op == "symbolic.compare"}
    word = _SIGNS.get(asked.pop()) if len(asked) == 1 and all(s.op == "symbolic.compare" for s in sources) else None
    each = "all" if node.op == "symbolic.and" else "any" if word else "some"
    name = f"{each}_{word or 'hold'}"
    if len(users := graph.users(node.id)) == 1 and users[0].op == "symbolic.choose":
        name = "accepted" if users[0].attrs["gives"] == [1] else "rejected" if users[0].attrs["other"] == 1 else name
    return Named(name, name if node.sites else "", "")


_SIGNS = {("==", 0): "zero", ("<", 0): "negative", (">", 0): "positive"}


NAMERS: tuple[Namer, ...] = (
    as_written,
    copied_from_a_distance,
    copied_from_the_start,
    copied_from_the_end,
    copied_from_a_match,
    copied_from_the_next,
    copied_from_the_greatest,
    copied_from_somewhere,
    stripped,
    tallied,
    measured,
    mirrored,
    combined,
    judged,
)
