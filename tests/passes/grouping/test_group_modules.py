"""Planted modules become functions, nothing is computed differently, and what is not modular says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit, Behavior
from exegesis.emit import About, emit_program
from exegesis.evidence import Status
from exegesis.ir import Graph, check, price
from exegesis.ir.progress import Silent
from exegesis.lift import lift
from exegesis.measure import Bench
from exegesis.measure.units import Layers
from exegesis.passes.grouping.group_modules import GroupModules
from exegesis.passes.grouping.pictures import as_pictures
from exegesis.passes.grouping.splitting import Part, chains, merged, split
from exegesis.passes.manager import Manager, PassError, Setting
from exegesis.runtime import Executor, Network
from exegesis.verify.budget import Budget
from exegesis.verify.interchange import ASKED, Exchange
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

UNITS, CLASSES = 24, 4
QUICK = GroupModules(nulls=20, randoms=40, rows=150)


class Dense(nn.Module):
    """Class c is where quarter c of the input is large; with `planted`, each half of the units sees two quarters."""

    def __init__(self, planted: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.a, self.b, self.c = nn.Linear(8, UNITS), nn.Linear(UNITS, UNITS), nn.Linear(UNITS, CLASSES)
        with torch.no_grad():
            for layer, (n, m) in zip(
                (self.a, self.b, self.c), ((8, UNITS), (UNITS, UNITS), (UNITS, CLASSES)), strict=True
            ):
                layer.bias.zero_()
                weak = 0.02 if planted else 1.0
                layer.weight.copy_(weak * torch.randn(m, n, generator=generator))
                if planted:
                    own = torch.arange(m) * CLASSES // m
                    layer.weight += ((own[:, None] == torch.arange(n) * CLASSES // n) & True).float()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c(torch.relu(self.b(torch.relu(self.a(x)))))
        return out


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.a(x)), 2)
        out: Tensor = self.out(torch.max_pool2d(torch.relu(self.b(x)), 2).flatten(1))
        return out


def setting_of(network: nn.Module, shape: tuple[int, ...], n: int = 400) -> tuple[Graph, Setting]:
    x = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    graph = lift(network.eval(), (torch.from_numpy(x[:3]),)).graph
    fit, held = (Bench(graph, Argmax(), ArraySplit("train", x[i::2]), max_tokens=200) for i in (0, 1))
    graph = replace(graph, meta={**graph.meta, "lifted_bits": price(graph).opaque_bits})
    return graph, Setting(fit, held, Argmax(), 0, None, graph)


def planted_units(graph: Graph, function: str) -> list[int]:
    """Units of the network that a function is said to live in."""
    (inside,) = (f.nodes for f in graph.functions if f.name == function)
    return [number for n in inside for site in graph[n].sites for _, number in site.index]


def logits(graph: Graph, x: np.ndarray) -> np.ndarray:
    found = Executor(graph).run({graph.inputs[0].id: torch.from_numpy(x)})[graph.outputs[0]]
    return np.asarray(found)


@pytest.fixture(scope="module")
def planted() -> tuple[Graph, Graph, Setting]:
    torch.manual_seed(0)
    graph, setting = setting_of(Dense(planted=True), (8,))
    return graph, Manager(setting).run(graph, QUICK), setting


def test_planted_modules_become_functions_with_the_same_outputs(planted: tuple[Graph, Graph, Setting]) -> None:
    before, after, setting = planted
    check(after)
    record = after.meta["modules"]
    assert record["modular"]
    assert {f.name for f in after.functions} == {n for m in record["modules"] for n in m["functions"]}
    split = setting.held.split
    assert isinstance(split, ArraySplit)
    np.testing.assert_allclose(logits(before, split.x), logits(after, split.x), rtol=1e-4, atol=1e-5)


def test_modules_hold_the_planted_units_and_their_names_hold(planted: tuple[Graph, Graph, Setting]) -> None:
    _, after, _ = planted
    named = {m["name"]: m for m in after.meta["modules"]["modules"]}
    for c in range(CLASSES):
        found = next(m for name, m in named.items() if name.startswith("for ") and str(c) in name)
        units = [u for name in found["functions"] for u in planted_units(after, name)]
        assert len(units) >= UNITS // CLASSES
        of_class = {u * CLASSES // UNITS for u in units}
        assert c in of_class
        assert len(of_class) == found["name"].count(",") + 1  # units of no other class
        assert found["lost"][c] > 0.3
        assert found["lost_in_network"][c] > 0.3
        assert found["random_lost"][c] < 0.3


def test_the_text_says_what_modules_are(planted: tuple[Graph, Graph, Setting]) -> None:
    _, after, _ = planted
    source = emit_program(after, about=About("planted"), readout=Argmax())
    assert "Modular: n-cut" in source
    assert "Answers lost without it:" in source
    assert "def features_2_of_" in source


def test_what_is_not_modular_becomes_layers_and_says_so() -> None:
    graph, setting = setting_of(Dense(planted=False), (8,))
    after = Manager(setting).run(graph, QUICK)
    assert not after.meta["modules"]["modular"]
    assert after.meta["modules"]["says"].startswith("Not modular: n-cut")
    assert [f.name for f in after.functions] == ["layer_1", "layer_2"]
    assert "units. Silenced alone" in after.functions[0].doc
    assert [m["functions"] for m in after.meta["modules"]["modules"]] == [["layer_1"], ["layer_2"]]


@pytest.mark.parametrize("flat", [False, True])
def test_any_split_of_a_layer_computes_the_same(flat: bool) -> None:
    torch.manual_seed(2)
    graph, _ = setting_of(Pictures(), (1, 12, 12), 20)
    name, source = list(chains(graph).items())[int(flat)]
    order = np.random.default_rng(4).permutation(source.units)
    parts = [Part("left", order[:3], "l"), Part("right", order[3:], "r")]
    after = split(graph, source, parts, "both")
    check(after)
    assert name not in after.by_id or after[name].op == "component.join"
    x = np.random.default_rng(5).normal(size=(7, 1, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(logits(graph, x), logits(after, x), rtol=1e-4, atol=1e-5)


def test_a_pass_that_computes_something_else_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    import exegesis.passes.grouping.group_modules as module

    graph, setting = setting_of(Dense(planted=True), (8,))

    def careless(graph: Graph, source: object, parts: list[Part], joined: str) -> Graph:
        made = split(graph, source, parts, joined)  # type: ignore[arg-type]
        name = next(k for k in made.tensors if k.endswith(".weight"))
        return replace(made, tensors={**made.tensors, name: made.tensors[name] * 2})

    monkeypatch.setattr(module, "split", careless)
    manager = Manager(setting)
    assert manager.run(graph, QUICK) is graph
    assert "outputs moved by" in str(manager.records[0].skipped)


def test_a_node_in_two_functions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import exegesis.passes.grouping.group_modules as module

    graph, setting = setting_of(Dense(planted=False), (8,))
    once = module.layer_functions
    monkeypatch.setattr(module, "layer_functions", lambda *a: (*once(*a), replace(once(*a)[0], name="again")))
    with pytest.raises(PassError, match="both hold node"):
        Manager(setting).run(graph, QUICK)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((5, 9), (5, 1, 9, 1)), ((5, 8, 8), (5, 8, 8, 1)), ((5, 3, 40, 20), (5, 20, 20, 3)), ((5, 2, 4, 4), (5, 4, 4, 1))],
)
def test_inputs_become_pictures(shape: tuple[int, ...], shown: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = as_pictures(x)
    assert found.shape == shown
    assert found.min() >= 0
    assert found.max() <= 1


def test_split_layers_can_be_put_together_again(planted: tuple[Graph, Graph, Setting]) -> None:
    before, after, setting = planted
    whole = merged(after)
    check(whole.graph)
    assert {n.op for n in whole.graph.nodes} == {n.op for n in before.nodes}
    assert set(whole.members) == {f.name for f in after.functions}
    layers = Layers.of(whole.graph)
    assert [k.units for k in layers] == [UNITS, UNITS]
    x = setting.held.split.x[:50]  # type: ignore[union-attr]
    np.testing.assert_allclose(logits(before, x), logits(whole.graph, x), rtol=1e-4, atol=1e-5)
    values = [
        Executor(g).run({g.inputs[0].id: torch.from_numpy(x)}, [n.id for n in g.nodes]) for g in (after, whole.graph)
    ]
    for function in after.functions:
        layer, units = whole.members[function.name]
        torch.testing.assert_close(values[0][function.nodes[-1]], values[1][layer][:, units])
    assert merged(before).graph is before


def test_single_modules_do_in_the_network_what_they_do_in_the_program(planted: tuple[Graph, Graph, Setting]) -> None:
    """And, planted fault: with the sites of two modules exchanged they do not."""
    _, after, setting = planted
    torch.manual_seed(0)
    network = Network(Dense(planted=True).eval(), "planted")
    split = setting.held.split
    assert isinstance(split, ArraySplit)
    x = np.asarray(split.x)
    reference = Reference(network, Behavior.from_arrays("planted", {"test": (x, np.zeros(len(x), np.int64))}, Argmax()))
    parts = [n for n in after.nodes if n.sites and any(n.id in f.nodes for f in after.functions)]
    assert len(parts) == len(after.functions)
    assert not any(n.op == "component.join" and n.sites for n in after.nodes)
    first, second = parts[:2]
    wrong = [replace(first, sites=second.sites), replace(second, sites=first.sites)]
    exchanged = after.with_nodes([*(n for n in after.nodes if n not in (first, second)), *wrong])
    for graph, faulty in ((after, False), (exchanged, True)):
        exchange = Exchange(Judged(graph), reference, "test", ASKED)
        exchange.run(Budget(60).part(1.0), Silent())
        claims = [c for c in exchange.concluded().claims if "by_" in c.statement]
        assert len(claims) == len(parts)
        refuted = [c for c in claims if c.status is Status.REFUTED]
        assert bool(refuted) is faulty
        if not faulty:
            assert all(c.evidence[0].value > 0.99 for c in claims)
