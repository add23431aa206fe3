"""Constants of a residual stream: exact against the sum written out, shared by sums of the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import Axis, Graph, Node, Type, check
from exegesis.passes.canonicalise.merge_constants import MergeConstants
from exegesis.passes.manager import Attempt, Manager, Outcome, Setting
from exegesis.runtime import Executor

STREAM = Type("real", ("batch", "pos", "output"))
TOKENS = [[0, 1, 2], [2, 2, 1]]


def network(sums: list[list[str]]) -> Graph:
    """An embedding, three constants, and sums of some of them; the sums themselves are summed."""
    rng = np.random.default_rng(1)
    tensors = {n: rng.normal(size=4).astype(np.float32) for n in ("a", "b", "c")}
    tensors["W"] = rng.normal(size=(3, 4)).astype(np.float32)
    nodes = [
        Node("tokens", "input.tokens", (), Type("category", ("batch", "pos"), "token")),
        Node("x", "component.embed", ("tokens",), STREAM, tensors={"weight": "W"}),
        *(Node(n, "component.constant", ("x",), STREAM, tensors={"value": n}) for n in ("a", "b", "c")),
        *(Node(f"sum{k}", "component.add", tuple(parts), STREAM) for k, parts in enumerate(sums)),
        Node("logits", "component.add", tuple(f"sum{k}" for k in range(len(sums))), STREAM),
    ]
    axes = {a.name: a for a in (Axis("batch"), Axis("pos"), Axis("token", 3), Axis("output", 4))}
    graph = Graph(tuple(nodes), ("logits",), tensors, axes).pruned()
    check(graph)
    return graph


def by_hand(graph: Graph, sums: list[list[str]]) -> np.ndarray:
    t = {k: v.astype(np.float64) for k, v in graph.tensors.items()}
    x = t["W"][np.array(TOKENS)]
    return sum((x if name == "x" else t[name]) for parts in sums for name in parts) + np.zeros_like(x)


@pytest.fixture
def setting(hand: Any) -> Setting:
    return hand.setting_of(network([["x", "a"]]), hand.split_of(TOKENS))


@pytest.mark.parametrize(
    ("sums", "left"),
    [
        ([["x", "a", "b"]], 1),
        ([["a", "x", "b", "c"]], 1),
        ([["x", "a", "b"], ["b", "a", "x"]], 2),
        ([["x", "a", "b"], ["x", "a", "b"]], 1),
        ([["x", "a", "b"], ["x", "c"]], 2),
        ([["x", "a", "b"], ["a", "c"]], 2),
        ([["x", "a", "a"]], 1),
    ],
)
def test_the_merged_network_is_the_network(setting: Setting, sums: list[list[str]], left: int) -> None:
    graph = network(sums)
    step = MergeConstants()
    assert step.requires(graph) is None
    merged = step.run(graph, setting).graph
    check(merged)
    assert step.ensures(merged) is None
    assert sum(n.op == "component.constant" for n in merged.nodes) == left
    said = Executor(merged).run({"tokens": torch.tensor(TOKENS)}, ["logits"])["logits"].numpy()
    np.testing.assert_allclose(said, by_hand(graph, sums), rtol=1e-5, atol=1e-6)


def test_one_constant_is_nothing_to_merge() -> None:
    assert MergeConstants().requires(network([["x", "a"], ["x", "b"]])) == "no sum has two constants"


class Forgetful(MergeConstants):
    """Drops one of the constants."""

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        tensors = {**graph.tensors, "b": np.zeros(4, np.float32)}
        return super().run(graph.with_nodes(graph.nodes, tensors=tensors), setting)


def test_a_corrupted_merge_is_undone(setting: Setting) -> None:
    graph = network([["x", "a", "b"]])
    manager = Manager(setting)
    assert manager.run(graph, Forgetful()) is graph
    assert (manager.records[0].skipped or "").startswith("undone: outputs moved by")
    assert manager.records[0].attempts == (Attempt("sum0", "2 constants became one", False),)
