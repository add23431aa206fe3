"""The parts of networks written in several ways, against what their modules say of themselves."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exegesis.runtime import Network
from exegesis.runtime.exported import ExportedNetwork
from exegesis.verify.alignment import align
from exegesis.verify.network import Reference
from exegesis.verify.parts import find_parts, used_parts


class Block(nn.Module):
    """Attention written in three ways, before an MLP that has the form of GELU with an addition inside."""

    def __init__(self, how: str, parallel: bool, post_norm: bool) -> None:
        super().__init__()
        self.how, self.parallel, self.post_norm = how, parallel, post_norm
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)
        self.norm = nn.LayerNorm(8)

    def attention(self, x: Tensor) -> Tensor:
        b, s, _ = x.shape
        q, k, v = (part.view(b, s, 2, 4).transpose(1, 2) for part in self.qkv(x).split(8, -1))
        if self.how == "sdpa":
            z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        else:
            pattern = (q @ k.transpose(-1, -2) / 2).softmax(-1)
            pattern = nn.functional.dropout(pattern, 0.1, self.training) * 0.5 + 0.5
            z = (pattern @ v).transpose(1, 2) if self.how == "matmul" else torch.einsum("bhst,bhte->bshe", pattern, v)
        return self.out(z.reshape(b, s, 8))

    def mlp(self, x: Tensor) -> Tensor:
        h = self.up(x)
        return self.down(0.5 * h * (1.0 + torch.tanh(h + 0.044 * h.pow(3))))

    def forward(self, x: Tensor) -> Tensor:
        if self.parallel:
            return x + (self.attention(self.norm(x)) + self.mlp(self.norm(x)))
        if self.post_norm:
            x = self.norm(x + self.attention(x))
            return self.norm(x + self.mlp(x))
        x = x + self.attention(self.norm(x))
        return x + self.mlp(self.norm(x))


class Stack(nn.Module):
    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(5, 8), nn.Embedding(9, 8)
        self.blocks = nn.ModuleList(Block(**how) for _ in range(2))
        self.unembed = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed(input_ids) + self.place(torch.arange(input_ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.unembed(x)


def opened(module: nn.Module) -> ExportedNetwork:
    torch.manual_seed(0)
    return ExportedNetwork(Network(module, "n"), {"input_ids": torch.zeros(2, 3, dtype=torch.long)})


@pytest.mark.parametrize("how", ["sdpa", "matmul", "einsum"])
@pytest.mark.parametrize(("parallel", "post_norm"), [(False, False), (True, False), (False, True)])
def test_two_heads_and_an_mlp_per_block(how: str, parallel: bool, post_norm: bool) -> None:
    exported = opened(Stack(how=how, parallel=parallel, post_norm=post_norm))
    parts = find_parts(exported)
    assert [p.place.head for p in parts] in ([0, 1, None] * 2, [None, 0, 1] * 2)
    for part in parts:
        blocks = [int(exported.values[v].module.split(".")[1]) for v in part.inside if exported.values[v].module]
        assert len(set(blocks)) == 1  # nothing of another block belongs to it


@pytest.mark.parametrize("how", ["sdpa", "matmul", "einsum"])
def test_a_head_that_is_written_to_is_that_head(how: str) -> None:
    """Replacing a head's part changes what the output projection gets at that head's four inputs, and nothing else."""
    exported = opened(Stack(how=how, parallel=False, post_norm=False))
    ids = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(0))
    module = exported.network.module.blocks[1].out
    for part in find_parts(exported)[3:5]:
        seen: list[Tensor] = []
        before = exported.run({"input_ids": ids}, [part.place.value])[part.place.value]
        where = torch.ones(3, 6, dtype=torch.bool)
        mixed = part.place.mixed(before, torch.zeros_like(before), where)
        handle = module.register_forward_pre_hook(lambda m, args, seen=seen: seen.append(args[0]))
        exported.network.logits(ids)
        handle.remove()
        flat = (before if how == "einsum" else before.transpose(1, 2)).reshape(3, 6, 8)
        assert torch.allclose(flat, seen[0], atol=1e-6)
        zeroed = (mixed if how == "einsum" else mixed.transpose(1, 2)).reshape(3, 6, 8)
        head = part.place.head
        assert head is not None
        assert not zeroed[..., 4 * head : 4 * head + 4].any()
        rest = [i for i in range(8) if i // 4 != head]
        assert torch.equal(zeroed[..., rest], flat[..., rest])


class OneHead(nn.Module):
    """Attention without an axis of heads."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(5, 8), nn.Embedding(9, 8)
        self.query, self.value, self.unembed = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed(input_ids) + self.place(torch.arange(input_ids.shape[1]))
        x = x + (self.query(x) @ x.transpose(1, 2)).softmax(-1) @ self.value(x)
        return self.unembed(x)


def test_a_single_head_needs_no_axis() -> None:
    (part,) = find_parts(opened(OneHead()))
    assert part.is_head
    assert part.place.selected is None


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.one, self.two = nn.Embedding(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.two(self.one(self.embed(input_ids)).relu())


def test_without_a_stream_the_parts_are_layers_of_activations() -> None:
    (part,) = find_parts(opened(Flat()))
    assert not part.is_head
    assert part.place.value == "relu"


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_networks_over_arrays_have_layers_without_positions() -> None:
    exported = ExportedNetwork(Network(Dense(), "dense"), {"x": torch.rand(3, 6)})
    parts = find_parts(exported)
    assert [(p.label, p.place.position) for p in parts] == [("layers.1 (relu)", None), ("layers.3 (tanh)", None)]


def names(reference: Reference, graph: Any) -> list[str]:
    exported = reference.exported
    parts = find_parts(exported)
    found = used_parts(parts, graph, align(graph, exported), exported)
    return ["mlp" if parts[i].place.head is None else f"head {parts[i].place.head}" for i in sorted(found)]


def test_used_parts_are_those_with_a_variable_and_those_that_may_compute(made: Any, reference: Reference) -> None:
    program = made.program()
    assert names(reference, program) == ["head 0", "mlp"]  # the comparison lives nowhere: it may be the MLP
    assert names(reference, made.program(head=1)) == ["head 1", "mlp"]
    nowhere = made.changed(program, "seen", sites=())
    assert names(reference, nowhere) == ["head 0", "head 1", "mlp"]  # nobody says who counts
    answer_at_head = made.changed(program, "wins", sites=program["seen"].sites)
    constant = made.changed(answer_at_head, "answer", op="symbolic.always", attrs={"value": 1}, inputs=("wins",))
    assert "head 1" not in names(reference, constant)
