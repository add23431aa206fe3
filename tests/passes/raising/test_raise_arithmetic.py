"""Networks whose arithmetic is known become the program that was written into them; others are left as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import group_networks as G
import numpy as np
import pytest
import torch
from torch import nn

from exegesis.behavior import StringsDomain
from exegesis.ir import Graph, check, price
from exegesis.ir.progress import Silent
from exegesis.measure.groups import multiplied
from exegesis.measure.permutation_groups import permutation_table
from exegesis.passes.manager import Manager, Outcome, Setting
from exegesis.passes.raising.raise_arithmetic import RaiseArithmetic
from exegesis.pipeline.decompile import prepare
from exegesis.runtime import Executor

Raise = Callable[..., tuple[Graph, Setting, Outcome]]


@pytest.fixture
def raised(tmp_path: Path) -> Raise:
    """Lifts a network over n tokens and runs the pass."""

    def run(network: nn.Module, n: int, length: int = 2, settings: RaiseArithmetic | None = None) -> Any:
        graph = G.lifted(network, length, n)
        setting = G.setting_of(graph, n, tmp_path)
        return graph, setting, (settings or RaiseArithmetic()).run(graph, setting)

    return run


def node_of(graph: Graph, op: str) -> Any:
    return next(n for n in graph.nodes if n.op == f"symbolic.{op}")


def answers(graph: Graph, n: int, length: int) -> np.ndarray:
    ids = torch.from_numpy(np.concatenate(list(G.domain_of(length, n).enumerate())))
    out = Executor(graph).run({"tokens": ids}, [graph.outputs[0]])[graph.outputs[0]]
    return np.asarray(out[:, -1].reshape(n, n))


def is_sound(old: Graph, setting: Setting, n: int, length: int, product: np.ndarray) -> Graph:
    """The program that the manager lets through: no tensor is left in it, and it answers as the group does."""
    graph = Manager(setting).run(old, RaiseArithmetic())
    check(graph)
    assert price(graph).opaque_bits == 0
    assert (answers(graph, n, length) == product).all()
    return graph


def sums(n: int) -> np.ndarray:
    return (np.arange(n)[:, None] + np.arange(n)) % n


def test_a_clock_becomes_a_product_of_waves(raised: Raise) -> None:
    old, setting, outcome = raised(G.clock(13, {2: 2.0, 5: 1.0}), 13)
    graph = is_sound(old, setting, 13, 2, sums(13))
    assert outcome.attempts[0].applied
    assert node_of(graph, "wave").attrs == {"frequencies": [2, 5], "period": 13}
    assert node_of(graph, "votes").attrs["weights"] == [[2, 2], [5, 1]]
    assert not any(n.op == "symbolic.double_angles" for n in graph.nodes)
    (site,) = node_of(graph, "add_angles").sites
    assert site.basis is not None
    assert graph.tensors[site.basis].shape[0] == 4


def test_a_pizza_becomes_a_sum_of_waves_with_its_angle_doubled(raised: Raise) -> None:
    old, setting, _ = raised(G.pizza(13, {1: 2.0, 3: 1.0, 4: 1.5}), 13, 3)
    graph = is_sound(old, setting, 13, 3, sums(13))
    assert "less" not in node_of(graph, "double_angles").attrs
    assert node_of(graph, "votes").attrs["weights"] == [[1, 4], [3, 2], [4, 3]]
    assert not any(n.op == "symbolic.add_angles" for n in graph.nodes)
    assert node_of(graph, "total").sites


def test_companions_enter_the_program(raised: Raise) -> None:
    old, setting, _ = raised(G.pizza(23, {1: 2.0, 3: 1.0, 4: 1.5}, companion=0.4), 23, 3)
    graph = is_sound(old, setting, 23, 3, sums(23))
    assert node_of(graph, "double_angles").attrs == {"less": 0.4}
    assert node_of(graph, "wave").attrs["frequencies"] == [1, 3, 4, 2, 6, 8]


def test_directions_and_weights_of_motions_are_read_off(raised: Raise) -> None:
    old, setting, _ = raised(G.polygon(7, {0: (0.5, None), 1: (1.0, 30.0), 2: (1.5, 100.0)}), 14)
    elements = np.arange(14)
    graph = is_sound(old, setting, 14, 2, multiplied("dihedral", 7, elements[:, None], elements[None]))
    assert node_of(graph, "compose").attrs == {"between": [None, 30, 100]}
    assert node_of(graph, "motion").attrs == {"frequencies": [0, 1, 2], "period": 7}


def test_whole_motions_are_composed_whole(raised: Raise) -> None:
    old, setting, _ = raised(G.polygon(8, {1: (1.0, None), 3: (2.0, None)}), 16)
    elements = np.arange(16)
    graph = is_sound(old, setting, 16, 2, multiplied("dihedral", 8, elements[:, None], elements[None]))
    assert node_of(graph, "compose").attrs == {}
    assert node_of(graph, "motion_votes").attrs == {"weights": [[1, 1], [3, 2]], "period": 8}


def test_permutations_become_products_of_matrices(raised: Raise) -> None:
    old, setting, _ = raised(G.tetrahedron({False: (1.0, None), True: (2.0, None)}), 24)
    graph = is_sound(old, setting, 24, 2, permutation_table(4, False))
    assert node_of(graph, "matrix_product").attrs == {"partitions": [[3, 1], [2, 1, 1]]}
    assert not any(n.op == "symbolic.relabel" for n in graph.nodes)


def test_directions_between_permutations_are_kept(raised: Raise) -> None:
    kept = {False: (1.0, None), True: (2.0, np.array([0.3, -1.0, 1.0]))}
    old, setting, outcome = raised(G.tetrahedron(kept), 24)
    graph = is_sound(old, setting, 24, 2, permutation_table(4, False))
    assert [d is None for d in node_of(graph, "matrix_product").attrs["between"]] == [True, False]
    assert dict(outcome.attempts[0].figures)["logit variance explained"] > 0.98


@pytest.mark.parametrize("kind", ["dihedral", "symmetric"])
def test_factors_in_the_other_order(raised: Raise, kind: str) -> None:
    if kind == "dihedral":
        network, n = G.polygon(7, {0: (0.5, None), 1: (1.0, 30.0), 2: (1.5, 100.0)}), 14
        product = multiplied("dihedral", 7, np.arange(14)[:, None], np.arange(14)[None])
    else:
        network, n = G.tetrahedron({False: (1.0, None), True: (2.0, None)}), 24
        product = permutation_table(4, False)
    with torch.no_grad():
        network.inner.weight.copy_(network.inner.weight.roll(network.embed.shape[1], 1))
    old, setting, _ = raised(network, n)
    graph = is_sound(old, setting, n, 2, product.T)
    op = "compose" if kind == "dihedral" else "matrix_product"
    assert [i.split("_")[0] for i in node_of(graph, op).inputs] == ["second", "first"]
    assert not any(n.op == "symbolic.relabel" for n in graph.nodes)


def test_tokens_in_any_order_are_renamed_first(raised: Raise) -> None:
    order = np.random.default_rng(4).permutation(13)
    old, setting, _ = raised(G.clock(13, {2: 2.0, 5: 1.0}, order), 13)
    product = np.argsort(order)[(order[:, None] + order) % 13]
    graph = is_sound(old, setting, 13, 2, product)
    assert sum(n.op == "symbolic.relabel" for n in graph.nodes) == 3


def test_a_composite_order_with_its_real_wave(raised: Raise) -> None:
    old, setting, _ = raised(G.clock(12, {1: 2.0, 5: 1.0, 6: 0.5}), 12)
    graph = is_sound(old, setting, 12, 2, sums(12))
    assert node_of(graph, "wave").attrs["frequencies"] == [1, 5, 6]


def test_a_table_without_waves_is_left_alone(raised: Raise) -> None:
    old, _, outcome = raised(G.lookup(11), 11)
    assert outcome.graph is old
    assert "at no frequencies" in outcome.attempts[0].outcome
    assert not outcome.attempts[0].applied


def test_shuffled_weights_are_left_alone(raised: Raise) -> None:
    network, generator = G.pizza(13, {1: 2.0, 3: 1.0, 4: 1.5}), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            flat = weight.flatten()
            weight.copy_(flat[torch.randperm(len(flat), generator=generator)].reshape(weight.shape))
    old, _, outcome = raised(network, 13, 3)
    assert outcome.graph is old
    assert "table of no group" in outcome.attempts[0].outcome


def test_answers_that_are_nearly_a_groups_are_left_alone(raised: Raise) -> None:
    exceptions = G.lookup(13)
    with torch.no_grad():
        exceptions.unembed.zero_()
        exceptions.unembed[1 * 13 + 2, 0] = 1.0  # 1 + 2 is 0
        old, _, outcome = raised(_joined(G.clock(13, {2: 2.0, 5: 1.0}), exceptions), 13)
    assert outcome.graph is old
    assert "only 0.9941 of the answers are those of a cyclic group of order 13" in outcome.attempts[0].outcome


def test_another_group_is_named_and_left_alone(raised: Raise) -> None:
    one = np.eye(8)
    xor = np.arange(8)[:, None] ^ np.arange(8)
    network = G.lookup(8)
    with torch.no_grad():
        network.unembed.copy_(torch.from_numpy(np.array([one[c] - 0.1 for c in xor.ravel()])))
    _, _, outcome = raised(network, 8)
    assert "order 8 that is neither cyclic nor dihedral" in outcome.attempts[0].outcome


FAULTS = [
    (RaiseArithmetic(exchanged=1.01), "found nowhere in the network"),
    (RaiseArithmetic(explained=1.01), "of the variance of the logits only"),
    (RaiseArithmetic(table=1.01), "of the answers are those of a cyclic group"),
]


@pytest.mark.parametrize(("settings", "says"), FAULTS)
def test_every_gate_can_close(raised: Raise, settings: RaiseArithmetic, says: str) -> None:
    old, _, outcome = raised(G.clock(13, {2: 2.0, 5: 1.0}), 13, settings=settings)
    assert outcome.graph is old
    assert says in outcome.attempts[0].outcome


def test_waves_that_are_only_a_part_of_what_a_token_gives_are_refused(raised: Raise) -> None:
    """A network that adds, and then looks the tokens up as well, is not only its waves."""
    network = G.clock(13, {2: 2.0, 5: 1.0})
    spoiled = G.lookup(13)
    with torch.no_grad():
        joined = _joined(network, spoiled)
    old, _, outcome = raised(joined, 13)
    assert outcome.graph is old
    assert not outcome.attempts[0].applied


def _joined(a: Any, b: Any) -> nn.Module:
    """Two networks side by side, their logits added; the second's tokens stand for other numbers."""
    both: nn.Module = G.Pair(np.eye(4), np.eye(4), np.eye(4), np.eye(4))
    width_a, width_b = a.embed.shape[1], b.embed.shape[1]
    both.embed = nn.Parameter(torch.cat([a.embed, 3 * b.embed], 1))
    inner = nn.Linear(2 * (width_a + width_b), len(a.inner.bias) + len(b.inner.bias))
    inner.weight.zero_()
    rows = len(a.inner.bias)
    for k in (0, 1):
        start = k * (width_a + width_b)
        inner.weight[:rows, start : start + width_a] = a.inner.weight[:, k * width_a : (k + 1) * width_a]
        inner.weight[rows:, start + width_a : start + width_a + width_b] = (
            b.inner.weight[:, k * width_b : (k + 1) * width_b] / 3
        )
    inner.bias.copy_(torch.cat([a.inner.bias, b.inner.bias]))
    both.inner = inner
    both.unembed = nn.Parameter(torch.cat([a.unembed, 40 * b.unembed]))
    return both


def test_other_behaviours_are_refused(tmp_path: Path) -> None:
    graph = G.lifted(G.clock(5, {1: 1.0}), 2, 5)
    setting = G.setting_of(graph, 5, tmp_path)
    for changed, says in (
        (replace(setting, domain=StringsDomain((0, 1, 2), 2, 2)), "no product of choices"),
        (replace(setting, domain=None), "no product of choices"),
    ):
        outcome = RaiseArithmetic().run(graph, changed)
        assert outcome.graph is graph
        assert says in outcome.attempts[0].outcome


@pytest.mark.parametrize(("name", "op"), [("mod_add_p59_a", "double_angles"), ("mod_add_p59_mlp", "add_angles")])
def test_trained_networks_of_others(models: Path, name: str, op: str) -> None:
    folder = models / "algorithmic" / name
    if not folder.is_dir():
        pytest.skip(f"no network at {folder}")
    start = prepare(f"{folder}/network.py:build", folder, seed=0, progress=Silent())
    outcome = RaiseArithmetic().run(start.lifted.graph, start.setting)
    assert outcome.attempts[0].applied
    graph = outcome.graph
    assert price(graph).opaque_bits == 0
    assert start.setting.held.agreement(graph) == 1.0
    assert any(n.op == f"symbolic.{op}" for n in graph.nodes)
    assert all(graph.tensors[s.basis].ndim == 2 for n in graph.nodes for s in n.sites if s.basis)
