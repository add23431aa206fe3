"""Names: what a variable computes decides what it is called; a name that would stand for many stands for none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exegesis.ir import Axis, Function, Graph, Node, Type, check
from exegesis.passes.manager import Manager
from exegesis.passes.naming.name_variables import NameVariables
from exegesis.passes.naming.rules import NAMERS
from exegesis.passes.naming.sentences import Labels

EVERY = ("batch", "pos")
TOKEN = Type("category", EVERY, "token")
LOOK = Type("selector", (*EVERY, "key"))
COUNTS = Type("real", (*EVERY, "token"))
AXES = {a.name: a for a in (*map(Axis, (*EVERY, "key")), Axis("token", 4, ("a", "b", "<bos>", "+")))}


def program(*nodes: Node, functions: tuple[Function, ...] = ()) -> Graph:
    """Nodes over tokens, all of them given out so that none is idle."""
    graph = Graph((Node("tokens", "input.tokens", (), TOKEN), *nodes), tuple(n.id for n in nodes), {}, AXES, functions)
    check(graph)
    return graph


def back(by: int) -> tuple[Node, Node]:
    return (
        Node(f"s{by}", "symbolic.back", ("tokens",), LOOK, {"by": by}),
        Node(f"x{by}", "symbolic.copy", (f"s{by}", "tokens"), TOKEN),
    )


EVERYWHERE = Node("all", "symbolic.everywhere", ("tokens",), LOOK, {"causal": True})
SEEN = Node("seen", "symbolic.count", ("all", "tokens"), COUNTS)


@pytest.fixture
def setting(hand: Any) -> Any:
    return hand.setting_of(looking_back(), hand.split_of([[0, 1, 2]]))


def looking_back() -> Graph:
    """Answers with the previous token."""
    graph = program(*back(1))
    return replace(graph, outputs=("x1",))


def named(graph: Graph, setting: Any) -> dict[str, tuple[str | None, str]]:
    found = NameVariables().run(graph, setting).graph
    check(found)
    assert NameVariables().ensures(found) is None
    return {n.id: (n.name, n.doc) for n in found.nodes if n.name is not None}


CASES: dict[str, tuple[tuple[Node, ...], str, str, str]] = {
    "one back": (back(1), "x1", "previous", "The token one position back."),
    "itself": (back(0), "x0", "own_token", "The token at the position itself."),
    "three back": (back(3), "x3", "token_3_back", "The token 3 positions back."),
    "the first": (
        (
            Node("s", "symbolic.at", ("tokens",), LOOK, {"index": 0, "causal": True}),
            Node("x", "symbolic.copy", ("s", "tokens"), TOKEN),
        ),
        "x",
        "first",
        "The token at position 0.",
    ),
    "counted": ((EVERYWHERE, SEEN), "seen", "seen", "How often each token occurs so far."),
    "shared": (
        (EVERYWHERE, Node("x", "symbolic.share", ("all", "tokens"), COUNTS)),
        "x",
        "share",
        "The share of each token so far.",
    ),
    "after an earlier occurrence": (
        (
            *back(1),
            Node("s", "symbolic.match", ("tokens", "x1"), LOOK, {"causal": True}),
            Node("x", "symbolic.copy", ("s", "tokens"), TOKEN),
        ),
        "x",
        "followed_by",
        "The token that came after the earlier occurrence of the token.",
    ),
    "a minus b": (
        (
            EVERYWHERE,
            SEEN,
            Node("x", "symbolic.form", ("seen",), Type("real", EVERY), {"terms": [[1, 0, 0], [-2, 0, 1]], "plus": 0}),
        ),
        "x",
        "a_minus_2_b",
        "",
    ),
}


@pytest.mark.parametrize(("nodes", "which", "name", "sentence"), CASES.values(), ids=CASES.keys())
def test_a_variable_is_called_after_what_it_holds(
    setting: Any, nodes: tuple[Node, ...], which: str, name: str, sentence: str
) -> None:
    assert named(program(*nodes), setting)[which] == (name, sentence)


@pytest.mark.parametrize(
    "attrs",
    [
        {"terms": [[0.37, 0, 0]], "plus": 0},  # no whole coefficient
        {"terms": [[1, 0, k] for k in range(4)], "plus": 0},  # too many to name
    ],
)
def test_forms_that_no_short_name_says_keep_none(setting: Any, attrs: dict[str, Any]) -> None:
    form = Node("x", "symbolic.form", ("seen",), Type("real", EVERY), attrs)
    assert "x" not in named(program(EVERYWHERE, SEEN, form), setting)


def test_a_name_for_more_than_three_variables_says_nothing(setting: Any) -> None:
    def counts(k: int) -> tuple[Node, Node]:
        look = Node(f"w{k}", "symbolic.where", ("all", "tokens"), LOOK, {"values": [k], "negated": False})
        return look, Node(f"c{k}", "symbolic.count", (f"w{k}", "tokens"), COUNTS)

    few = program(EVERYWHERE, *(n for k in range(3) for n in counts(k)))
    many = program(EVERYWHERE, *(n for k in range(4) for n in counts(k)))
    assert {f"c{k}" for k in range(3)} <= set(named(few, setting))
    assert not {f"c{k}" for k in range(4)} & set(named(many, setting))


def test_functions_are_called_after_what_they_compute_and_never_alike(setting: Any) -> None:
    nodes = (*back(1), Node("again", "symbolic.copy", ("s1", "tokens"), TOKEN), *back(2))
    functions = (Function("x1", ("x1",)), Function("again", ("again",)), Function("plain", ("s2",)))
    found = NameVariables().run(program(*nodes, functions=functions), setting).graph
    assert [f.name for f in found.functions] == ["previous_token", "previous_token_2", "plain"]
    assert found.functions[0].doc == "The token one position back."


def test_two_functions_of_one_name_are_noticed() -> None:
    graph = replace(program(*back(1)), functions=(Function("f", ("s1",)), Function("f", ("x1",))))
    assert NameVariables().ensures(graph) == "two functions share a name"


def test_naming_changes_nothing_else(setting: Any) -> None:
    graph = looking_back()
    manager = Manager(setting)
    found = manager.run(graph, NameVariables())
    assert manager.records[0].skipped is None
    assert [replace(n, name=None, doc="") for n in found.nodes] == list(graph.nodes)


@pytest.mark.parametrize("namer", NAMERS, ids=lambda n: n.__name__)
def test_a_namer_gives_up_on_what_it_does_not_know(namer: Any) -> None:
    graph = program(
        Node("y", "symbolic.is_in", ("tokens",), Type("bool", EVERY), {"values": [0]}),
        Node("x", "symbolic.not", ("y",), Type("bool", EVERY)),
    )
    assert namer(graph, graph["x"], Labels({}, ())) is None


def test_labels_become_parts_of_names() -> None:
    labels = Labels({}, ("a", "<bos>", "+"))
    assert [labels.token(k) for k in (0, 1, 2, 7, -1)] == ["a", "bos", "token2", "7", "none"]
