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
