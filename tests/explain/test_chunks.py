"""How many rows go through at a time."""

import pytest
import torch

from exegesis.behavior import Behavior
from exegesis.explain import NetworkModel, Objective, Target, read_inputs
from exegesis.explain.chunks import SHARE, SIZES, bytes_per_row, chunk_size, parts
from exegesis.runtime import Network


def objective_of(network: Network, behavior: Behavior) -> Objective:
    (inputs,) = read_inputs(behavior, "test", range(4))
    return Objective(NetworkModel(network), inputs, Target(1))


def test_the_bound_on_memory_holds(convnet: Network, images: Behavior) -> None:
    objective = objective_of(convnet, images)
    each = bytes_per_row(objective)
    floats = 144 + 6 * 100 + 6 * 25 + 8 * 25 + 16  # what goes back needs at least these values of each row
    assert each > 4 * floats
    assert chunk_size(objective, 10**6, memory=10 * each) <= 10
    assert chunk_size(objective, 10**6, memory=1) == 1


def test_what_the_caller_wants_and_what_is_there(convnet: Network, images: Behavior) -> None:
    objective = objective_of(convnet, images)
    assert chunk_size(objective, 100, 7) == 7
    assert chunk_size(objective, 5, 7) == 5
    assert chunk_size(objective, 3) == 3


def test_the_probe_is_short(convnet: Network, images: Behavior, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = objective_of(convnet, images)
    rows = 0
    whole = objective.gradient

    def counted(x: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal rows
        rows += len(at)
        return whole(x, at)

    monkeypatch.setattr(objective, "gradient", counted)
    total = 20_000
    assert chunk_size(objective, total) in SIZES
    assert 0 < rows <= SHARE * total + 4


def test_parts_cover_everything_once() -> None:
    assert torch.cat(list(parts(10, 4))).tolist() == list(range(10))
