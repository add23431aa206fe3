"""Steps of recurrent layers become one operation that computes the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import exegesis as ex
from exegesis.behavior import Argmax, Behavior
from exegesis.ir import Graph
from exegesis.ir.progress import Silent
from exegesis.lift import lift
from exegesis.passes.compressing.quantise_weights import QuantiseWeights
from exegesis.passes.grouping.fold_steps import FoldSteps, _layer
from exegesis.pipeline.decompile import prepare
from exegesis.runtime import Executor

X = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    """Recurrent layers over rows of vectors; the last state decides, or the mean of all in both directions."""

    def __init__(self, kind: str, *, layers: int = 1, both: bool = False, relu: bool = False) -> None:
        super().__init__()
        more = {"nonlinearity": "relu"} if relu else {}
        self.rnn = getattr(nn, kind)(3, 4, num_layers=layers, batch_first=True, bidirectional=both, **more)
        self.out, self.both = nn.Linear(8 if both else 4, 3), both

    def forward(self, x: Tensor) -> Tensor:
        states = self.rnn(x)[0]
        return self.out(states.mean(1) if self.both else states[:, -1])


def behavior() -> Behavior:
    rng = np.random.default_rng(1)
    splits = {n: (rng.normal(size=(120, 5, 3)).astype(np.float32), rng.integers(0, 3, 120)) for n in ("train", "test")}
    return Behavior.from_arrays("rows", splits, Argmax())


def folded(network: nn.Module) -> tuple[Graph, Graph]:
    torch.manual_seed(0)
    for w in network.parameters():
        nn.init.normal_(w, std=0.6)
    start = prepare(network.eval(), behavior(), seed=0, progress=Silent())
    outcome = FoldSteps().run(start.lifted.graph, start.setting)
    return start.lifted.graph, outcome.graph


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GRU", {}), ("LSTM", {}), ("RNN", {}), ("RNN", {"relu": True}), ("GRU", {"layers": 2}), ("LSTM", {"both": True})],
)
def test_layers_compute_the_same_in_one_operation_each(kind: str, options: dict[str, int]) -> None:
    network = Layers(kind, **options)
    before, after = folded(network)
    many = options.get("layers", 1) * (2 if options.get("both") else 1)
    assert sum(n.op == "component.recurrent" for n in after.nodes) == many
    assert len(after.nodes) < len(before.nodes) / 4
    with torch.no_grad():
        expected = network(X)
    torch.testing.assert_close(Executor(after).run({"x": X})[after.outputs[0]], expected, atol=1e-5, rtol=1e-5)


def test_whole_numbers_keep_their_steps_and_sites_their_place() -> None:
    program = ex.decompile(Layers("GRU").eval(), behavior(), passes=(QuantiseWeights(), FoldSteps()), seed=0)
    layer = next(n for n in program.graph.nodes if n.op == "component.recurrent")
    assert set(layer.attrs["steps"]) == {
        f"{g}_from_{p}" for g in ("reset", "update", "candidate") for p in ("input", "state")
    }
    assert any(n.sites for n in program.graph.nodes if n.op == "component.pick")
    assert program.source.count("def step(state, x):") == 1
    assert "scan(step, x, 4)" in program.source


def test_steps_that_differ_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = lift(Layers("GRU").eval(), (X,)).graph
    assert not isinstance(_layer(graph, ""), str)
    other = {"weight": "reset_from_input_1.weight", "bias": "update_from_input_1.bias"}
    apart = [replace(n, tensors=other) if n.id == "reset_from_input_3" else n for n in graph.nodes]
    assert _layer(graph.with_nodes(apart), "") == "its steps do not share their maps"
    begun = graph.with_nodes(graph.nodes, tensors={"start.value": np.ones(4, np.float32)})
    assert _layer(begun, "") == "it does not begin with zeros"
    turned = [replace(n, attrs={"axis": 1, "at": 0}) if n.id == "x_3" else n for n in graph.nodes]
    assert _layer(graph.with_nodes(turned), "") == "its steps do not read all entries in order"


def test_a_fold_that_computes_something_else_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    from exegesis.passes.grouping import fold_steps

    right = fold_steps._maps

    def wrong(graph: Graph, layer: fold_steps.Layer) -> object:
        held, steps = right(graph, layer)
        return {**held, "update_from_input": -held["update_from_input"]}, steps

    monkeypatch.setattr(fold_steps, "_maps", wrong)
    program = ex.decompile(Layers("GRU").eval(), behavior(), passes=(FoldSteps(),), seed=0)
    assert "undone" in (program.records[0].skipped or "")
    assert not any(n.op == "component.recurrent" for n in program.graph.nodes)
