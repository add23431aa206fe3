"""Networks as differentiable functions, and the number explained of them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.explain import (
    Inputs,
    NetworkModel,
    NotDifferentiableError,
    Objective,
    ProgramModel,
    Target,
    Unit,
    read_inputs,
)
from exegesis.ir import InputError
from exegesis.lift import lift
from exegesis.runtime import Network, load


@pytest.mark.parametrize("name", ["zoo:copy", "zoo:majority"])
def test_a_token_network_is_a_function_of_embeddings(name: str) -> None:
    network, behavior = load(name), Behavior.load(name)
    for inputs in read_inputs(behavior, "test", range(5)):
        model = NetworkModel(network)
        with torch.no_grad():
            found = model(model.start(inputs), inputs, torch.arange(len(inputs)))
        torch.testing.assert_close(found, network.logits(inputs.tokens, inputs.positions))


def test_gradients_are_those_of_autograd(convnet: Network, images: Behavior) -> None:
    (inputs,) = read_inputs(images, "test", range(4))
    objective = Objective(NetworkModel(convnet), inputs, Target(2, 1))
    values, slopes = objective.gradient(objective.start, torch.arange(4))
    x = inputs.x.clone().requires_grad_(True)
    wanted = convnet.module(x)[:, 2] - convnet.module(x)[:, 1]
    torch.testing.assert_close(values, wanted.detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(wanted.sum(), x)[0])
    assert all(p.grad is None and p.requires_grad for p in convnet.module.parameters())


def test_other_weights_leave_the_network_alone(convnet: Network, images: Behavior) -> None:
    (inputs,) = read_inputs(images, "test", range(2))
    rows, model = torch.arange(2), NetworkModel(convnet)
    before = model(inputs.x, inputs, rows)
    other = model.with_weights({"fc2.bias": torch.full((4,), 100.0)})
    assert (other(inputs.x, inputs, rows) > 50).all()
    torch.testing.assert_close(model(inputs.x, inputs, rows), before)


def test_layers_are_read_in_the_middle(convnet: Network, images: Behavior) -> None:
    (inputs,) = read_inputs(images, "test", range(2))
    objective = Objective(NetworkModel(convnet, "conv1"), inputs, Unit(3))
    torch.testing.assert_close(
        objective.values(inputs.x, torch.arange(2)), convnet.module.conv1(inputs.x)[:, 3].mean((1, 2))
    )
    assert not convnet.module.conv1._forward_hooks
    with pytest.raises(InputError, match="has no module 'conv9'; it has conv1, conv2"):
        NetworkModel(convnet, "conv9")


def test_programs_are_models_too(convnet: Network, images: Behavior) -> None:
    (inputs,) = read_inputs(images, "test", range(3))
    model = ProgramModel(lift(convnet.module, (inputs.x,)).graph)
    torch.testing.assert_close(model(inputs.x, inputs, torch.arange(3)), convnet(inputs.x), rtol=1e-4, atol=1e-5)
    slopes = Objective(model, inputs, Target(1)).gradient(inputs.x, torch.arange(3))[1]
    wanted = Objective(NetworkModel(convnet), inputs, Target(1)).gradient(inputs.x, torch.arange(3))[1]
    torch.testing.assert_close(slopes, wanted, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="holds no value 'nope'"):
        ProgramModel(model.graph, "nope")


class _Rounds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([(x > 0.5).float().sum(1), torch.ones(len(x))], dim=1)


def test_a_path_without_gradient_is_one_clear_sentence(table: Behavior) -> None:
    (inputs,) = read_inputs(table, "test", range(3))
    objective = Objective(NetworkModel(load(_Rounds())), inputs)
    with pytest.raises(NotDifferentiableError, match="not differentiable"):
        objective.gradient(objective.start, torch.arange(3))


def test_rows_that_do_not_exist(table: Behavior) -> None:
    with pytest.raises(InputError, match="has no row 99: it has 6"):
        read_inputs(table, "test", [0, 99])
    with pytest.raises(InputError, match="No rows"):
        read_inputs(table, "test", [])


def test_inputs_must_be_finite_floats() -> None:
    with pytest.raises(InputError, match="NaN"):
        Inputs.of(np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match="floats"):
        Inputs.of(np.array([[1, 2]]))


class _Explodes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 0


def test_outputs_that_are_not_finite_are_refused(table: Behavior) -> None:
    (inputs,) = read_inputs(table, "test", range(3))
    with pytest.raises(InputError, match="on row 0 are NaN or infinite"):
        Objective(NetworkModel(load(_Explodes())), inputs)
