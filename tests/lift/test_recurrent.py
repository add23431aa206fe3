"""Recurrent layers and cells, step by step, against torch's own modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.emit import About, emit_program
from exegesis.ir import Graph
from exegesis.lift import LiftError, lift
from exegesis.lift.recognise import recurrent
from exegesis.measure import Lesion, Units
from exegesis.runtime import Executor


class Layer(nn.Module):
    """A recurrent layer whose last state decides, or all of its states do."""

    def __init__(
        self, kind: str, *, layers: int = 1, every: bool = False, both: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(5, 6, num_layers=layers, batch_first=True, bidirectional=both, bias=bias)
        self.out, self.every = nn.Linear(12 if both else 6, 3), every

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(x)
        return self.out(states.sum(1) if self.every else states[:, -1])


class Cell(nn.Module):
    """A cell whose loop the network writes itself, and a final state read from the layer's second output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell, self.out = getattr(nn, kind)(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return self.out(state[0] if isinstance(state, tuple) else state)


X = torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(0))


def check_exact(network: nn.Module, x: Tensor = X) -> Graph:
    """Lifts, and compares the graph with the module on other numbers."""
    torch.manual_seed(1)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.5)
    lifted = lift(network.eval(), (x,))
    assert lifted.certificate.worst("float32") < 1e-4
    other = torch.randn(7, *x.shape[1:])
    with torch.no_grad():
        expected = network(other)
    found = Executor(lifted.graph).run({"x": other})[lifted.graph.outputs[0]]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    return lifted.graph


@pytest.mark.parametrize(("kind", "maps"), [("RNN", 2), ("GRU", 6), ("LSTM", 8)])
def test_layers_are_unrolled_with_shared_weights(kind: str, maps: int) -> None:
    graph = check_exact(Layer(kind))
    assert all(n.op.startswith(("component.", "input.")) for n in graph.nodes)
    weights = {n.tensors["weight"] for n in graph.nodes if n.op == "component.linear"}
    assert len(weights) == maps + 1
    steps = [n for n in graph.nodes if n.attrs.get("state") == 0]
    assert len(steps) == 5
    held = sum(graph.tensors[t].size for t in {t for n in graph.nodes for t in n.tensors.values()})
    assert held < sum(p.numel() for p in Layer(kind).parameters()) + 13  # biases are joined; a start of zeros is added


@pytest.mark.parametrize(
    ("kind", "options"), [("GRU", {"layers": 2}), ("LSTM", {"every": True}), ("RNN", {"bias": False})]
)
def test_more_layers_all_states_and_no_biases(kind: str, options: dict[str, bool]) -> None:
    graph = check_exact(Layer(kind, **options))
    assert "component.activation" in {n.op for n in graph.nodes}
    assert not any(kind.lower() in n.op for n in graph.nodes)


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
def test_cells_in_a_loop(kind: str) -> None:
    graph = check_exact(Cell(kind))
    assert all(n.op.startswith(("component.", "input.")) for n in graph.nodes)
    assert sum(n.attrs.get("state") == 0 for n in graph.nodes) == 5


def test_the_length_is_fixed_and_said_to_be() -> None:
    lifted = lift(Layer("GRU").eval(), (X,))
    assert lifted.certificate.notes == ("axis 1 of x is fixed at 5 by the network",)
    assert {shape[1] for shape in lifted.certificate.shapes} == {5}


@pytest.mark.parametrize(
    ("kind", "options"), [("RNN", {}), ("GRU", {"every": True}), ("LSTM", {"layers": 2}), ("GRU", {"bias": False})]
)
def test_both_directions_are_two_layers_side_by_side(kind: str, options: dict[str, bool]) -> None:
    graph = check_exact(Layer(kind, both=True, **options))
    assert all(n.op.startswith(("component.", "input.")) for n in graph.nodes)
    states = {n.attrs["state"] for n in graph.nodes if "state" in n.attrs}
    assert len(states) == 2 * options.get("layers", 1) * (2 if kind == "LSTM" else 1)
    assert graph["both"].op == "component.join"


class Ends(nn.Module):
    """Reads steps that come before the batch, in both directions; what both ends with decides."""

    def __init__(self, *, mean: bool = False, memory: bool = False) -> None:
        super().__init__()
        self.rnn, self.out = nn.LSTM(5, 6, bidirectional=True), nn.Linear(12, 3)
        self.mean, self.memory = mean, memory

    def forward(self, x: Tensor) -> Tensor:
        states, lasts = self.rnn(x.transpose(0, 1))
        last = lasts[1 if self.memory else 0]
        return self.out(states.mean(0) if self.mean else torch.cat([last[0], last[1]], 1))


@pytest.mark.parametrize("options", [{}, {"mean": True}, {"memory": True}])
def test_last_states_of_both_directions_with_steps_first(options: dict[str, bool]) -> None:
    graph = check_exact(Ends(**options))
    assert all(n.op.startswith(("component.", "input.")) for n in graph.nodes)


def test_steps_in_the_wrong_direction_are_found_by_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    read = recurrent._read
    monkeypatch.setattr(recurrent, "_read", lambda steps, reads, level: read(steps, sorted(reads), level))
    with pytest.raises(LiftError):
        lift(Layer("GRU", both=True), (X,))


class Words(nn.Module):
    """Ids, an embedding, and a recurrent layer that decides at its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.out = nn.Embedding(11, 5), nn.GRU(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.rnn(self.embed(input_ids))[0][:, -1])


def test_recurrent_layers_over_ids() -> None:
    network = Words().eval()
    graph = lift(network, (torch.randint(0, 11, (4, 6)),)).graph
    ids = torch.randint(0, 11, (7, 6))
    with torch.no_grad():
        expected = network(ids)
    found = Executor(graph).run({"tokens": ids})[graph.outputs[0]]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert all(n.op.startswith(("component.", "input.")) for n in graph.nodes)


def test_units_of_a_recurrent_layer_are_its_gates_and_its_state() -> None:
    network = Layer("GRU")
    graph = check_exact(network)
    units = Units.of(graph, Argmax(), ArraySplit("test", X.numpy()))
    assert [(x.kind, x.units, x.spatial) for x in units.layers] == [("recurrent", 6, (5,))] * 4
    with torch.no_grad():
        states, _ = network.rnn(X)
    np.testing.assert_allclose(units.activations(3), states.movedim(1, 2).numpy(), atol=1e-5)
    moved = units.logits_under([Lesion({3: range(6)}, "zero")])[0]
    np.testing.assert_allclose(moved, np.tile(network.out.bias.detach().numpy(), (4, 1)), atol=1e-5)


def test_a_lesion_reaches_the_steps_that_follow() -> None:
    """Against a GRU stepped by hand, whose state loses a unit after every step."""
    network = Layer("GRU")
    graph = check_exact(network)
    cell = nn.GRUCell(5, 6)
    for name, value in network.rnn.named_parameters():
        getattr(cell, name.removesuffix("_l0")).data = value.data
    state = torch.zeros(4, 6)
    with torch.no_grad():
        for t in range(5):
            state = cell(X[:, t], state)
            state[:, 2] = 0
        expected = network.out(state)
    units = Units.of(graph, Argmax(), ArraySplit("test", X.numpy()))
    np.testing.assert_allclose(units.logits_under([Lesion({3: [2]}, "zero")])[0], expected.numpy(), atol=1e-5)


def test_the_program_of_an_lstm_runs_on_numpy() -> None:
    network = Layer("LSTM")
    graph = check_exact(network)
    source = emit_program(graph, about=About("steps"), readout=Argmax())
    assert "sigmoid" in source
    assert "TENSORS" in source
    space: dict[str, object] = {"TENSORS_GIVEN": graph.tensors}
    exec(source.replace("load_tensors(__file__)", "TENSORS_GIVEN"), space)
    run = space["run"]
    with torch.no_grad():
        expected = network(X).argmax(1).tolist()
    assert callable(run)
    assert [run(x) for x in X.numpy()] == expected
