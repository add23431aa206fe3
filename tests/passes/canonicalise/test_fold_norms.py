"""Affine parts of norms: exact against the sums written out, and refused where something else reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Axis, Graph, Node, Site, Type, check
from exegesis.passes.canonicalise.fold_norms import FoldNorms
from exegesis.passes.manager import Manager, Outcome, Setting
from exegesis.runtime import Executor

D, H, E, OUT = 6, 2, 3, 4
STREAM = Type("real", ("batch", "pos", "=6"))
RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def network(
    kind: str, *, weight: bool = True, bias: bool = True, reader_bias: bool = True, third: bool = False
) -> Graph:
    """A norm read by two heads and by a linear map, and (`third`) by an activation."""
    norm = {"weight": "g"} if weight else {}
    norm |= {"bias": "c"} if bias else {}
    heads = {"weight": "A"} | ({"bias": "a"} if reader_bias else {})
    linear = {"weight": "B"} | ({"bias": "b"} if reader_bias else {})
    per_head = Type("real", ("batch", "=2", "pos", "=3"))
    logits = Type("real", ("batch", "pos", "=4"))
    nodes = [
        Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token")),
        Node("x", "component.embed", ("tokens",), STREAM, tensors={"weight": "W"}),
        Node(
            "ln", "component.norm", ("x",), STREAM, {"kind": kind, "eps": 1e-5}, norm, sites=(Site("ln", ("batch",)),)
        ),
        Node("q", "component.heads", ("ln",), per_head, tensors=heads),
        Node("z", "component.write", ("q",), logits, tensors={"weight": "O"}),
        Node("y", "component.linear", ("ln",), logits, tensors=linear),
    ]
    inputs = ["z", "y"]
    if third:
        nodes.append(Node("act", "component.activation", ("ln",), STREAM, {"kind": "relu"}))
        nodes.append(Node("w", "component.linear", ("act",), logits, tensors={"weight": "C"}))
        inputs.append("w")
    nodes.append(Node("logits", "component.add", tuple(inputs), logits))
    tensors = {"W": draw(5, D), "g": 1 + draw(D), "c": draw(D), "A": draw(H, D, E), "a": draw(H, E)}
    tensors |= {"B": draw(D, OUT), "b": draw(OUT), "O": draw(H, E, OUT), "C": draw(D, OUT)}
    axes = {a.name: a for a in (Axis("batch"), Axis("pos"), Axis("token", 5))}
    graph = Graph(tuple(nodes), ("logits",), tensors, axes).pruned()
    check(graph)
    return graph


def by_hand(graph: Graph, tokens: np.ndarray, kind: str) -> np.ndarray:
    """The original network in float64, written out."""
    t = {k: v.astype(np.float64) for k, v in graph.tensors.items()}
    x = t["W"][tokens]
    centred = x - x.mean(-1, keepdims=True) if kind == "layer" else x
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    normed = normed * t.get("g", 1.0) + t.get("c", 0.0)
    queries = np.einsum("bsd,hde->bhse", normed, t["A"]) + t.get("a", np.zeros((H, E)))[:, None]
    total = np.einsum("bhse,heo->bso", queries, t["O"]) + normed @ t["B"] + t.get("b", 0.0)
    return total + (np.maximum(normed, 0) @ t["C"] if "w" in graph.by_id else 0.0)


def answers(graph: Graph, tokens: np.ndarray) -> np.ndarray:
    import torch

    return Executor(graph).run({"tokens": torch.from_numpy(tokens)}, ["logits"])["logits"].numpy()


TOKENS = np.array([[0, 1, 2, 3], [4, 4, 0, 1]])


@pytest.fixture
def setting(hand: Any) -> Setting:
    return hand.setting_of(network("layer"), hand.split_of(TOKENS.tolist()))


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("layer", {}),
        ("layer", {"weight": False}),
        ("layer", {"bias": False}),
        ("layer", {"reader_bias": False}),
        ("layer", {"bias": False, "reader_bias": False}),
        ("rms", {"bias": False}),
    ],
)
def test_the_folded_network_is_the_network(setting: Setting, kind: str, parts: dict[str, bool]) -> None:
    graph = network(kind, **parts)
    step = FoldNorms()
    assert step.requires(graph) is None
    folded = step.run(graph, setting)
    check(folded.graph)
    assert step.ensures(folded.graph) is None
    assert step.requires(folded.graph) is not None
    assert folded.graph["ln"].tensors == {}
    assert folded.graph["ln"].sites == (), "the network holds the affine value there, not this one"
    np.testing.assert_allclose(answers(folded.graph, TOKENS), by_hand(graph, TOKENS, kind), rtol=1e-4, atol=1e-5)
    assert [(a.where, a.outcome, a.applied) for a in folded.attempts] == [("ln", "folded", True)]


def test_what_more_than_linear_maps_read_is_left_alone(setting: Setting) -> None:
    graph = network("layer", third=True)
    step = FoldNorms()
    found = step.run(graph, setting)
    assert not found.attempts[0].applied
    assert found.graph["ln"].tensors == graph["ln"].tensors
    assert step.ensures(found.graph) is None


def test_a_norm_that_is_the_output_is_left_alone(setting: Setting) -> None:
    graph = replace(network("layer"), outputs=("logits", "ln"))
    assert not FoldNorms().run(graph, setting).attempts[0].applied


@dataclass(frozen=True)
class Careless(FoldNorms):
    """Forgets what a bias becomes, or drops the scale."""

    forgets: str = "bias"

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        norm = graph["ln"]
        kept = {role: name for role, name in norm.tensors.items() if role != self.forgets}
        nodes = [replace(n, tensors=kept) if n.id == "ln" else n for n in graph.nodes]
        return super().run(graph.with_nodes(nodes), setting)


@pytest.mark.parametrize("forgets", ["bias", "weight"])
def test_a_corrupted_fold_is_undone(setting: Setting, forgets: str) -> None:
    graph = network("layer")
    manager = Manager(setting)
    assert manager.run(graph, Careless(forgets)) is graph
    assert (manager.records[0].skipped or "").startswith("undone: outputs moved by")
    assert manager.records[0].applied == 0
    assert manager.run(graph, FoldNorms()) is not graph
    assert manager.records[1].skipped is None
    assert manager.records[1].applied == 1
