"""Heads in the bases of their products: the same outputs, and low rank where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import Graph, check
from exegesis.passes.raising.composed.bases import balanced, in_own_bases
from exegesis.runtime import Executor

V, D, E = 5, 10, 4


@pytest.fixture(scope="module")
def network(hand: Any) -> Graph:
    """A head of rank one beside a full one; queries, keys and values with biases."""
    rng = np.random.default_rng(0)
    full = hand.Head(*(rng.normal(size=(D, E)) for _ in range(3)), rng.normal(size=(E, D)))
    q, k, v, o = (np.outer(rng.normal(size=D), rng.normal(size=E)) for _ in range(4))
    graph: Graph = (
        hand.start(rng.normal(size=(V, D))).attention("L0", [full, hand.Head(q, k, v, o.T)]).unembed(np.eye(D)[:, :V])
    )
    biases = {f"L0.attn.{r}.bias": rng.normal(size=(2, E)).astype(np.float32) * [[1], [0]] for r in "qkv"}
    nodes = [
        replace(n, tensors={**n.tensors, "bias": f"{n.id}.bias"}) if f"{n.id}.bias" in biases else n
        for n in graph.nodes
    ]
    return graph.with_nodes(nodes, tensors={k: v.astype(np.float32) for k, v in biases.items()})


def said(graph: Graph) -> np.ndarray:
    ids = torch.randint(0, V, (20, 9), generator=torch.Generator().manual_seed(0))
    found: np.ndarray = Executor(graph, dtype=torch.float64).run({"tokens": ids})["logits"].numpy()
    return found


def test_the_outputs_stay(network: Graph) -> None:
    found = in_own_bases(network)
    check(found)
    np.testing.assert_allclose(said(found), said(network), atol=1e-5)
    moved = [n for n, t in found.tensors.items() if not np.array_equal(t, network.tensors[n])]
    assert {n.split(".")[2] for n in moved if n.startswith("L0")} == {"q", "k", "v", "out"}


def test_a_head_of_low_rank_has_few_columns(network: Graph) -> None:
    found = in_own_bases(network).tensors
    for role in "qkv":
        assert np.abs(found[f"L0.attn.{role}.weight"][1, :, 1:]).max() < 1e-5
        assert np.abs(found[f"L0.attn.{role}.weight"][1, :, 0]).max() > 0.1
        assert np.abs(found[f"L0.attn.{role}.weight"][0, :, -1]).max() > 0.1
    assert np.abs(found["L0.attn.out.weight"][1, 1:]).max() < 1e-5


def test_both_sides_are_alike() -> None:
    rng = np.random.default_rng(1)
    for rows in ((7, 9), (3, 9), (2, 3)):
        a, b = (rng.normal(size=(n, 4)) for n in rows)
        x, y = balanced(a, b)
        assert (x.shape, y.shape) == (a.shape, b.shape)
        np.testing.assert_allclose(x @ y.T, a @ b.T, atol=1e-12)
        np.testing.assert_allclose(x.T @ x, y.T @ y, atol=1e-12)
        sizes = np.linalg.norm(x, axis=0)
        assert (np.diff(sizes) <= 1e-12).all()


def test_what_something_else_reads_is_left_alone(network: Graph) -> None:
    """Queries that are keys as well."""
    nodes = [replace(n, inputs=("L0.attn.q", "L0.attn.q")) if n.id == "L0.attn.scores" else n for n in network.nodes]
    found = in_own_bases(network.with_nodes(nodes).pruned())
    assert np.array_equal(found.tensors["L0.attn.q.weight"], network.tensors["L0.attn.q.weight"])
    assert not np.array_equal(found.tensors["L0.attn.v.weight"], network.tensors["L0.attn.v.weight"])
