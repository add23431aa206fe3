"""Drafts: what is said twice is written once, whatever clashes gets a number, and what is known of sites adds up."""

from __future__ import annotations

import numpy as np
import pytest

from exegesis.ir import Axis, Graph, GraphError, Node, Site, Type, check
from exegesis.passes.draft import Draft

EVERY = ("batch", "pos")
TOKEN = Type("category", EVERY, "token")
LOOK = Type("selector", (*EVERY, "key"))
AXES = {a.name: a for a in (*map(Axis, (*EVERY, "key")), Axis("token", 3))}
HERE, THERE = Site("mix", EVERY, index=()), Site("mix_1", EVERY)


@pytest.fixture
def draft() -> Draft:
    nodes = (
        Node("tokens", "input.tokens", (), TOKEN),
        Node("back_1", "symbolic.back", ("tokens",), LOOK, {"by": 1}),
        Node("previous", "symbolic.copy", ("back_1", "tokens"), TOKEN, sites=(HERE,)),
        Node("taken", "component.embed", ("tokens",), Type("real", (*EVERY, "=2")), tensors={"weight": "w"}),
        Node("old", "component.linear", ("taken",), Type("real", (*EVERY, "=2")), tensors={"weight": "v"}),
    )
    return Draft(Graph(nodes, ("old",), {"w": np.ones((3, 2)), "v": np.eye(2)}, AXES), "test")


def back(draft: Draft, by: int, hint: str = "looked") -> str:
    return draft.add("symbolic.back", ["tokens"], LOOK, {"by": by}, hint=hint)


def test_equal_nodes_are_shared_with_the_graph_and_among_themselves(draft: Draft) -> None:
    assert back(draft, 1) == "back_1"
    assert draft.nodes == {}
    new = back(draft, 2)
    assert back(draft, 2, hint="other") == new == "looked"
    assert list(draft.nodes) == ["looked"]


@pytest.mark.parametrize(
    ("op", "inputs", "type", "attrs"),
    [
        ("symbolic.back", ["tokens"], LOOK, {"by": 3}),
        ("symbolic.at", ["tokens"], LOOK, {"index": 1, "causal": True}),
        ("symbolic.back", ["previous"], LOOK, {"by": 1}),
        ("symbolic.copy", ["back_1", "tokens"], Type("category", EVERY, None), {}),
    ],
)
def test_whatever_differs_is_another_node(
    draft: Draft, op: str, inputs: list[str], type: Type, attrs: dict[str, object]
) -> None:
    assert draft.add(op, inputs, type, attrs, hint="fresh") == "fresh"


def test_sites_of_equal_nodes_add_up_and_none_is_told_twice(draft: Draft) -> None:
    for sites in ((HERE,), (THERE,), (HERE, THERE)):
        assert draft.add("symbolic.copy", ["back_1", "tokens"], TOKEN, hint="copied", sites=sites) == "previous"
    assert draft["previous"].sites == (HERE, THERE)
    assert draft.graph["previous"].sites == (HERE,), "a graph never changes"
    grown = draft.into({"old": "taken"})
    assert "previous" not in grown.by_id, "nobody reads it"
    offered = draft.whole(outputs=("old", "previous"))
    assert offered["previous"].sites == (HERE, THERE)
    assert len(offered.nodes) == len(draft.graph.nodes)


def test_ids_that_are_taken_get_a_number(draft: Draft) -> None:
    assert [back(draft, k, hint="taken") for k in (2, 3, 4)] == ["taken_2", "taken_3", "taken_4"]
    grown = draft.whole(outputs=("old", "taken_2", "taken_3", "taken_4"))
    check(grown)
    assert [grown[f"taken_{k}"].attrs["by"] for k in (2, 3, 4)] == [2, 3, 4]


def test_nodes_with_tensors_are_never_shared(draft: Draft) -> None:
    type = Type("real", (*EVERY, "=2"))
    made = [
        draft.add("component.embed", ["tokens"], type, hint="e", tensors={"weight": np.ones((3, 2)) * k})
        for k in (1, 2)
    ]
    assert made == ["e", "e_2"]
    grown = draft.into({"taken": "e_2"})
    np.testing.assert_array_equal(grown.tensors[grown["e_2"].tensors["weight"]], np.full((3, 2), 2.0))
    assert "w" not in grown.tensors


def test_into_rewires_readers_and_drops_what_nobody_needs(draft: Draft) -> None:
    new = draft.add("component.scale", ["taken"], Type("real", (*EVERY, "=2")), {"by": 2}, hint="new", why="because")
    grown = draft.into({"old": new})
    check(grown)
    assert grown.outputs == ("new",)
    assert set(grown.by_id) == {"tokens", "taken", "new"}
    assert (grown["new"].origin.by, grown["new"].origin.out_of, grown["new"].origin.why) == (
        "test",
        ("taken",),
        "because",
    )


def test_axes_come_along(draft: Draft) -> None:
    draft.axes["mod_2"] = Axis("mod_2", 2)
    rest = draft.add("symbolic.mod", ["tokens"], Type("category", EVERY, "mod_2"), {"period": 2}, hint="rest")
    whole = draft.whole(outputs=("old", rest))
    check(whole)
    assert whole.axes["mod_2"] == Axis("mod_2", 2)


def test_what_reads_nothing_that_exists_is_refused(draft: Draft) -> None:
    draft.add("symbolic.copy", ["ghost", "tokens"], TOKEN, hint="copied")
    with pytest.raises(GraphError, match="ghost"):
        draft.whole(outputs=("old", "copied"))
