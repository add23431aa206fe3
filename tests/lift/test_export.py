"""What a caller may bring, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from written_networks import Block, randomised

from exegesis.ir import ExegesisError, InputError
from exegesis.lift import LiftError, lift
from exegesis.lift.export import export, named_arguments
from exegesis.runtime import Executor

IDS = torch.tensor([[0, 1, 2, 3, 4], [5, 6, 5, 4, 3]])


def poisoned(value: float) -> nn.Module:
    module = randomised(Block())
    with torch.no_grad():
        module.up.weight[2, 3] = value
    return module


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class Conditional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y + 1, (x,))


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no such luck\nand more")


class Drawing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def unknown_mean() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()
    network[1].running_mean[0] = float("nan")
    return network


class Listing(nn.Module):
    def forward(self, x: Tensor) -> dict[str, int]:
        return {"a": 1}


REFUSED: list[tuple[Callable[[], object], type[ExegesisError], str]] = [
    (
        lambda: lift(poisoned(float("nan")), (IDS,)),
        InputError,
        "Weight up.weight holds values that are NaN or infinite",
    ),
    (
        lambda: lift(poisoned(float("inf")), (IDS,)),
        InputError,
        "Weight up.weight holds values that are NaN or infinite",
    ),
    (
        lambda: lift(Block().half(), (IDS,)),
        InputError,
        "Weight places is float16; lift the network in float32 or float64",
    ),
    (lambda: lift(Block(), (IDS,), dtype=torch.bfloat16), InputError, "float32 or float64 numbers, not bfloat16"),
    (lambda: lift(Block(), ()), InputError, "needs an example"),
    (lambda: lift(Block(), {"ids": IDS}), InputError, "has 'ids', which forward does not take"),
    (lambda: lift(Block(), (IDS, IDS)), InputError, "has 2 tensors, but forward takes 1"),
    (lambda: lift(Block(), (torch.tensor(1),)), InputError, "no tensor with a batch axis"),
    (lambda: lift(Block(), (IDS + 10,)), LiftError, "fails on the example it is lifted with: index out of range"),
    (
        lambda: lift(Branching(), (torch.randn(2, 3),)),
        LiftError,
        r"rejects the network: what it computes depends on its data .* \(test_export.py:\d+, forward\)",
    ),
    (lambda: lift(Drawing(), (torch.randn(2, 3),)), LiftError, r"draws random numbers \(aten.randn_like.default at"),
    (lambda: lift(unknown_mean(), (torch.randn(2, 4),)), InputError, "Buffer 1.running_mean holds values that are NaN"),
    (
        lambda: lift(nn.Sequential(nn.Linear(4, 3)), (torch.randn(2, 5),)),
        LiftError,
        "fails on the example it is lifted with: mat1 and mat2 shapes cannot be multiplied",
    ),
    (
        lambda: lift(Conditional(), (torch.randn(2, 3),)),
        LiftError,
        "control flow that depends on data cannot be lifted",
    ),
    (lambda: lift(Failing(), (torch.randn(2, 3),)), LiftError, "no such luck$"),
    (lambda: lift(Listing(), (torch.randn(2, 3),)), InputError, "Listing returns dict"),
]


@pytest.mark.parametrize(("attempt", "kind", "sentence"), REFUSED, ids=[r[2][:30] for r in REFUSED])
def test_refusal(attempt: Callable[[], object], kind: type[ExegesisError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence) as caught:
        attempt()
    assert "\n" not in str(caught.value)


def test_short_examples_still_give_dynamic_axes() -> None:
    module = randomised(Block())
    graph = lift(module, (IDS[:1, :1],)).graph
    assert graph.axes["pos"].size is None
    assert graph.axes["batch"].size is None
    found = Executor(graph).run({"tokens": IDS})["logits"]
    torch.testing.assert_close(found, module(IDS).detach(), atol=1e-5, rtol=0)


def test_square_example_does_not_tie_batch_to_length() -> None:
    graph = lift(randomised(Block()), (IDS[:2, :2],)).graph
    assert Executor(graph).run({"tokens": IDS})["logits"].shape == (2, 5, 5)


class OfLengthFour(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e, self.out = nn.Embedding(7, 3), nn.Linear(12, 2)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.e(input_ids).flatten(1))


def test_fixed_length_is_noted() -> None:
    found = lift(OfLengthFour(), (IDS[:, :4],))
    assert any("input_ids is fixed at 4" in n for n in found.certificate.notes)
    assert found.graph.axes["pos"].size == 4
    assert found.graph["flatten"].type.axes == ("batch", "feature")


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y += 1
        return y.relu_()


def test_writing_in_place_is_made_pure() -> None:
    x = torch.randn(2, 3, 4)
    graph = lift(InPlace(), (x,)).graph
    torch.testing.assert_close(Executor(graph).run({"x": x})[graph.outputs[0]], InPlace()(x))


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(4, 3), nn.Dropout(0.5)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y = self.drop(self.layer(x))
        return (y if scale is None else y * scale), x


def test_first_output_counts_and_dropout_is_off() -> None:
    module = Dropping().train()
    x = torch.randn(2, 3, 4)
    graph = lift(module, (x,)).graph
    torch.testing.assert_close(Executor(graph).run({"x": x})[graph.outputs[0]], module.layer(x).detach())
    assert module.drop.training


def test_arguments_by_name_get_the_ids_of_the_program() -> None:
    class Two(nn.Module):
        def forward(self, input_ids: Tensor, position_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return input_ids + position_ids + attention_mask

    found = named_arguments(Two(), {"position_ids": IDS, "input_ids": IDS, "attention_mask": IDS})
    assert [(a.name, a.id, a.is_tokens) for a in found] == [
        ("position_ids", "positions", False),
        ("input_ids", "tokens", True),
        ("attention_mask", "attention_mask", False),
    ]


def test_export_is_of_the_network_in_evaluation_mode() -> None:
    targets = {str(n.target) for n in export(Dropping(), (torch.randn(2, 3, 4),)).program.graph.nodes}
    assert "aten.linear.default" in targets


def test_refusals_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LiftError):
        lift(Branching(), (torch.randn(2, 3),))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_a_network_without_weights_is_lifted() -> None:
    lifted = lift(nn.Sequential(nn.Flatten(), nn.Softmax(1)), (torch.randn(2, 3, 1, 2),))
    assert lifted.certificate.worst("float32") < 1e-6
