"""Networks: what is checked when they are loaded, and what they answer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from exegesis.ir import InputError
from exegesis.runtime import Network, load, output_tensor


class Tokens(nn.Module):
    """Reads tokens and, with `positions`, adds a vector for each position."""

    def __init__(self, vocabulary: int = 5, outputs: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 4)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, outputs)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.head(self.dropout(self.embed(input_ids)))  # type: ignore[no-any-return]


class Positions(Tokens):
    def forward(self, input_ids: Tensor, position_ids: Tensor | None = None) -> Any:  # type: ignore[override]
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1]).expand(input_ids.shape)
        return (self.head(self.embed(input_ids) + position_ids[..., None]),)


IDS = torch.tensor([[0, 4, 2], [1, 1, 3]])


def test_a_network_is_in_evaluation_mode_and_answers_without_gradients() -> None:
    network = load(Tokens().train())
    assert not network.module.training
    logits = network.logits(IDS)
    assert logits.shape == (2, 3, 3)
    assert not logits.requires_grad
    assert torch.equal(logits, network.logits(IDS)), "no dropout"


def test_what_a_network_says_about_itself() -> None:
    network = load(Tokens())
    assert (network.name, network.vocabulary_size, network.parameters_count) == ("Tokens", 5, 35)
    assert (network.takes_tokens, network.takes_positions) == (True, False)
    assert load(Positions()).takes_positions
    rows = load(nn.Linear(3, 2))
    assert (rows.takes_tokens, rows.vocabulary_size, rows.outputs) == (False, None, None)


def test_positions_reach_the_network() -> None:
    network = load(Positions())
    plain = network.logits(IDS)
    assert torch.equal(plain, network.logits(IDS, torch.arange(3).expand(2, 3)))
    assert not torch.equal(plain, network.logits(IDS, torch.arange(3).expand(2, 3) + 1))


def test_an_example_can_be_run() -> None:
    for module in (Tokens(), Positions()):
        network = load(module)
        example = network.example(batch=3, length=4)
        assert network.logits(**example).shape == (3, 4, 3)
    with pytest.raises(InputError, match="reads no token ids"):
        load(nn.Linear(3, 2)).example()


def test_rows_of_arrays() -> None:
    layer = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    assert torch.equal(load(layer)(x), layer(x).detach())


# The fingerprint


def test_the_fingerprint_is_of_weights_alone() -> None:
    module = Tokens()
    same = Tokens()
    same.load_state_dict(module.state_dict())
    assert load(module).fingerprint == load(same.train()).fingerprint
    assert len(load(module).fingerprint) == 64


@pytest.mark.parametrize("change", ["value", "sign of zero", "name", "shape", "dtype"])
def test_the_fingerprint_sees_every_change(change: str) -> None:
    module, other = nn.Module(), nn.Module()
    weight = torch.tensor([[1.0, 0.0]])
    changed = {
        "value": weight + torch.tensor([[1e-7, 0]]),
        "sign of zero": torch.tensor([[1.0, -0.0]]),
        "name": weight,
        "shape": weight.T.contiguous(),
        "dtype": weight.double(),
    }[change]
    module.register_buffer("w", weight)
    other.register_buffer("v" if change == "name" else "w", changed)
    assert Network(module, "a").fingerprint != Network(other, "a").fingerprint


def test_the_order_of_registration_leaves_no_trace() -> None:
    one, two = nn.Module(), nn.Module()
    for module, names in ((one, "ab"), (two, "ba")):
        for name in names:
            module.register_buffer(name, torch.full((2,), float(ord(name))))
    assert Network(one, "x").fingerprint == Network(two, "x").fingerprint


# Refusals


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    module = Tokens()
    with torch.no_grad():
        module.head.weight[1, 2] = bad
    with pytest.raises(InputError, match=r"weights that are NaN or infinite, first in head\.weight"):
        load(module)


def test_a_network_on_the_meta_device_has_no_weights() -> None:
    with pytest.raises(InputError, match=r"comes without its weights: embed\.weight has none"):
        load(Tokens().to("meta"))


def test_half_precision_is_widened_and_double_kept() -> None:
    assert load(Tokens().bfloat16()).logits(IDS).dtype == torch.float32
    assert load(Tokens().double()).logits(IDS).dtype == torch.float64


def test_questions_that_a_network_cannot_answer() -> None:
    network = load(Tokens())
    with pytest.raises(InputError, match="Token id 5 is none of the 5"):
        network.logits(torch.tensor([[5]]))
    with pytest.raises(InputError, match="Token id -1 is none of the 5"):
        network.logits(torch.tensor([[-1]]))
    with pytest.raises(InputError, match="takes no position_ids"):
        network.logits(IDS, torch.zeros_like(IDS))
    with pytest.raises(InputError, match=r"fails on inputs of shape \[4, 2\]: mat1 and mat2"):
        load(nn.Linear(3, 2))(torch.randn(4, 2))


def test_outputs_that_are_not_per_position_are_refused() -> None:
    class Pooled(Tokens):
        def forward(self, input_ids: Tensor) -> Tensor:
            return super().forward(input_ids).mean(1)

    with pytest.raises(InputError, match=r"gives outputs of shape \[2, 3\] for ids of shape \[2, 3\]"):
        load(Pooled()).logits(IDS)


def test_the_output_that_counts() -> None:
    class Output:
        logits = torch.ones(1)

    class Hidden:
        last_hidden_state = torch.zeros(1)

    assert output_tensor(Output(), "n").item() == 1
    assert output_tensor(Hidden(), "n").item() == 0
    assert output_tensor((torch.tensor(3),), "n").item() == 3
    for nothing in ({"logits": 1}, (), None):
        with pytest.raises(InputError, match="in which no tensor is clearly its output"):
            output_tensor(nothing, "n")


def test_networks_of_the_zoo_go_by_name() -> None:
    network = load("zoo:majority")
    assert network.name == "zoo:majority"
    assert network.logits(**network.example()).shape[:2] == (2, 3)
    with pytest.raises(InputError, match="has no network 'ghost'"):
        load("zoo:ghost")


def test_what_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no network: a folder, file\.py:function, model\.onnx or zoo:name"):
        load(tmp_path / "ghost")
