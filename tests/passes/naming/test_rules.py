"""Names read off definitions; no name where it would say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from exegesis.ir import Axis, Graph, Node, Site, Type
from exegesis.passes.naming.rules import NAMERS
from exegesis.passes.naming.sentences import Labels, Named

BP = ("batch", "pos")
TOKEN, WHOLE, BOOL = Type("category", BP, "token"), Type("int", BP), Type("bool", BP)
SHARE, SELECTOR = Type("real", (*BP, "token")), Type("selector", ("batch", "query", "key"))
AXES = {a.name: a for a in (*map(Axis, (*BP, "query", "key")), Axis("token", 4, ("a", "(", "bos", "b")))}
HERE = (Site("somewhere", BP),)


def node(id: str, op: str, inputs: tuple[str, ...], type: Type, sites: tuple[Site, ...] = (), **attrs: Any) -> Node:
    return Node(id, f"symbolic.{op}", inputs, type, attrs, sites=sites)


NODES = (
    Node("tokens", "input.tokens", (), TOKEN),
    Node("place", "component.arange", ("tokens",), WHOLE),
    node("all", "everywhere", ("tokens",), SELECTOR, causal=False),
    node("length", "width", ("all",), WHOLE),
    node("shares", "share", ("all", "tokens"), SHARE),
    node("flag", "compare", ("length",), BOOL, HERE, **{"is": ">", "to": 2}),
    node("flagged", "where", ("all", "flag"), SELECTOR, values=[1], negated=False),
    node("users", "form", ("length", "shares"), WHOLE, terms=[[1, 0, None]], plus=0),
)


def named(new: Node, *users: Node) -> Named | None:
    graph = Graph((*NODES, new, *users), ("length",), axes=AXES)
    labels = Labels({"length": "sequence_length"}, ("a", "(", "bos", "b"))
    return next((n for namer in NAMERS if (n := namer(graph, new, labels)) is not None), None)


def form(terms: list[list[Any]], inputs: tuple[str, ...], plus: int = 0, sites: tuple[Site, ...] = HERE) -> Node:
    return node("new", "form", inputs, WHOLE, sites, terms=terms, plus=plus)


@pytest.mark.parametrize(
    ("new", "name"),
    [
        (form([[1, 0, None], [-1, 1, None]], ("length", "place")), "opposite_place"),
        (form([[2, 0, 0], [-1, 0, 3]], ("shares",)), "2_a_minus_b"),
        (form([[1, 0, None]], ("length",), -1), "sequence_length_minus_1"),
        (node("new", "width", ("all",), WHOLE), "sequence_length"),
        (node("new", "width", ("flagged",), WHOLE), "count_where_flag"),
        (node("new", "and", ("flag",), BOOL, HERE), "all_hold"),
        (node("new", "or", ("flag",), BOOL, HERE), "some_hold"),
    ],
)
def test_a_definition_gives_the_name(new: Node, name: str) -> None:
    found = named(new)
    assert found is not None
    assert found.function == name


def test_a_form_that_is_only_compared_needs_no_name() -> None:
    new = form([[1, 0, 0], [-1, 0, 3]], ("shares",), sites=())
    compared = node("compared", "compare", ("new",), BOOL, **{"is": "<", "to": 0})
    assert named(new, compared) is None
    assert named(new, compared, node("again", "compare", ("new",), BOOL, **{"is": ">", "to": 1})) is not None


def test_letters_that_are_no_words_give_no_name() -> None:
    assert named(form([[1, 0, 0], [-1, 0, 1]], ("shares",))) is None


def test_a_constant_added_where_it_is_read_has_a_name_only_in_sentences() -> None:
    new = form([[1, 0, None]], ("length",), 1, ())
    found = named(new, node("sought", "match", ("new", "place"), SELECTOR, causal=False))
    assert found is not None
    assert (found.function, found.variable) == ("sequence_length_plus_1", "")


def behind(new: Node, *more: Node, tokens: tuple[str, ...] = ("a", "(", ")", "sep")) -> Named | None:
    """What the last of some nodes is called, when those before it have their names."""
    graph = Graph((*NODES, *more, new), (new.id,), axes=AXES)
    names: dict[str, str] = {}
    found = None
    for each in graph.nodes:
        labels = Labels(names, tokens)
        found = next((n for namer in NAMERS if (n := namer(graph, each, labels)) is not None), None)
        names |= {} if found is None else {each.id: found.function}
    return found


BACK = node("back", "back", ("tokens",), SELECTOR, by=2)
SEPARATED = node("separated", "where", ("all", "tokens"), SELECTOR, values=[3], negated=False)
EARLY = node("early", "where", ("back", "place"), SELECTOR, values=[3, 4, 5], negated=False)
VALUES = node("values", "relabel", ("tokens",), TOKEN, table=[[3, -1]])
LEAST = node("least", "extreme", ("all", "values"), SELECTOR, which="smallest")
MARKS = node("marks", "where", ("all", "tokens"), SELECTOR, values=[0, 3], negated=False)
LAST = node("last", "nearest", ("marks",), SELECTOR, which="latest")
EITHER = node("either", "otherwise", ("separated", "back"), SELECTOR)


@pytest.mark.parametrize(
    ("new", "more", "name", "said"),
    [
        (node("new", "copy", ("back", "tokens"), TOKEN), (BACK,), "token_2_back", "The token 2 positions back."),
        (node("new", "copy", ("early", "tokens"), TOKEN), (BACK, EARLY), "token_2_back", "of the positions 3 to 5."),
        (
            node("new", "copy", ("either", "tokens"), TOKEN),
            (BACK, SEPARATED, EITHER),
            "sep_or_2_back_token",
            "once sep",
        ),
        (
            node("new", "copy", ("last", "tokens"), TOKEN),
            (MARKS, LAST),
            "latest_a_or_sep",
            "The latest of a and sep so far.",
        ),
        (
            node("new", "copy", ("least", "tokens"), TOKEN),
            (VALUES, LEAST),
            "smallest_token",
            "The smallest token in the whole sequence (sep left out).",
        ),
        (form([[1, 0, 1], [-1, 0, 2]], ("shares",)), (), "parenthesis_balance", ""),
        (form([[1, 0, 2], [-1, 0, 1]], ("shares",)), (), "token2_minus_token1", ""),
        (form([[1, 0, None], [-1, 1, None]], ("length", "place")), (), "opposite_place", "as far from the end"),
    ],
)
def test_what_is_held_gives_the_name(new: Node, more: tuple[Node, ...], name: str, said: str) -> None:
    found = behind(new, *more)
    if name == "token2_minus_token1":  # what closes less what opens is no balance, and brackets are no words
        assert found is None
        return
    assert found is not None
    assert found.function == name
    assert said in found.sentence


def test_a_phase_is_said_by_how_far_back_it_is() -> None:
    place = Type("category", BP, "mod_3")
    graph = Graph(
        (
            *NODES,
            node("asked", "mod", ("place",), place, period=3, plus=2),
            node("given", "mod", ("place",), place, period=3),
            node("same", "match", ("asked", "given"), SELECTOR, causal=True),
            node("seen", "count", ("same", "tokens"), SHARE),
        ),
        ("seen",),
        axes={**AXES, "mod_3": Axis("mod_3", 3)},
    )
    found = next(n for namer in NAMERS if (n := namer(graph, graph["seen"], Labels({}, ()))) is not None)
    back = [b for b in range(9) if (20 - b) % 3 == (20 + 2) % 3]  # a query at 20 sees these keys
    assert found.sentence == f"How often each token occurs {', '.join(map(str, back))} … positions back."
