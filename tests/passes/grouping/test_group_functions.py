"""Functions: what serves one variable of the network alone is cut out with it; nothing is computed differently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from exegesis.ir import Axis, Function, Graph, Node, Site, Type, check
from exegesis.passes.grouping.group_functions import GroupFunctions
from exegesis.passes.manager import Guarantee, Manager
from exegesis.runtime import Executor

EVERY = ("batch", "pos")
TOKEN, TRUE = Type("category", EVERY, "token"), Type("bool", EVERY)
LOOK = Type("selector", (*EVERY, "key"))
AXES = {a.name: a for a in (*map(Axis, (*EVERY, "key")), Axis("token", 4))}
HEAD, OTHER = Site("mix", EVERY), Site("mix_1", EVERY)


def program() -> Graph:
    """Two variables of the network, each with a selector of its own, over one query that both read."""
    nodes = (
        Node("tokens", "input.tokens", (), TOKEN),
        Node("asked", "symbolic.relabel", ("tokens",), TOKEN, {"table": [[0, 1]]}),
        Node("before", "symbolic.back", ("tokens",), LOOK, {"by": 1}),
        Node("kept", "symbolic.where", ("before", "tokens"), LOOK, {"values": [2], "negated": True}),
        Node("last", "symbolic.nearest", ("kept",), LOOK, {"which": "latest"}),
        Node("previous", "symbolic.copy", ("last", "tokens"), TOKEN, sites=(HEAD,)),
        Node("same", "symbolic.match", ("asked", "previous"), LOOK, {"causal": True}),
        Node("first", "symbolic.nearest", ("same",), LOOK, {"which": "first"}),
        Node("there", "symbolic.where", ("first", "asked"), LOOK, {"values": [3], "negated": True}),
        Node("found", "symbolic.copy", ("there", "tokens"), TOKEN, sites=(OTHER,)),
        Node("answer", "symbolic.relabel", ("found",), TOKEN, {"table": [[-1, 0]]}),
    )
    graph = Graph(nodes, ("answer",), axes=AXES)
    check(graph)
    return graph


@pytest.fixture
def setting(hand: Any, strings: Any) -> Any:
    return hand.setting_of(program(), hand.split_of(strings(20, 4, (3, 8))))


def functions(graph: Graph, setting: Any) -> dict[str, tuple[str, ...]]:
    found = GroupFunctions().run(graph, setting).graph
    check(found)
    assert GroupFunctions().ensures(found) is None
    return {f.name: f.nodes for f in found.functions}


def test_a_variable_takes_along_what_it_alone_needs(setting: Any) -> None:
    """The renamed query is read twice in one function, so it is that function's own."""
    assert functions(program(), setting) == {
        "previous": ("before", "kept", "last", "previous"),
        "found": ("asked", "same", "first", "there", "found"),
    }


def test_what_two_variables_need_is_nobodys(setting: Any) -> None:
    graph = program()
    nodes = [replace(n, inputs=("last", "asked")) if n.id == "previous" else n for n in graph.nodes]
    found = functions(graph.with_nodes(nodes), setting)
    assert all("asked" not in members for members in found.values())


def test_what_a_line_says_needs_no_function(setting: Any) -> None:
    graph = program()
    nodes = [replace(n, inputs=("before", "tokens")) if n.id == "previous" else n for n in graph.nodes]
    short = graph.with_nodes(nodes).pruned()
    assert "previous" not in functions(short, setting)


def test_nothing_is_computed_differently(setting: Any) -> None:
    graph = program()
    manager = Manager(setting)
    grouped = manager.run(graph, GroupFunctions())
    assert GroupFunctions().guarantee is Guarantee.EXACT
    assert manager.records[0].applied == 2
    assert {n.id: (n.op, n.inputs, n.attrs) for n in grouped.nodes} == {
        n.id: (n.op, n.inputs, n.attrs) for n in graph.nodes
    }
    tokens = torch.randint(0, 4, (5, 9))
    said = [Executor(g).run({"tokens": tokens}, ["answer"])["answer"] for g in (graph, grouped)]
    assert torch.equal(*said)


def test_without_alignments_there_is_nothing_to_cut() -> None:
    graph = program()
    plain = graph.with_nodes([replace(n, sites=()) for n in graph.nodes])
    assert GroupFunctions().requires(plain) == "no variable has an alignment"
    assert GroupFunctions().requires(graph) is None


def test_a_node_in_two_functions_is_noticed() -> None:
    twice = replace(program(), functions=(Function("f", ("before",)), Function("g", ("before",))))
    assert GroupFunctions().ensures(twice) == "before is in two functions"
