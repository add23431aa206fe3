"""MLPs read as expressions: which variables they hold, in which neurons, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Graph
from exegesis.passes.raising.neurons import mlps
from exegesis.passes.raising.raise_hard_heads import raise_block
from exegesis.passes.raising.raise_mlps import raise_mlp
from exegesis.passes.raising.workbench import Workbench


def raised(p: Any, network: Graph, rows: int = 80) -> Workbench:
    """The network with its first layers raised, up to the last MLP."""
    work = Workbench.on(network, p.setting(network, rows=rows).fit, "test", 0)
    for node in network.nodes:
        if node.op == "component.write":
            raise_block(work, node.id)
        for mlp in mlps(network):
            if mlp.out == node.id:
                raise_mlp(work, mlp)
    return work


def neurons(work: Workbench, layer: str) -> dict[str, list[int]]:
    """Which neurons of a layer hold which variable."""
    found = {}
    for node in work.graph.nodes:
        for site in node.sites:
            if site.value == f"{layer}.mlp.act" and site.basis:
                basis = work.graph.tensors[site.basis]
                assert (basis.sum(1) == 1).all()
                found[node.id] = np.flatnonzero(basis.any(0)).tolist()
    return found


def test_a_variable_with_many_directions_is_one(rasp: Any) -> None:
    """A difference written one-hot: each value in a direction of its own, by neurons of its own."""
    p = rasp("ab", 5)
    n = p.width(p.tokens, p.tokens, lambda q, k: True)
    work = raised(p, p.compiled(p.map(lambda n, i: n - i, n, p.place)))
    (found,) = neurons(work, "L1").values()
    cases = [(n, i) for n in range(6) for i in range(5)]
    assert found == [j for j, (n, i) in enumerate(cases) if n >= 1 and i < n]  # of the others, none is ever active
    (form,) = [x for x in work.graph.nodes if x.op == "symbolic.form"]
    assert {c for c, _, _ in form.attrs["terms"]} == {1, -1}


def test_several_variables_in_one_layer_stay_apart(rasp: Any) -> None:
    p = rasp("abcd", 5)
    late = p.map(lambda i: i > 2, p.place)
    vowel = p.map(lambda x: x in "ac", p.tokens)
    work = raised(p, p.compiled(p.map(lambda x, i: x and i, vowel, late)))
    found = neurons(work, "L0")
    assert sorted(found.values()) == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
    assert {work.graph[n].op for n in found} == {"symbolic.compare", "symbolic.is_in"}
    assert {work.graph[n].op for n in neurons(work, "L1")} == {"symbolic.and"}


@pytest.mark.parametrize("sharp", [300.0, 60.0, 45.0])
def test_blurred_steps_stand_for_what_they_would_be_if_sharp(sharp: float, rasp: Any) -> None:
    p = rasp("ab", 6, sharp=sharp)
    n = p.width(p.tokens, p.tokens, lambda q, k: True)
    work = raised(p, p.compiled(n))
    (width,) = [x for x in work.graph.nodes if x.op == "symbolic.width"]
    head, mlp = (s.label for s in width.sites)
    assert head == "L0H0"
    assert mlp.startswith("L0 neurons")
    assert work.bench.agreement(work.graph) == 1.0


def test_sums_of_shares_are_linear_forms(rasp: Any) -> None:
    p = rasp("(x)", 6)
    opened, closed = (p.map(lambda x, y=y: x == y, p.tokens, number=True) for y in "()")
    shares = [p.gather(p.place, p.place, lambda q, k: k <= q, v) for v in (opened, closed)]
    depth = p.sum(*shares, 1.0, -1.0)
    numbers = sorted({a / b for b in range(1, 7) for a in range(-b, b + 1)})
    work = raised(p, p.compiled(p.compare(lambda x: x < 0, depth, numbers)))
    forms = [x for x in work.graph.nodes if x.op == "symbolic.form" and x.sites]
    assert [f.attrs["terms"] for f in forms] == [[[1, 0, 0], [-1, 0, 2]]]
    (below,) = [x for x in work.graph.nodes if x.op == "symbolic.compare"]
    assert dict(below.attrs) == {"is": "<", "to": 0}


CHANGES: list[Callable[[np.ndarray, np.random.Generator], np.ndarray]] = [
    lambda w, rng: w + rng.normal(0, 1.0, w.shape).astype(np.float32),
    lambda w, rng: rng.normal(0, 1.0, w.shape).astype(np.float32),
]


@pytest.mark.parametrize("change", CHANGES)
def test_neurons_that_nothing_known_decides_are_left(change: Any, rasp: Any) -> None:
    """The head before it is soft, so that nobody knows what the MLP reads."""
    p = rasp("abc", 6)
    n = p.width(p.tokens, p.tokens, lambda q, k: q == k)
    network = p.compiled(p.map(lambda n: n > 2, n))
    name = "L0.attn.k.weight"
    network = network.with_nodes(
        network.nodes, tensors={name: change(network.tensors[name] * 0.02, np.random.default_rng(0))}
    )
    work = raised(p, network)
    assert neurons(work, "L0") == {}
    assert work.bench.agreement(work.graph) == 1.0
    assert any(a.where == "L0 MLP" and not a.applied for a in work.attempts)
