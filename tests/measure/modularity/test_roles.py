"""Two parts that share nothing are found, lesioned, named and told from copies; random clusters are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import two_streams as streams

from exegesis.ir import InputError
from exegesis.lift import lift
from exegesis.measure import Units
from exegesis.measure.modularity import cut_test, wiring
from exegesis.measure.modularity.hierarchy import hierarchy
from exegesis.measure.modularity.names import corrected, names
from exegesis.measure.modularity.roles import largest_p, modules_of, roles, union
from exegesis.measure.modularity.wiring import Wiring


def looked_at(copies: int = 1) -> tuple[Units, Units, Wiring]:
    behavior = streams.behavior()
    rows = behavior.arrays("test")
    graph = lift(streams.TwoStreams(copies).eval(), {"x": torch.from_numpy(rows.x[:3])}).graph
    halves = (rows.select(np.arange(0, 240, 2)), rows.select(np.arange(1, 240, 2)))
    first, second = (Units.of(graph, behavior.readout, half) for half in halves)
    return first, second, wiring(graph, first.layers)


def parts(wired: Wiring, copies: int = 1) -> np.ndarray:
    """The part (and copy) that each unit belongs to."""
    hidden = np.repeat(np.arange(2 * copies), streams.PER)
    return np.concatenate([np.repeat([0, 1], 4), hidden, hidden, np.repeat([0, 1], 2)])


def test_parts_are_found_and_each_is_for_its_classes() -> None:
    first, second, wired = looked_at()
    test = cut_test(wired.graph, nulls=20, restarts=3)
    labels = next(a for a in test.at if a.k == 2).partition.labels
    found = modules_of(wired.graph, labels)
    assert len(found) == 2
    assert {tuple(m.inputs) for m in found} == {(0, 1, 2, 3), (4, 5, 6, 7)}
    assert {tuple(m.outputs) for m in found} == {(0, 1), (2, 3)}
    assert all(len(u) == streams.PER for m in found for u in m.hidden.values())
    seen = roles(first, found, randoms=40, pair_randoms=0)
    for role in seen.roles:
        classes = role.module.outputs
        assert role.lost[classes].min() > 0.9
        assert np.delete(role.lost, classes).max() < 0.1
        assert role.random_coherence < role.coherence
    called = names(seen, first, second, list("abcd"), randoms=40)
    assert [n.name for n in called] == [f"for {', '.join('abcd'[c] for c in m.outputs)}" for m in found]
    for name, module in zip(called, found, strict=True):
        assert name.driven_by in module.outputs
        assert name.auc > 0.8 > name.auc_random


def test_clusters_that_mean_nothing_get_no_names() -> None:
    first, second, wired = looked_at()
    labels = np.random.default_rng(1).permutation(np.arange(wired.graph.n) % 3)
    seen = roles(first, modules_of(wired.graph, labels), randoms=40, pair_randoms=0)
    assert not any(r.coherent for r in seen.roles)
    called = names(seen, first, second, list("abcd"), randoms=40)
    assert [n.name for n in called] == [None] * 3
    assert all(n.why for n in called)


def doubled(seed: int) -> tuple[Units, Wiring]:
    """A random hidden layer, written twice side by side."""
    torch.manual_seed(seed)
    once = torch.nn.Linear(8, 16), torch.nn.Linear(16, 4)
    a, c = torch.nn.Linear(8, 32), torch.nn.Linear(32, 4)
    with torch.no_grad():
        a.weight.copy_(once[0].weight.repeat(2, 1))
        a.bias.copy_(once[0].bias.repeat(2))
        c.weight.copy_(once[1].weight.repeat(1, 2))
    rows = streams.behavior().arrays("test")
    graph = lift(torch.nn.Sequential(a, torch.nn.ReLU(), c).eval(), {"input": torch.from_numpy(rows.x[:3])}).graph
    units = Units.of(graph, streams.behavior().readout, rows)
    return units, wiring(graph, units.layers)


def test_copies_are_recognised() -> None:
    units, wired = doubled(3)
    labels = np.full(wired.graph.n, -1)
    labels[8:24], labels[24:40] = 0, 1
    (pair,) = roles(units, modules_of(wired.graph, labels), randoms=40, pair_randoms=39).pairs
    assert pair.likeness == pytest.approx(1, abs=1e-5)
    assert pair.copies
    # The same units, dealt out so that each has its twin beside it: no copies of each other.
    labels[8:24], labels[24:40] = np.arange(16) % 2, np.arange(16) % 2
    (pair,) = roles(units, modules_of(wired.graph, labels), randoms=40, pair_randoms=39).pairs
    assert not pair.copies


def test_modules_that_stand_in_for_each_other_cost_more_together() -> None:
    first, _, wired = looked_at(copies=2)
    pairs = {(p.first, p.second): p for p in roles(first, modules_of(wired.graph, parts(wired, 2)), randoms=40).pairs}
    for twins in ((0, 2), (1, 3)):
        assert pairs[twins].beyond > 0.3
        assert pairs[twins].joint - pairs[twins].beyond < 0.05  # each alone costs next to nothing
    assert abs(pairs[0, 1].beyond) < 0.05


def test_silent_modules_are_listed() -> None:
    first, _, wired = looked_at()
    first.graph.tensors["dense.bias"][: streams.PER] = -100
    first = Units.of(first.graph, first.bench.readout, first.bench.split)
    labels = np.full(wired.graph.n, 1)
    labels[8 : 8 + streams.PER] = 0
    seen = roles(first, modules_of(wired.graph, labels), randoms=20, pair_randoms=0)
    assert seen.silent == ("module 0",)
    assert [r.module.name for r in seen.roles] == ["module 1"]


def test_too_few_random_modules_are_refused() -> None:
    first, second, wired = looked_at()
    modules = modules_of(wired.graph, parts(wired))
    with pytest.raises(InputError, match="cannot tell anything at 5 %"):
        roles(first, modules, randoms=10)
    seen = roles(first, modules, randoms=20, pair_randoms=0)
    with pytest.raises(InputError, match="cannot tell anything at 5 %"):
        names(seen, first, second, list("abcd"), randoms=10)


def test_p_values_by_the_largest_statistic_are_honest() -> None:
    rng = np.random.default_rng(0)
    smallest = [float(largest_p(rng.standard_normal(8), rng.standard_normal((99, 8))).min()) for _ in range(200)]
    assert 0.01 < np.mean(np.array(smallest) <= 0.05) < 0.1
    p = largest_p(np.array([8.0, 0.0]), rng.standard_normal((99, 2)))
    assert p[0] == pytest.approx(0.01)
    assert p[1] > 0.2


def test_benjamini_and_hochbergs_example() -> None:
    from scipy.stats import false_discovery_control

    p = [0.01, 0.8, 0.03, 0.02, 0.5]
    np.testing.assert_allclose(corrected(p), false_discovery_control(p))
    assert len(corrected([])) == 0


def test_unions_of_members() -> None:
    joined = union({0: np.array([1, 3])}, {0: np.array([3, 4]), 2: np.array([0])})
    assert {k: v.tolist() for k, v in joined.items()} == {0: [1, 3, 4], 2: [0]}


def test_modules_of_modules_are_found_where_they_are_planted_and_not_elsewhere() -> None:
    from exegesis.measure.modularity import UnitGraph

    rng = np.random.default_rng(0)
    rows, columns = (np.arange(n) * 4 // n for n in (64, 48))  # four groups, in two pairs
    strength = np.where(rows[:, None] == columns, 30.0, np.where(rows[:, None] // 2 == columns // 2, 6.0, 0.3))
    graph = UnitGraph.of_weights([(rng.random((64, 48)) * strength).astype(np.float32)])
    top = cut_test(graph, ks=(2,), nulls=20, restarts=3)
    found = hierarchy(graph, nulls=20, whole=top)
    assert [len(level.parts) for _, level in found.walk()] == [2, 2, 0, 0, 2, 0, 0]
    assert sorted(len(level.units) for path, level in found.walk() if len(path) == 2) == [28] * 4
    flat = UnitGraph.of_weights([rng.random((40, 30)).astype(np.float32)])
    assert not hierarchy(flat, nulls=20).parts
