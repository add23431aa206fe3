"""Attention in the ways people write it, against per-head weights sliced from the modules themselves."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from written_networks import ATTENTIONS, HEAD, HEADS, WIDTH, Attention, randomised

from exegesis.ir import Graph
from exegesis.lift import Lifted, lift
from exegesis.runtime import Executor

STREAM = torch.linspace(-2, 2, 2 * 5 * 12).reshape(2, 5, 12).sin()
IDS = torch.tensor([[0, 1, 2, 3, 4], [5, 6, 5, 4, 3]])


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


@cache
def of(kind: type[Attention]) -> tuple[Attention, Lifted]:
    module = kind()
    return module, lift(randomised(module), (STREAM,))


@pytest.mark.parametrize("kind", ATTENTIONS, ids=lambda k: k.__name__)
def test_every_way_gives_the_same_program(kind: type[Attention]) -> None:
    module, found = of(kind)
    graph = found.graph
    assert "tensor.aten.softmax.int" not in ops(graph)
    assert found.certificate.share.multiplications == 1.0
    weights = module.weights()
    scores = graph["L0.attn.scores"]
    total = scores.attrs["scale"]
    for name, (weight, bias) in weights.items():
        node = graph[f"L0.attn.{name}"]
        scaled = 1.0 if name != "q" else 0.5 / total  # a scale on the queries may be folded into their weights
        np.testing.assert_allclose(graph.tensors[node.tensors["weight"]], weight.detach().numpy() * scaled, atol=1e-6)
        np.testing.assert_allclose(graph.tensors[node.tensors["bias"]], bias.detach().numpy() * scaled, atol=1e-6)
    out = graph.tensors[graph["L0.attn.out"].tensors["weight"]]
    np.testing.assert_allclose(out, module.o.weight.detach().numpy().T.reshape(HEADS, HEAD, WIDTH), atol=1e-6)
    np.testing.assert_allclose(graph.tensors[graph["L0.attn.bias"].tensors["value"]], module.o.bias.detach(), atol=1e-6)
    masks = [n for n in graph.nodes if n.op == "component.mask"]
    assert [n.attrs["causal"] for n in masks] == ([True] if kind.causal else [])


@pytest.mark.parametrize("kind", ATTENTIONS, ids=lambda k: k.__name__)
def test_pattern_is_the_pattern(kind: type[Attention]) -> None:
    module, found = of(kind)
    graph = found.graph
    x = torch.randn(3, 6, WIDTH)
    (weight_q, bias_q), (weight_k, bias_k) = module.weights()["q"], module.weights()["k"]
    q = torch.einsum("bsd,hde->bhse", x, weight_q) + bias_q[:, None]
    k = torch.einsum("bsd,hde->bhse", x, weight_k) + bias_k[:, None]
    scores = torch.einsum("bhse,bhte->bhst", q, k) / 2
    if kind.causal:
        scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
    pattern = Executor(graph).run({"x": x}, ["L0.attn.pattern"])["L0.attn.pattern"]
    torch.testing.assert_close(pattern, scores.softmax(-1).detach(), atol=1e-5, rtol=0)


class Padded(Attention):
    """Keys that hold the token 0 are hidden by a huge negative number, later ones by another."""

    def __init__(self) -> None:
        super().__init__()
        self.e = nn.Embedding(7, WIDTH)

    def forward(self, input_ids: Tensor) -> Tensor:
        x, s = self.e(input_ids), input_ids.shape[1]
        q, k, v = (self.split(p(x)) for p in (self.q, self.k, self.v))
        scores = (q @ k.mT * 0.5).masked_fill(torch.ones(s, s).triu(1).bool(), -1e8)
        scores = scores.masked_fill((input_ids == 0)[:, None, None, :], -1e5)
        return self.join(scores.softmax(-1) @ v)


def test_padding_is_a_mask_of_its_own() -> None:
    graph = lift(randomised(Padded()), (IDS,)).graph
    future, padding = (n for n in graph.nodes if n.op == "component.mask")
    assert (future.attrs["causal"], future.attrs["fill"], len(future.inputs)) == (True, -1e8, 1)
    assert (padding.attrs["causal"], padding.attrs["fill"], len(padding.inputs)) == (False, -1e5, 2)
    kept = Executor(graph).run({"tokens": IDS}, [padding.inputs[1]])[padding.inputs[1]]
    assert torch.equal(kept[:, 0, 0], IDS != 0)


class Grouped(nn.Module):
    """Six query heads that share two key and value heads."""

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.q, self.kv, self.window = nn.Linear(WIDTH, 24), nn.Linear(WIDTH, 16), window

    def forward(self, x: Tensor) -> Tensor:
        b, s, _ = x.shape
        q = self.q(x).view(b, s, 6, 4).transpose(1, 2)
        k, v = self.kv(x).view(b, s, 2, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        k, v = (y[:, :, None].expand(b, 2, 3, s, 4).reshape(b, 6, s, 4) for y in (k, v))
        distance = torch.arange(s)[:, None] - torch.arange(s)
        seen = (distance >= 0) if self.window is None else (distance >= 0) & (distance < self.window)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).reshape(b, s, 24)


def test_grouped_heads_are_not_repeated() -> None:
    graph = lift(randomised(Grouped()), (STREAM,)).graph
    shapes = {p: graph.tensors[graph[f"L0.attn.{p}"].tensors["weight"]].shape for p in "qkv"}
    assert shapes == {"q": (6, WIDTH, 4), "k": (2, WIDTH, 4), "v": (2, WIDTH, 4)}


@pytest.mark.parametrize("window", [3, 40])
def test_window_is_found_however_long_it_is(window: int) -> None:
    graph = lift(randomised(Grouped(window)), (STREAM,)).graph
    attrs = graph["L0.attn.mask"].attrs
    assert (attrs["causal"], attrs["window"]) == (True, window - 1)


class Rotary(Attention):
    """Queries and keys are turned by an angle that grows with the position."""

    def forward(self, x: Tensor) -> Tensor:
        angle = torch.arange(x.shape[1])[:, None] * torch.tensor([1.0, 0.1])
        cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)

        def turned(y: Tensor) -> Tensor:
            return y * cos + torch.cat([-y[..., 2:], y[..., :2]], -1) * sin

        q, k, v = (self.split(p(x)) for p in (self.q, self.k, self.v))
        return self.join(F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True))


def test_rotary_stays_between_projections_and_scores() -> None:
    found = lift(randomised(Rotary()), (STREAM,))
    graph = found.graph
    assert [n.id for n in graph.nodes if n.op == "component.heads"] == ["L0.attn.q", "L0.attn.k", "L0.attn.v"]
    assert graph["L0.attn.scores"].inputs[0] != "L0.attn.q"
    assert "L0.attn.q" in graph.upstream([graph["L0.attn.scores"].inputs[0]])
    assert "component.add" not in [graph[i].op for i in graph.upstream(graph["L0.attn.scores"].inputs)]
    assert found.certificate.share.multiplications == 1.0


class Biased(Attention):
    """A distance is taken off every score, and large scores are bounded."""

    def forward(self, x: Tensor) -> Tensor:
        s = x.shape[1]
        q, k, v = (self.split(p(x)) for p in (self.q, self.k, self.v))
        scores = 5 * torch.tanh(q @ k.mT / 10)
        scores = scores - 0.3 * (torch.arange(s)[:, None] - torch.arange(s)).abs()
        return self.join(scores.softmax(-1) @ v)


def test_other_changes_of_scores_stay_as_they_are() -> None:
    graph = lift(randomised(Biased()), (STREAM,)).graph
    assert graph["L0.attn.scores"].attrs["scale"] == pytest.approx(0.1)
    behind = graph.upstream(["L0.attn.pattern"]) - graph.upstream(["L0.attn.scores"])
    kinds = [graph[i].op for i in behind]
    assert "component.scale" in kinds
    assert "tensor.aten.sub.Tensor" in kinds


def test_softmax_that_is_no_attention_is_left_alone() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(WIDTH, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).softmax(-1)

    graph = lift(Classifier(), (STREAM,)).graph
    assert ops(graph)[-1] == "tensor.aten.softmax.int"


class Own(nn.Module):
    """Torch's own module, which puts positions before the batch on its way."""

    def __init__(self, returns_pattern: bool) -> None:
        super().__init__()
        self.inner, self.returns_pattern = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), returns_pattern

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=self.returns_pattern)[0]


@pytest.mark.parametrize("returns_pattern", [False, True])
def test_module_of_torch(returns_pattern: bool) -> None:
    module = Own(returns_pattern)
    graph = lift(randomised(module), (STREAM,)).graph
    assert {n.op.split(".")[0] for n in graph.nodes} == {"input", "component"}
    rows = module.inner.in_proj_weight.detach().numpy().reshape(3, HEADS, HEAD, WIDTH)
    scale = graph["L0.attn.scores"].attrs["scale"]  # where it is 1, the queries are scaled
    for part, wanted, by in zip("qkv", rows, (0.5 / scale, 1, 1), strict=True):
        weight = graph.tensors[graph[f"L0.attn.{part}"].tensors["weight"]]
        np.testing.assert_allclose(weight, wanted.transpose(0, 2, 1) * by, atol=1e-6)


@pytest.mark.parametrize("kind", ATTENTIONS, ids=lambda k: k.__name__)
def test_nothing_is_left_at_tensor_level(kind: type[Attention]) -> None:
    assert {n.op.split(".")[0] for n in of(kind)[1].graph.nodes} == {"input", "component"}
