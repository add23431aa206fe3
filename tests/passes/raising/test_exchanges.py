"""Exchanges on a network whose head leans towards the token that asks, and whose embedding takes that back.

On natural inputs it says whether there are more a than b. After an exchange the reference is the network's own formula,
written out in numpy string by string.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import Axis, Graph, Site, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.exchanges import Exchanges, groups
from exegesis.passes.raising.head_view import SELECTOR
from exegesis.passes.raising.raise_heads import RaiseHeads
from exegesis.passes.raising.raise_readout import RaiseReadout
from exegesis.runtime import Executor

A, B, BOS, V = 0, 1, 2, 3
TOKEN, FOUND, D = slice(0, 3), slice(3, 6), 6
MARGIN = 0.004
LEAN = 0.8  # how much more, in logarithms, a token looks at its like


def leaning(hand: Any) -> Graph:
    """share of a - share of b - lean * (token is a) + lean * (token is b) > 0, shares weighed by who asks."""
    embed = np.zeros((V, D))
    embed[:, TOKEN] = np.eye(V)
    q, k, v, o = (np.zeros(s) for s in ((D, V), (D, V), (D, V), (V, D)))
    q[:2, BOS] = -60.0  # the first position is looked at by nobody else
    q[:2, :2], k[TOKEN], v[TOKEN], o[:, FOUND] = LEAN * np.eye(2), np.eye(V), np.eye(V), np.eye(V)
    weight = np.zeros((D, 2))
    weight[3:5, 1] = 1.0, -1.0
    weight[:2, 1] = -taken_back(), taken_back()
    return hand.start(embed).attention("L0", [hand.Head(q, k, v, o)]).unembed(weight, np.array([0.0, -MARGIN]))


def taken_back() -> float:
    """What the lean is worth where there are as many a as b."""
    return float(np.tanh(LEAN / 2))


def strings(n: int, seed: int) -> list[list[int]]:
    """Strings of a and b in which there are at most three more of either; three lengths."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        steps: list[int] = []
        for _ in range(8 + i % 3):
            more = sum(steps)
            steps.append(-1 if more == 3 else 1 if more == -3 else int(rng.choice([-1, 1])))
        rows.append([BOS, *(A if s > 0 else B for s in steps)])
    return rows


def network_says(shares_from: Sequence[int], row: Sequence[int], at: int) -> int:
    """The network's formula at a position of one row, with the shares that another has there."""
    asking, seen = shares_from[at], shares_from[: at + 1]
    if asking == BOS:
        return int({A: -taken_back(), B: taken_back(), BOS: 0.0}[row[at]] > MARGIN)
    weights = [np.exp(LEAN) if t == asking else float(t != BOS) for t in seen]
    share = [sum(w for w, t in zip(weights, seen, strict=True) if t == c) / sum(weights) for c in (A, B)]
    back = {A: -taken_back(), B: taken_back(), BOS: 0.0}[row[at]]
    return int(share[0] - share[1] + back > MARGIN)


def counting(graph: Graph) -> Graph:
    """More a than b, as a program whose count lives in the head."""
    draft = Draft(replace(graph, axes={**graph.axes, "key": Axis("key"), "token": graph.axes["token"]}), "test")
    everywhere = draft.add("symbolic.everywhere", ["tokens"], SELECTOR, {"causal": True}, hint="everywhere")
    sites = (Site("L0.attn.z", graph["L0.attn.z"].type.axes, index=(("head", 0),)),)
    tally = Type("real", ("batch", "pos", "token"))
    seen = draft.add("symbolic.count", [everywhere, "tokens"], tally, hint="seen", sites=sites)
    real, truth = Type("real", ("batch", "pos")), Type("bool", ("batch", "pos"))
    form = draft.add("symbolic.form", [seen], real, {"terms": [[1, 0, A], [-1, 0, B]], "plus": 0}, hint="form")
    more = draft.add("symbolic.compare", [form], truth, {"is": ">", "to": 0}, hint="more")
    category = Type("category", ("batch", "pos"), "output")
    answer = draft.add("symbolic.choose", [more], category, {"gives": [1], "other": 0}, hint="answer")
    return draft.whole(outputs=(answer,)).pruned()


@pytest.fixture(scope="module")
def setting(hand: Any) -> Any:
    graph = leaning(hand)
    return hand.setting_of(graph, hand.split_of(strings(150, 0)), held=hand.split_of(strings(90, 1)))


def test_the_network_after_an_exchange_is_its_formula(setting: Any) -> None:
    program = counting(setting.fit.graph)
    swaps = Exchanges(setting.fit, program, ["tokens", "seen"], seed=0)
    assert [(g.variables, g.places) for g in swaps.groups] == [(("seen",), (("L0.attn.z", 0),))]
    for (seen, drawn), answers in zip(swaps.plan, swaps.answers, strict=True):
        rows = seen.inputs["tokens"].tolist()
        expected = [
            network_says(rows[int(drawn.source[0, r])] if drawn.where[0, r, t] else rows[r], rows[r], t)
            for r, t in seen.scored.nonzero().tolist()
        ]
        assert np.array_equal(answers, expected)


def test_a_count_is_not_all_that_the_head_carries(setting: Any) -> None:
    """The counting program is right on every input, and wrong where token and head disagree."""
    program = counting(setting.fit.graph)
    assert setting.held.agreement(program) == 1.0
    swaps = Exchanges(setting.held, program, ["seen"], seed=0)
    right = total = 0
    for seen, drawn in swaps.plan:
        rows = seen.inputs["tokens"].tolist()
        for r, t in seen.scored.nonzero().tolist():
            source = rows[int(drawn.source[0, r])] if drawn.where[0, r, t] else rows[r]
            after, before = (int(x[: t + 1].count(A) > x[: t + 1].count(B)) for x in (source, rows[r]))
            total += after != before
            right += after != before and after == network_says(source, rows[r], t)
    assert 0 < right < 0.95 * total
    assert swaps.agreement(program) == pytest.approx(right / total)


def test_the_readout_knows_what_an_exchange_does(setting: Any) -> None:
    graph = RaiseHeads().run(setting.fit.graph, setting).graph
    raised = RaiseReadout().run(graph, setting)
    assert setting.held.agreement(raised.graph) == 1.0
    nodes = [n.id for n in raised.graph.nodes]
    assert Exchanges(setting.held, raised.graph, nodes, seed=7).agreement(raised.graph) > 0.97
    longer = [[BOS, *([A, B, B, A] * 30)], [BOS, *([B, A] * 50), A]]
    for row in longer:
        out = raised.graph.outputs[0]
        said = Executor(raised.graph).run({"tokens": torch.tensor([row])}, [out])[out][0].tolist()
        assert said[1:] == [int(row[: t + 1].count(A) > row[: t + 1].count(B)) for t in range(1, len(row))]


def test_variables_in_other_places_change_hands_alone(setting: Any) -> None:
    program = counting(setting.fit.graph)
    node = program["seen"]
    elsewhere = replace(node.sites[0], value="nowhere")
    lost = program.with_nodes([replace(n, sites=(elsewhere,)) if n.id == "seen" else n for n in program.nodes])
    assert groups(lost, ["seen"], setting.fit.graph) == ()
    assert not Exchanges(setting.fit, lost, ["seen"], seed=0)
