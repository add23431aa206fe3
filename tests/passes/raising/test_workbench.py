"""Which positions count, what things cost, and where variables live."""

from __future__ import annotations

from typing import Any

import numpy as np

from exegesis.ir import Site, Type, price
from exegesis.passes.raising.columns import Column
from exegesis.passes.raising.workbench import TRUTH, Workbench, class_axis, cost_in


def opened(rasp: Any, first: int = 1) -> Workbench:
    p = rasp("ab", 5)
    network = p.compiled(p.map(lambda x: x == "a", p.tokens))
    return Workbench.on(network, p.setting(network, rows=30, first=first).fit, "test", 0)


def test_tokens_that_are_never_scored_may_not_count(rasp: Any) -> None:
    work = opened(rasp)
    tokens = work.columns[0].values
    by_token, by_place, everything = work.countings
    assert (by_token.mask == (tokens != 2)).all()
    assert by_token.variable == "tokens"
    assert by_place.variable == work.place
    assert everything.mask.all()
    assert everything.variable == ""
    values = np.arange(len(tokens), dtype=float)[:, None]
    assert by_token.means(values) == {2: values[tokens == 2].mean(0)}
    assert everything.means(values) == {}


def test_places_tell_where_tokens_do_not(rasp: Any) -> None:
    work = opened(rasp, first=2)
    assert [c.variable for c in work.countings] == ["tokens", work.place, ""]
    place = work.columns[1].values
    assert (work.countings[1].mask == (place >= 2)).all()


def test_a_selector_reaches_a_place(rasp: Any) -> None:
    work = opened(rasp)
    draft = work.draft()
    back = draft.add("symbolic.back", ["tokens"], Type("selector", ("batch", "query", "key")), {"by": 1}, hint="back")
    first = work.columns[1].values == 0
    second = np.flatnonzero(work.columns[1].values == 1)
    third = np.flatnonzero(work.columns[1].values == 2)
    assert work.reaches(draft, back, second, first)
    assert not work.reaches(draft, back, third, first)


def test_variables_learn_where_they_live(rasp: Any) -> None:
    work = opened(rasp)
    work.locate(work.place, [Site("here", ("batch", "pos"), basis="rows")], {"rows": np.eye(2)})
    work.locate(work.place, [Site("here", ("batch", "pos"), basis="rows")])
    assert [s.value for s in work.graph[work.place].sites] == ["here"]
    assert "rows" in work.graph.tensors


def test_cost_is_that_of_the_symbolic_nodes(rasp: Any) -> None:
    work = opened(rasp)
    draft = work.draft()
    node = draft.add("symbolic.is_in", ["tokens"], Type("bool", ("batch", "pos")), {"values": [0]}, hint="is_a")
    work.graph = draft.whole()
    alone = work.graph.with_nodes([work.graph["tokens"], work.graph[node]], outputs=(node,))
    assert cost_in(work.graph, node) == price(alone).symbolic_bits == work.cost(node)


def test_every_kind_of_column_has_a_class_axis(rasp: Any) -> None:
    work = opened(rasp)
    draft = work.draft()
    assert class_axis(draft, work.columns[0]) == "token"
    assert class_axis(draft, Column("x", None, "bool", np.array([0, 1]))) == "truth"
    assert class_axis(draft, Column("x", None, "int", np.array([0, 6]))) == "number_7"
    assert draft.axes["truth"] is TRUTH
    assert draft.axes["number_7"].size == 7
