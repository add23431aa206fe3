"""The export of a network: its values against forward hooks on the modules, its refusals against planted faults."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from exegesis.ir import InputError
from exegesis.runtime import Network
from exegesis.runtime.exported import ExportedNetwork


class Small(nn.Module):
    """Two tokens of context: embedding, fused two-head attention, MLP, unembedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(5, 8), nn.Embedding(9, 8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.unembed = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        b, s = input_ids.shape
        x = self.embed(input_ids) + self.place(torch.arange(s, device=input_ids.device))
        q, k, v = (part.view(b, s, 2, 4).transpose(1, 2) for part in self.qkv(x).split(8, -1))
        z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).reshape(b, s, 8))
        return self.unembed(x + self.mlp(x))


@pytest.fixture(scope="module")
def small() -> ExportedNetwork:
    torch.manual_seed(0)
    network = Network(Small(), "small")
    return ExportedNetwork(network, {"input_ids": torch.zeros(2, 3, dtype=torch.long)})


def ids(batch: int = 4, length: int = 6) -> Tensor:
    return torch.randint(5, (batch, length), generator=torch.Generator().manual_seed(1))


def named(small: ExportedNetwork, op: str, module: str | None = None) -> str:
    (found,) = [v.name for v in small.values.values() if v.op.startswith(op) and module in (None, v.module)]
    return found


def hooked(small: ExportedNetwork, path: str, change: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The module's output when the output of one of its modules is changed by a forward hook."""
    handle = small.network.module.get_submodule(path).register_forward_hook(lambda m, i, out: change(out))
    try:
        return small.network.logits(x)
    finally:
        handle.remove()


@pytest.mark.parametrize(("batch", "length"), [(4, 6), (1, 1), (7, 9)])
def test_it_computes_what_the_module_does(small: ExportedNetwork, batch: int, length: int) -> None:
    x = ids(batch, length)
    assert torch.allclose(small.run({"input_ids": x})[small.output], small.network.logits(x), atol=1e-6)
    assert small.check({"input_ids": x}) < 1e-5


def test_a_replaced_value_is_what_a_hook_makes_of_it(small: ExportedNetwork) -> None:
    x = ids()
    for path, op in (("embed", "aten.embedding"), ("mlp.1", "aten.gelu"), ("mlp.0", "aten.linear")):
        name = named(small, op, path)
        out = small.run({"input_ids": x}, replace={name: lambda v: v * 0.5 - 1})[small.output]
        assert torch.allclose(out, hooked(small, path, lambda v: v * 0.5 - 1, x), atol=1e-6)
        assert not torch.allclose(out, small.network.logits(x), atol=1e-3)


def test_given_values_stand_in_for_what_comes_before(small: ExportedNetwork) -> None:
    x, z = ids(), named(small, "aten.scaled_dot_product_attention")
    values = small.run({"input_ids": x}, [z, named(small, "aten.gelu")])
    assert values[z].shape == (4, 2, 6, 4)
    other = small.run({"input_ids": x.flip(0)}, [z])[z]
    whole = small.run({"input_ids": x}, replace={z: lambda v: other})
    add = next(v.name for v in small.values.values() if v.op.startswith("aten.add"))  # the stream before attention
    kept = small.run({"input_ids": x}, [add])
    partly = small.run({"input_ids": x}, given={z: other, add: kept[add]})
    assert torch.allclose(whole[small.output], partly[small.output], atol=1e-6)


def test_values_know_shape_reads_and_module(small: ExportedNetwork) -> None:
    z = small.values[named(small, "aten.scaled_dot_product_attention")]
    assert z.shape == (None, 2, None, 4)
    assert small.values[named(small, "aten.gelu")].module == "mlp.1"
    first = next(iter(small.values.values()))
    assert (first.op, first.reads) == ("input", ())
    assert {first.name, small.output} <= small.after([first.name])
    assert z.name in small.before([small.output])
    assert small.output not in small.before([z.name])


def test_gradients_reach_inner_values(small: ExportedNetwork) -> None:
    x, name = ids(), named(small, "aten.embedding", "embed")
    leaf = small.run({"input_ids": x}, [name])[name].requires_grad_()
    out = small.run({"input_ids": x}, given={name: leaf}, gradients=True)[small.output]
    (gradient,) = torch.autograd.grad(out[0, 2, 1], leaf)
    step = 1e-3 * torch.randn(8, generator=torch.Generator().manual_seed(0))

    def at(sign: float) -> Tensor:
        return small.run(
            {"input_ids": x}, replace={name: lambda v: v.index_add(1, torch.tensor([0]), (sign * step).expand(4, 1, 8))}
        )[small.output][0, 2, 1]

    assert torch.allclose(gradient[0, 0] @ step, (at(1) - at(-1)) / 2, atol=1e-6)
    assert not small.run({"input_ids": x})[small.output].requires_grad


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda e: e.run({"input_ids": ids()}, ["nothing"]), "holds no value 'nothing'"),
        (lambda e: e.run({"input_ids": ids()}, given={"gone": ids()}), "holds no value 'gone'"),
        (lambda e: e.run({}), "needs input_ids, which was not given"),
        (
            lambda e: e.run({"input_ids": ids()}, [named(e, "aten.scaled_dot")], {e.output: lambda v: v}),
            "changes nothing that is asked for",
        ),
        (lambda e: e.run({"input_ids": ids()}, replace={e.output: lambda v: v[:1]}), "has shape [1, 6, 3] where"),
        (lambda e: e.run({"input_ids": ids(2, 12)}), "fails at embedding_1 on inputs of shape [2, 12]"),
    ],
)
def test_what_cannot_be_run_is_refused(
    small: ExportedNetwork, call: Callable[[ExportedNetwork], object], sentence: str
) -> None:
    with pytest.raises(InputError) as refusal:
        call(small)
    assert sentence in str(refusal.value)


class InPlace(nn.Module):
    def forward(self, input_ids: Tensor) -> Tensor:
        x = nn.functional.one_hot(input_ids, 4).float()
        return (x + 1).mul_(2)


class Branches(nn.Module):
    def forward(self, input_ids: Tensor) -> Tensor:
        x = nn.functional.one_hot(input_ids, 4).float()
        return x if bool((input_ids.sum() > 3).item()) else x + 1


def test_networks_that_cannot_be_opened_are_refused() -> None:
    example = {"input_ids": torch.zeros(2, 3, dtype=torch.long)}
    with pytest.raises(InputError, match="changes a tensor in place"):
        ExportedNetwork(Network(InPlace(), "n"), example)
    with pytest.raises(InputError, match=r"torch\.export rejects the network n"):
        ExportedNetwork(Network(Branches(), "n"), example)


def test_an_export_that_computes_something_else_is_found_out() -> None:
    exported = ExportedNetwork(Network(Small(), "n"), {"input_ids": torch.zeros(2, 3, dtype=torch.long)})
    exported.check({"input_ids": ids()})
    exported.network = Network(Small(), "another")
    with pytest.raises(InputError, match="does not compute what the network does: its output is off by"):
        exported.check({"input_ids": ids()})
