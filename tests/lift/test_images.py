"""Convolutional networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis.lift import lift


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
