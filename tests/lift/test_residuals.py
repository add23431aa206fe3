"""Streams as sums of named writers, embeddings and positions, and the names they get."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from written_networks import WIDTH, Block, Fused, randomised

from exegesis.ir import Graph
from exegesis.lift import lift

IDS = torch.tensor([[0, 1, 2, 3, 4], [5, 6, 5, 4, 3]])


@cache
def plain() -> Graph:
    return lift(randomised(Block()), (IDS,)).graph


def test_names_and_writers_of_a_plain_block() -> None:
    graph = plain()
    assert [n.id for n in graph.nodes] == [
        *("tokens", "embed", "positions", "pos_embed", "L0.resid_pre", "L0.ln1", "L0.attn.q", "L0.attn.k", "L0.attn.v"),
        *("L0.attn.scores", "L0.attn.mask", "L0.attn.pattern", "L0.attn.z", "L0.attn.out", "L0.attn.bias"),
        *("L0.resid_mid", "L0.ln2", "L0.mlp.in", "L0.mlp.act", "L0.mlp.out", "L0.resid_post", "ln_final", "logits"),
    ]
    assert graph["L0.resid_post"].inputs == ("embed", "pos_embed", "L0.attn.out", "L0.attn.bias", "L0.mlp.out")
    assert graph.outputs == ("logits",)
    assert str(graph["logits"].type) == "real[batch, pos, output]"
    assert str(graph["L0.attn.scores"].type) == "real[batch, head, query, key]"
    assert graph["tokens"].type.of == "token"
    assert graph.axes["token"].size == 7


def test_gated_and_parallel_block() -> None:
    graph = lift(randomised(Block(Fused, gated=True, parallel=True)), (IDS,)).graph
    assert graph["L0.mlp.gated"].inputs == ("L0.mlp.act", "L0.mlp.in")
    assert graph["L0.mlp.act"].inputs == ("L0.mlp.gate",)
    assert set(graph["L0.resid_post"].inputs) == {"embed", "pos_embed", "L0.attn.out", "L0.attn.bias", "L0.mlp.out"}
    assert "L0.resid_mid" not in graph.by_id


def test_sites_name_modules() -> None:
    graph = plain()
    ports = {
        i: (graph[i].sites[0].module, graph[i].sites[0].port) for i in ("embed", "L0.ln1", "L0.resid_mid", "logits")
    }
    assert ports == {
        "embed": ("tokens", "output"),
        "L0.ln1": ("n1", "output"),
        "L0.resid_mid": ("n2", "input"),
        "logits": ("out", "output"),
    }
    assert graph["L0.attn.q"].sites[0].module is None


class Counted(nn.Module):
    """Positions from a table that starts later, a segment that is the same everywhere, a constant at the end."""

    def __init__(self, first: int = 2) -> None:
        super().__init__()
        self.tokens, self.places, self.kinds = nn.Embedding(7, WIDTH), nn.Embedding(20, WIDTH), nn.Embedding(2, WIDTH)
        self.last, self.first = nn.Parameter(torch.zeros(WIDTH)), first

    def forward(self, input_ids: Tensor) -> Tensor:
        places = torch.arange(input_ids.shape[1]) + self.first
        kinds = torch.zeros_like(input_ids)
        x = self.tokens(input_ids) + self.places(places) + self.kinds(kinds)
        return x + self.last


def test_positions_and_constants_are_writers() -> None:
    module = randomised(Counted())
    graph = lift(module, (IDS,)).graph
    writers = [graph[i] for i in graph[graph.outputs[0]].inputs]
    assert sorted(w.op for w in writers) == ["component.constant"] * 2 + ["component.embed"] * 2
    places = next(w for w in writers if w.id == "pos_embed")
    assert graph[places.inputs[0]].attrs == {"start": 2}
    np.testing.assert_array_equal(graph.tensors[places.tensors["weight"]], module.places.weight.detach().numpy())
    constants = [graph.tensors[w.tensors["value"]] for w in writers if w.op == "component.constant"]
    np.testing.assert_array_equal(constants[0], module.kinds.weight[0].detach().numpy())
    np.testing.assert_array_equal(constants[1], module.last.detach().numpy())


class Backwards(nn.Module):
    """Positions counted from the end are no table of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(7, WIDTH), nn.Embedding(40, WIDTH)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.tokens(input_ids) + self.places(torch.arange(input_ids.shape[1]).flip(0))


def test_positions_counted_from_the_end_stay_at_tensor_level() -> None:
    graph = lift(randomised(Backwards()), (IDS,)).graph
    assert [n.id for n in graph.nodes if n.op == "component.embed"] == ["embed"]
    assert "component.arange" not in {n.op for n in graph.nodes}


class Indexed(nn.Module):
    """A table indexed by hand, stored with the wide axis first."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(WIDTH, 7))

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.table.T[input_ids] * 3.0


def test_table_indexed_by_hand() -> None:
    module = randomised(Indexed())
    graph = lift(module, (IDS,)).graph
    assert [n.op for n in graph.nodes] == ["input.tokens", "component.embed", "component.scale"]
    np.testing.assert_array_equal(graph.tensors[graph.nodes[1].tensors["weight"]], module.table.T.detach().numpy())
    assert graph.nodes[2].attrs["by"] == pytest.approx(3.0)
