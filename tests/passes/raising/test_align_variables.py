"""A network whose two heads copy the same token: either answers for the other when it is exchanged alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Axis, Graph, Site, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.align_variables import AlignVariables, head_sites
from exegesis.passes.raising.exchanges import Exchanges
from exegesis.passes.raising.head_view import SELECTOR

N, PLACES = 4, 12
D = 2 * N + PLACES
TOKEN, PLACE, BEFORE = slice(0, N), slice(N, N + PLACES), slice(N + PLACES, D)


def network(hand: Any, shares: tuple[float, float]) -> Graph:
    """The token before, of which each head writes a share."""
    embed, places, weight = np.zeros((N, D)), np.zeros((PLACES, D)), np.zeros((D, N))
    embed[:, TOKEN], places[:, PLACE], weight[BEFORE] = np.eye(N), np.eye(PLACES), np.eye(N)
    heads = [hand.previous_token(D, TOKEN, BEFORE, PLACE) for _ in shares]
    heads = [replace(h, o=h.o * s) for h, s in zip(heads, shares, strict=True)]
    return hand.start(embed, places).attention("L0", heads).unembed(weight)


def program(graph: Graph, heads: tuple[int, ...]) -> Graph:
    """The token before, living in some heads."""
    draft = Draft(replace(graph, axes={**graph.axes, "key": Axis("key")}), "test")
    sites = tuple(Site("L0.attn.z", graph["L0.attn.z"].type.axes, index=(("head", h),), label=f"L0H{h}") for h in heads)
    back = draft.add("symbolic.back", ["tokens"], SELECTOR, {"by": 1}, hint="back")
    category = Type("category", ("batch", "pos"), "token")
    copied = draft.add("symbolic.copy", [back, "tokens"], category, hint="copied", sites=sites)
    return draft.whole(outputs=(copied,)).pruned()


@pytest.fixture(scope="module")
def setting(hand: Any, strings: Any) -> Any:
    rows = [r[:9] for r in strings(80, N, (9, 10))]
    graph = network(hand, (0.5, 0.5))
    return hand.setting_of(graph, hand.split_of(rows, [range(1, len(r)) for r in rows]))


def test_the_copy_is_found(setting: Any) -> None:
    alone = program(setting.held.graph, (0,))
    before = Exchanges(setting.held, alone, ["copied"], seed=0).agreement(alone)
    found = AlignVariables().run(alone, setting)
    after = Exchanges(setting.held, found.graph, ["copied"], seed=0).agreement(found.graph)
    assert [s.label for s in found.graph["copied"].sites] == ["L0H0", "L0H1"]
    assert [a.applied for a in found.attempts] == [True]
    assert (before < 0.7, after) == (True, 1.0)


def test_nothing_is_sought_where_the_program_is_followed(setting: Any) -> None:
    both = program(setting.held.graph, (0, 1))
    found = AlignVariables().run(both, setting)
    assert (found.graph is both, found.attempts) == (True, ())


def test_a_head_that_does_nothing_of_the_kind_is_left_out(hand: Any, setting: Any) -> None:
    graph = network(hand, (1.0, 0.0))
    alone = program(graph, (1,))
    other = hand.setting_of(graph, setting.held.split)
    found = AlignVariables().run(alone, other)
    assert [s.label for s in found.graph["copied"].sites] == ["L0H1", "L0H0"]
    assert AlignVariables().requires(graph) == "the program gives no answers yet"
    assert [s.label for s in head_sites(graph)] == ["L0H0", "L0H1"]
