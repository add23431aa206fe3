"""Convolutional networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.lift import lift
from exegesis.runtime import Executor


class Convolutional(nn.Module):
    def __init__(self, pool: str = "max") -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Conv2d(4, 6, 3, groups=2, bias=False)
        self.out, self.pool = nn.Linear(24, 5), pool

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 0.5) / 0.25
        x = F.relu(self.a(x))
        x = F.relu(self.b(x))
        x = F.max_pool2d(x, 2) if self.pool == "max" else F.avg_pool2d(x, 2, ceil_mode=self.pool == "ceil")
        return self.out(x.flatten(1))


IMAGES = torch.rand(3, 1, 12, 12)


def test_parts_and_their_attributes() -> None:
    graph = lift(Convolutional(), (IMAGES,)).graph
    assert [n.op.removeprefix("component.") for n in graph.nodes] == [
        *("input.array", "scale", "conv2d", "activation", "conv2d", "activation", "pool2d", "flatten", "linear")
    ]
    assert graph["scale"].attrs == {"by": 4.0, "plus": -2.0}
    assert graph["conv"].attrs == {"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    assert graph["conv_2"].attrs["groups"] == 2
    assert set(graph["conv_2"].tensors) == {"weight"}
    assert graph["pool"].attrs == {"kind": "max", "size": [2, 2], "stride": [2, 2], "padding": [0, 0]}
    assert str(graph["x"].type) == "real[batch, channel, height, width]"


def test_mean_pooling() -> None:
    assert lift(Convolutional("mean"), (IMAGES,)).graph["pool"].attrs["kind"] == "mean"


def test_pooling_of_another_kind_is_left_alone() -> None:
    kinds = {n.op for n in lift(Convolutional("ceil"), (IMAGES,)).graph.nodes}
    assert "tensor.aten.avg_pool2d.default" in kinds
    assert "component.pool2d" not in kinds


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.pool, self.out = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.pool(self.norm(self.conv(x)).relu()).flatten(1))


def test_fixed_batch_normalisation_belongs_to_the_convolution() -> None:
    module = Normalised()
    module(IMAGES * torch.tensor([[[[3.0]]]]) + 1)  # running statistics that are not 0 and 1
    graph = lift(module, (IMAGES,)).graph
    assert [n.op.removeprefix("component.") for n in graph.nodes] == [
        *("input.array", "conv2d", "activation", "pool2d", "flatten", "linear")
    ]
    norm = module.norm
    expected = module.conv.weight * (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None, None]
    torch.testing.assert_close(torch.tensor(graph.tensors["conv.weight"]), expected.detach())


class Picks(nn.Module):
    """Two positions side by side, and one of them alone."""

    def __init__(self) -> None:
        super().__init__()
        self.e, self.out = nn.Embedding(7, 4), nn.Linear(8, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(torch.cat([self.e(input_ids[:, 0]), self.e(input_ids[:, -1])], -1))


def test_positions_are_picked() -> None:
    graph = lift(Picks(), (torch.tensor([[0, 1, 2], [3, 4, 5]]),)).graph
    assert [dict(n.attrs) for n in graph.nodes if n.op == "component.pick"] == [
        {"axis": 1, "at": 0},
        {"axis": 1, "at": -1},
    ]
    assert graph["embed"].type.axes == ("batch", "d_model")


def lifted_exactly(network: nn.Module, *shape: int) -> set[str]:
    """The ops of a lifted network, which says on other numbers what the module says."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    found = lift(network.eval(), (torch.rand(3, *shape),))
    other = torch.rand(5, *shape)
    name = found.graph.inputs[0].id
    with torch.no_grad():
        expected = network(other)
    given = Executor(found.graph).run({name: other})[found.graph.outputs[0]]
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-4)
    return {n.op for n in found.graph.nodes}


class PreActivated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv, self.out = (
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 4, 3, padding="same", dilation=2),
            nn.Linear(4, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.silu(self.conv(F.relu(self.norm(x)))).mean((2, 3)))


def test_batch_norms_wherever_they_stand() -> None:
    assert lifted_exactly(PreActivated(), 3, 8, 8) == {
        *("input.array", "component.conv2d", "component.activation", "component.pool2d", "component.flatten"),
        "component.linear",
    }
    dense = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.BatchNorm1d(6), nn.Linear(6, 3))
    assert lifted_exactly(dense, 5) == {"input.array", "component.linear", "component.activation"}
    free = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    assert "tensor.aten.batch_norm.default" not in lifted_exactly(free, 5)


class Block(nn.Module):
    """A residual block as CIFAR networks have it, with a strided shortcut and groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.n0, self.n1, self.n2, self.n3 = (nn.BatchNorm2d(8) for _ in range(4))
        self.a, self.b = (nn.Conv2d(8, 8, 3, s, 1, groups=g, bias=False) for s, g in ((2, 1), (1, 4)))
        self.short, self.out = nn.Conv2d(8, 8, 1, 2, bias=False), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.n0(self.stem(x)))
        y = self.n2(self.b(F.gelu(self.n1(self.a(x)))))
        x = F.gelu(y + self.n3(self.short(x)))
        return self.out(F.adaptive_avg_pool2d(x, 2).mean((2, 3))).softmax(-1)


def test_residual_blocks() -> None:
    ops = lifted_exactly(Block(), 3, 8, 8)
    assert {"component.add", "component.conv2d", "component.pool2d"} <= ops
    assert {o for o in ops if o.startswith("tensor.")} == {"tensor.aten.softmax.int"}
