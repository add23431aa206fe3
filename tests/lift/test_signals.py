"""Networks over signals: one-dimensional convolutions and pooling, against torch's own modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, ArraySplit
from exegesis.emit import About, emit_program
from exegesis.ir import Graph
from exegesis.lift import LiftError, lift
from exegesis.lift.recognise import signals
from exegesis.measure import Units
from exegesis.runtime import Executor


class Residual(nn.Module):
    """A block with a strided shortcut, whose readers take the mean, the maximum, or all places."""

    def __init__(self, end: str) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv1d(1, 4, 3, padding=1, bias=False), nn.BatchNorm1d(4)
        self.a, self.short = nn.Conv1d(4, 4, 3, 2, 1, groups=2), nn.Conv1d(4, 4, 1, 2)
        self.out, self.end = nn.Linear(4 if end != "softmax" else 40, 3), end

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x.unsqueeze(1) / 2 - 1)))
        x = torch.nn.functional.gelu(self.a(x) + self.short(x))
        if self.end == "softmax":
            return self.out(x.softmax(-1).flatten(1))
        return self.out(x.mean(-1) if self.end == "mean" else x.amax(2))


def pipeline() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv1d(3, 8, 3, stride=2, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(3, 2, 1)),
        *(nn.Conv1d(8, 8, 3, padding="same", groups=2), nn.BatchNorm1d(8), nn.GELU(), nn.AvgPool1d(2), nn.Tanh()),
        *(nn.BatchNorm1d(8), nn.Conv1d(8, 6, 2, dilation=2), nn.SiLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
        nn.Linear(6, 4),
    )


def check_exact(network: nn.Module, *shape: int) -> Graph:
    """Lifts, and compares the graph with the module on other numbers; returns the graph."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    graph = lift(network.eval(), (torch.randn(3, *shape),)).graph
    other = torch.randn(5, *shape)
    with torch.no_grad():
        expected = network(other)
    found = Executor(graph).run({graph.inputs[0].id: other})[graph.outputs[0]]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    return graph


def test_signals_are_pictures_one_row_high() -> None:
    graph = check_exact(pipeline(), 3, 40)
    assert {n.op for n in graph.nodes if n.op.startswith("tensor.")} == {"tensor.aten.unsqueeze.default"}
    convolutions = [n for n in graph.nodes if n.op == "component.conv2d"]
    assert [n.attrs["groups"] for n in convolutions] == [1, 2, 8, 1]  # norms are inside, but for one behind tanh
    assert convolutions[0].attrs["stride"] == [1, 2]
    assert sum(n.op == "component.pool2d" for n in graph.nodes) == 3


@pytest.mark.parametrize("end", ["mean", "max"])
def test_sums_and_what_reads_the_whole_length(end: str) -> None:
    graph = check_exact(Residual(end), 20)
    ops = {n.op for n in graph.nodes}
    assert {"component.add", "component.scale", "component.pool2d", "component.flatten"} <= ops
    assert {o for o in ops if o.startswith("tensor.")} == {"tensor.aten.unsqueeze.default"}


def test_what_no_picture_can_stand_for_reads_the_signal() -> None:
    ops = {n.op for n in check_exact(Residual("softmax"), 20).nodes}
    assert {"tensor.aten.squeeze.dim", "tensor.aten.softmax.int", "component.conv2d"} <= ops


def test_a_wrong_window_is_found_by_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(cell: object) -> tuple[object, tuple[object, ...]]:
        return torch.ops.aten.max_pool2d.default, ([1, 3], [1, 2], [0, 1], [1, 1], False)

    network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.AvgPool1d(3, 2, 1), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 1, 12))
    assert lift(network.eval(), (torch.randn(3, 1, 12),)).certificate.worst("float32") < 1e-5
    monkeypatch.setattr(signals, "_POOLS", {**signals._POOLS, "avg_pool1d": shifted})
    with pytest.raises(LiftError):
        lift(network, (torch.randn(3, 1, 12),))


def test_units_and_program_of_a_signal_network() -> None:
    network = pipeline()
    graph = check_exact(network, 3, 40)
    x = torch.randn(4, 3, 40)
    layers = Units.of(graph, Argmax(), ArraySplit("test", x.numpy())).layers
    assert [(v.kind, v.units, v.spatial) for v in layers][:2] == [("conv", 8, (1, 20)), ("conv", 8, (1, 10))]
    source = emit_program(graph, about=About("signals"), readout=Argmax())
    space: dict[str, object] = {"TENSORS_GIVEN": graph.tensors}
    exec(source.replace("load_tensors(__file__)", "TENSORS_GIVEN"), space)
    run = space["run"]
    assert callable(run)
    with torch.no_grad():
        np.testing.assert_array_equal([run(v) for v in x.numpy()], network(x).argmax(1).numpy())
