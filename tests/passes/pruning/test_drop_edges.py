"""Edges: those the answers hang on stay, all others go, and what is cut is replaced by its mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exegesis.ir import Graph, check
from exegesis.measure import Bench
from exegesis.passes.manager import Attempt, Manager, Outcome, Setting
from exegesis.passes.pruning.drop_edges import DropEdges, Edge, edges

D = 12
"""The stream: token (3), position (6), what the head copies (3)."""


def network(hand: Any, *, direct: float = 0.0) -> Graph:
    """Answers with the previous token: one head finds it by positions and copies tokens.

    `direct` lets the unembedding read the token itself as well, with this weight.
    """
    embed, places = np.zeros((3, D)), np.zeros((6, D))
    embed[:, :3], places[:, 3:9] = np.eye(3), np.eye(6)
    unembed = np.zeros((D, 3))
    unembed[9:] = np.eye(3)
    unembed[:3] = direct * np.eye(3)
    made = hand.start(embed, places)
    return made.attention("L0", [hand.previous_token(D, slice(0, 3), slice(9, 12), slice(3, 9))]).unembed(unembed)


NEEDED = {"pos_embed → L0.attn.q", "pos_embed → L0.attn.k", "embed → L0.attn.v", "L0.attn.out → logits"}
IDLE = {"embed → L0.attn.q", "embed → L0.attn.k", "pos_embed → L0.attn.v", "embed → logits", "pos_embed → logits"}


@pytest.fixture(scope="module")
def setting(hand: Any, strings: Any) -> Setting:
    return hand.setting_of(network(hand), hand.split_of(strings(200, 3, (3, 6))))


def test_edges_are_all_pairs_of_writers_and_readers(hand: Any) -> None:
    found = edges(network(hand))
    assert {e.name for e in found} == NEEDED | IDLE
    assert Edge("embed", "L0.resid_pre", None, "L0.attn.q") in found


def test_what_the_answers_hang_on_stays_and_the_rest_goes(hand: Any, setting: Setting) -> None:
    graph = network(hand)
    step = DropEdges()
    assert step.requires(graph) is None
    found = step.run(graph, setting)
    check(found.graph)
    assert {a.where for a in found.attempts if a.applied} == IDLE
    assert {a.where for a in found.attempts if not a.applied} == NEEDED
    left = {e.name for e in edges(found.graph)}
    assert left >= NEEDED
    assert not IDLE & left
    assert setting.held.agreement(found.graph) == 1.0


def test_the_least_needed_edge_is_tried_first(hand: Any, setting: Setting) -> None:
    found = DropEdges().run(network(hand), setting)
    kept = [dict(a.figures)["keeps, resampled"] for a in found.attempts]
    assert kept == sorted(kept, reverse=True)
    assert {a.where for a in found.attempts[-2:]} == {"embed → L0.attn.v", "L0.attn.out → logits"}
    assert max(kept[-2:]) < 0.9 < kept[-3], "positions are the same in every input, so that resampling them is idle"


def test_an_edge_is_resampled_from_other_inputs(hand: Any, setting: Setting) -> None:
    """Counted by hand: the head copies from the row before, in batches of one length."""
    found = DropEdges(tokens=10**6).run(network(hand), setting)
    figures = {a.where: dict(a.figures)["keeps, resampled"] for a in found.attempts}
    same = total = 0
    for batch in setting.fit.batches:
        ids = batch.batch.input_ids
        other = np.roll(ids, 1, 0)
        previous = np.concatenate([ids[:, :1], ids[:, :-1]], 1)
        swapped = np.concatenate([other[:, :1], other[:, :-1]], 1)
        same, total = same + (previous == swapped).sum(), total + ids.size
    assert figures["embed → L0.attn.v"] == pytest.approx(same / total)
    assert figures["pos_embed → L0.attn.q"] == 1.0


def test_a_cut_reader_sees_the_mean(hand: Any, strings: Any) -> None:
    """The unembedding adds a constant share of the token; without it the mean over all tokens stands there."""
    graph = network(hand, direct=0.1)
    split = hand.split_of(strings(200, 3, (3, 6), seed=1))
    found = DropEdges(tokens=10**6).run(graph, hand.setting_of(graph, split))
    assert "embed → logits" in {a.where for a in found.attempts if a.applied}
    name = next(n for n in found.graph["logits"].inputs)
    constants = [found.graph[i] for i in found.graph[name].inputs if found.graph[i].op == "component.constant"]
    values = [found.graph.tensors[c.tensors["value"]] for c in constants]
    shares = np.bincount(split.tokens, minlength=3) / len(split.tokens)
    np.testing.assert_allclose(next(v[:3] for v in values if v[:3].any()), shares, atol=1e-6)


def test_what_a_sample_lets_through_and_all_inputs_do_not_is_taken_back(hand: Any, setting: Setting) -> None:
    class Kind(Bench):
        """A sample on which nothing ever matters."""

        def agreement(self, graph: Graph) -> float:
            return 1.0

    class Fit(Bench):
        def sample(self, max_tokens: int) -> Bench:
            part = super().sample(max_tokens)
            part.__class__ = Kind
            return part

    graph = network(hand)
    fit = Fit(graph, setting.readout, setting.fit.split)
    found = DropEdges().run(graph, Setting(fit, setting.held, setting.readout, 0))
    assert {a.outcome for a in found.attempts} == {"cut", "taken back"}
    assert fit.agreement(found.graph) >= DropEdges().keep
    assert {a.where for a in found.attempts if a.applied} <= IDLE


class Ruthless(DropEdges):
    """Cuts the one edge that everything hangs on."""

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        nodes = [n for n in graph.nodes if n.id != "L0.attn.out"]
        write = graph["L0.attn.out"]
        zero = {write.tensors["weight"]: np.zeros_like(graph.tensors[write.tensors["weight"]])}
        return Outcome(graph.with_nodes([*nodes, write], tensors=zero), (Attempt("all", "cut", True),))


def test_a_cut_too_many_is_undone(hand: Any, setting: Setting) -> None:
    graph = network(hand)
    manager = Manager(setting)
    assert manager.run(graph, Ruthless()) is graph
    assert (manager.records[0].skipped or "").startswith("undone: only")


def test_a_network_without_sums_has_no_edges(hand: Any) -> None:
    alone = hand.start(np.eye(3)).unembed(np.eye(3))
    assert DropEdges().requires(alone) == "nothing reads a sum of writers"
