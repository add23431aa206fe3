"""Groups of neurons against angles measured pair by pair; tables in their place change nothing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from exegesis.ir import Graph, check
from exegesis.passes.raising.columns import Positions
from exegesis.passes.raising.neurons import Table, groups, mlps, out_weight, with_tables
from exegesis.runtime import Executor

RNG = np.random.default_rng(2)


def test_groups_write_at_right_angles() -> None:
    turn = np.linalg.qr(RNG.normal(size=(9, 9)))[0]
    write = np.zeros((7, 9))
    write[[0, 2, 5], :3] = RNG.normal(size=(3, 3))
    write[[1, 6], 3:5] = RNG.normal(size=(2, 2))
    write[[3], 7] = 2.0
    active = RNG.random((40, 7))
    active[:, 4] = 0.3  # never changes, and writes nothing
    found = groups(active, write @ turn)
    assert [g.tolist() for g in found] == [[0, 2, 5], [1, 6], [3]]
    for one, other in combinations(found, 2):
        assert np.abs((write[one] @ turn) @ (write[other] @ turn).T).max() < 1e-9


def test_neurons_that_never_change_are_in_no_group() -> None:
    assert groups(np.ones((5, 3)), RNG.normal(size=(3, 4))) == []
    assert groups(RNG.random((5, 3)), np.zeros((3, 4))) == []


def network_of(rasp: Any) -> tuple[Any, Graph]:
    p = rasp("abcd", 5)
    p.map(lambda x: x in "ac", p.tokens)
    return p, p.compiled(p.map(lambda x: "xyz"["aabcd".index(x) % 3], p.tokens))


def test_mlps_are_recognised(rasp: Any) -> None:
    _, network = network_of(rasp)
    (mlp,) = mlps(network)
    assert (mlp.active, mlp.out, mlp.layer) == ("L0.mlp.act", "L0.mlp.out", "L0")
    assert out_weight(network, mlp).shape[0] == 8


def test_a_table_takes_the_place_of_neurons(rasp: Any) -> None:
    p, network = network_of(rasp)
    setting = p.setting(network, rows=10)
    (mlp,) = mlps(network)
    positions = Positions(setting.fit)
    active = positions.values(network, [mlp.active])[mlp.active]
    tokens = positions.values(network, ["tokens"])["tokens"]
    weight = out_weight(network, mlp)
    found = groups(active, weight)
    assert [g.tolist() for g in found] == [[0, 2], [1, 3], [4, 6], [5], [7]]
    tables = []
    for g in (np.arange(4), np.arange(4, 8)):
        rows = np.stack([(active[tokens == t][:, g] @ weight[g]).mean(0) for t in range(4)])
        rest = ("tokens", {4: np.zeros(weight.shape[1])})
        tables.append(Table("tokens", g, (0, 1, 2, 3), rows, rows, rest))
    for some in (tables, tables[:1]):
        changed = with_tables(network, mlp, some, by="test")
        check(changed)
        left = [n for n in changed.nodes if n.op == "component.activation"]
        assert bool(left) == (len(some) == 1)
        for seen in setting.fit.batches:
            old, new = (Executor(g).run(seen.inputs)["logits"] for g in (network, changed))
            np.testing.assert_allclose(old.numpy(), new.numpy(), atol=1e-5)


def test_tables_over_numbers_leave_their_neurons(rasp: Any) -> None:
    _, network = network_of(rasp)
    (mlp,) = mlps(network)
    line = Table("tokens", np.array([0]), (), np.zeros((2, 3)), np.zeros((1, 3)))
    assert with_tables(network, mlp, [line], by="test") is network
