"""A head that looks back only where that matters: what it gathers is no variable, what is made of it is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Readout, Sign
from exegesis.ir import Axis, Graph, Node, Site, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.exchanges import Exchanges
from exegesis.passes.raising.head_view import SELECTOR
from exegesis.passes.raising.locate_conditions import LocateConditions, _cuts
from exegesis.passes.raising.raise_readout import RaiseReadout
from exegesis.passes.raising.subspaces import filled_up, places

N, BOS, PLACES = 4, 3, 10
D = 2 * N + PLACES
TOKEN, PLACE, BEFORE = slice(0, N), slice(N, N + PLACES), slice(N + PLACES, D)
TRUTH = Type("bool", ("batch", "pos"))
STREAM = Type("real", ("batch", "pos", "d_model"))
HIDDEN = Type("real", ("batch", "pos", "neuron"))


def network(hand: Any, *, gated: bool) -> Graph:
    """Whether this token and the one before are 0; a gated head rests on `bos` unless this one is."""
    embed, positions = np.zeros((N, D)), np.zeros((PLACES, D))
    embed[:, TOKEN], positions[:, PLACE] = np.eye(N), np.eye(PLACES)
    head = hand.previous_token(D, TOKEN, BEFORE, PLACE)
    rests = np.zeros((2, D, 1))
    rests[0, [t for t in range(N) if t != 0]], rests[1, BOS] = 90.0 * gated, 1.0
    head = replace(head, q=np.concatenate([head.q, rests[0]], 1), k=np.concatenate([head.k, rests[1]], 1))
    head = replace(head, v=np.pad(head.v, ((0, 0), (0, 1))), o=np.pad(head.o, ((0, 1), (0, 0))))
    wiring = hand.start(embed, positions).attention("L0", [head])
    read, write = np.zeros((D, 1)), np.zeros((1, D))
    read[[TOKEN.start, BEFORE.start]], write[0, PLACE.start] = 1.0, 1.0
    stream = wiring.stream("L0.resid_mid")
    wiring.add("L0.mlp.in", "component.linear", [stream], HIDDEN, {"role": "mlp_in"}, weight=read, bias=-np.ones(1))
    wiring.add("L0.mlp.act", "component.activation", ["L0.mlp.in"], HIDDEN, {"kind": "relu"})
    out = {"weight": write, "bias": np.zeros(D)}
    wiring.writers = [*wiring.writers, wiring.add("L0.mlp.out", "component.linear", ["L0.mlp.act"], STREAM, **out)]
    graph = wiring.unembed(np.zeros((D, 2)), np.array([0.5, -1.0]))
    weight = np.zeros((1, 2))
    weight[0, 1] = 2.0
    return graph_of(graph, weight)


def graph_of(graph: Graph, weight: np.ndarray) -> Graph:
    """Outputs read off the one neuron, and the streams with sites."""
    nodes = []
    for node in graph.nodes:
        if node.op == "component.add":
            node = replace(node, sites=(Site(node.id, node.type.axes),))
        nodes.append(replace(node, inputs=("L0.mlp.act",)) if node.id == "logits" else node)
    axes = {"output": Axis("output", 2, ("no", "yes"))}
    return graph.with_nodes(nodes, axes=axes, tensors={"logits.weight": weight.astype(np.float32)}).pruned()


def program(graph: Graph, readout: Readout) -> Graph:
    """The token before, living in the head, and whether both are 0."""
    axes = {"key": Axis("key"), "truth": Axis("truth", 2, ("False", "True"))}
    draft = Draft(replace(graph, axes={**graph.axes, **axes}), "test")
    site = Site("L0.attn.z", graph["L0.attn.z"].type.axes, index=(("head", 0),), label="L0H0")
    back = draft.add("symbolic.back", ["tokens"], SELECTOR, {"by": 1}, hint="back")
    copied = draft.add("symbolic.copy", [back, "tokens"], graph["tokens"].type, hint="copied", sites=(site,))
    zeros = [draft.add("symbolic.is_in", [x], TRUTH, {"values": [0]}, hint=f"{x}_is") for x in (copied, "tokens")]
    both = draft.add("symbolic.and", zeros, TRUTH, hint="both")
    if isinstance(readout, Sign):
        allowed, attrs = Type("bool", ("batch", "pos", "output")), {"gives": [1], "always": [0]}
        return draft.whole(
            outputs=(draft.add("symbolic.allow", ["tokens", both], allowed, attrs, hint="said"),)
        ).pruned()
    answer = Type("category", ("batch", "pos"), "output")
    said = draft.add("symbolic.choose", [both], answer, {"gives": [1], "other": 0}, hint="said")
    return draft.whole(outputs=(said,)).pruned()


def setting_of(hand: Any, strings: Any, graph: Graph, readout: Readout) -> Any:
    def rows(seed: int) -> Any:
        drawn = [[BOS, *(t % 2 for t in r)] for r in strings(60, BOS, (5, 9), seed)]
        return hand.split_of(drawn, [range(1, len(r)) for r in drawn])

    return hand.setting_of(graph, rows(0), readout, rows(1))


@pytest.mark.parametrize("readout", [Argmax(), Sign()], ids=["argmax", "sign"])
def test_whether_both_are_zero_is_found_behind_the_head(hand: Any, strings: Any, readout: Readout) -> None:
    graph = network(hand, gated=True)
    setting = setting_of(hand, strings, graph, readout)
    alone = program(graph, readout)
    assert setting.held.agreement(alone) == 1
    assert Exchanges(setting.held, alone, ["copied"], seed=0).agreement(alone) < 0.9
    found = LocateConditions().run(alone, setting)
    assert [(a.where, a.applied) for a in found.attempts][-1] == ("both", True), found.attempts
    name = "allows_yes" if isinstance(readout, Sign) else "answers_yes"
    assert [n.id for n in found.graph.nodes if n.sites and n.op != "input.tokens"] == [name]
    (site,) = found.graph[name].sites
    assert (site.value, site.label) == ("L0.resid_mid", "L0.resid_mid, 1 dimension")
    (basis,) = found.graph.tensors[site.basis]
    told = basis[TOKEN.start] * basis[BEFORE.start]  # both are read with the same sign, so both are swapped alike
    assert told > 0.3
    assert setting.held.agreement(found.graph) == 1
    assert found.graph[name].name == name


def test_a_readout_over_such_a_head_gets_its_place(hand: Any, strings: Any) -> None:
    """The pass that finds the readout looks behind the heads before it complicates the formula."""
    graph = network(hand, gated=True)
    axes = {"key": Axis("key"), "truth": Axis("truth", 2, ("False", "True"))}
    draft = Draft(replace(graph, axes={**graph.axes, **axes}), "test")
    site = Site("L0.attn.z", graph["L0.attn.z"].type.axes, index=(("head", 0),), label="L0H0")
    back = draft.add("symbolic.back", ["tokens"], SELECTOR, {"by": 1}, hint="back")
    copied = draft.add("symbolic.copy", [back, "tokens"], graph["tokens"].type, hint="copied", sites=(site,))
    setting = setting_of(hand, strings, graph, Argmax())
    found = RaiseReadout().run(draft.whole(outputs=(*graph.outputs, copied)), setting)
    located = [n for n in found.graph.nodes if n.sites and n.op != "input.tokens"]
    assert [s.label for n in located for s in n.sites] == ["L0.resid_mid, 1 dimension"], found.attempts
    assert next(a.where for a in found.attempts if a.applied) == "readout"
    assert setting.held.agreement(found.graph) == 1


def test_nothing_is_sought_where_heads_do_as_the_program_says(hand: Any, strings: Any) -> None:
    graph = network(hand, gated=False)
    alone = program(graph, Argmax())
    found = LocateConditions().run(alone, setting_of(hand, strings, graph, Argmax()))
    assert (found.graph is alone, found.attempts) == (True, ())


def test_what_reaches_the_answer_by_no_condition_stays_where_it_is(hand: Any, strings: Any) -> None:
    graph = network(hand, gated=True)
    alone = program(graph, Argmax())
    draft = Draft(alone, "test")
    beside = draft.add("symbolic.relabel", ["copied"], draft["copied"].type, {"table": [[0, 1]]}, hint="beside")
    other = draft.whole(outputs=(beside,)).pruned()
    found = LocateConditions().run(other, setting_of(hand, strings, graph, Argmax()))
    assert (found.graph is other, found.attempts) == (True, ())
    assert LocateConditions().requires(graph) == "the program gives no answers yet"


def test_subspaces_that_do_no_better_are_refused(hand: Any, strings: Any) -> None:
    """The bar planted out of reach: nothing is written down, and the program stays as it was."""
    graph = network(hand, gated=True)
    alone = program(graph, Argmax())
    found = LocateConditions(least=1.01).run(alone, setting_of(hand, strings, graph, Argmax()))
    assert found.graph is alone
    assert found.attempts
    assert not any(a.applied for a in found.attempts)


def test_numbers_are_looked_for_before_conditions() -> None:
    tokens = Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token"))
    graph = Graph(
        (tokens,), ("tokens",), axes={a: Axis(a) for a in ("batch", "pos", "key")} | {"token": Axis("token", 2)}
    )
    draft = Draft(graph, "test")
    so_far = draft.add("symbolic.everywhere", ["tokens"], SELECTOR, {"causal": True}, hint="so_far")
    counted = Type("real", ("batch", "pos", "token"))
    seen = draft.add("symbolic.count", [so_far, "tokens"], counted, hint="seen", sites=(Site("z", counted.axes),))
    terms = {"terms": [[1, 0, 0], [-1, 0, 1]], "plus": 0}
    height = draft.add("symbolic.form", [seen], Type("real", ("batch", "pos")), terms, hint="height")
    low, high = (
        draft.add("symbolic.compare", [height], TRUTH, {"is": sign, "to": 0}, hint=hint)
        for sign, hint in (("<", "low"), (">", "high"))
    )
    one = draft.add("symbolic.is_in", ["tokens"], TRUTH, {"values": [1]}, hint="one")
    either = draft.add("symbolic.or", [low, one], TRUTH, hint="either")
    answer = Type("category", ("batch", "pos"), "token")
    said = draft.add("symbolic.choose", [either, high], answer, {"gives": [0, 1], "other": 0}, hint="said")
    whole = draft.whole(outputs=(said,)).pruned()
    assert list(_cuts(whole, 3)) == [("height",), ("low", "high"), ("high", "either")]
    assert list(_cuts(whole, 1)) == [("height",)]
    beside = draft.add("symbolic.choose", [high], answer, {"gives": [1], "other": 0}, hint="beside")
    largest = draft.add("symbolic.largest", [seen], answer, {"among": [0, 1]}, hint="largest")
    both = draft.add("symbolic.prefer", [beside, largest], answer, {}, hint="both")
    assert not list(_cuts(draft.whole(outputs=(both,)).pruned(), 3))


def test_rows_are_filled_up_and_drawn_from_their_like(hand: Any) -> None:
    rows = [[0, 1, 2], [1, 2], [2, 1], [2, 2, 1], [0, 1, 2, 1]]
    graph = network(hand, gated=True)
    setting = hand.setting_of(graph, hand.split_of(rows, [range(1, len(r)) for r in rows]))
    found = filled_up(setting.fit, 100)
    assert found is not None
    assert sorted(found.inputs["tokens"].tolist()) == [[0, 1, 2], [1, 2, 2], [2, 1, 1], [2, 2, 1]]  # none like the last
    assert found.lengths is not None
    assert found.lengths.tolist() == [2, 2, 3, 3]
    assert found.scored.tolist() == [[False, True, False]] * 2 + [[False, True, True]] * 2
    random = torch.Generator().manual_seed(0)
    base = torch.arange(4).repeat(50)
    other = found.others(base, (3, 200), random)
    assert (found.lengths[other] == found.lengths[base]).all()
    assert len(torch.unique(other)) == 4
    assert filled_up(hand.setting_of(graph, hand.split_of([[0, 1], [0, 1, 2]])).fit, 100) is None
    assert places(graph) == ["L0.resid_mid"]
