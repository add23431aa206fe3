"""Explanations by example, each against an independent reference, and what trips their checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.core import Status
from exegesis.explain.examples import (
    PrototypeNetwork,
    Training,
    nearest,
    prototype_layer,
    prototype_network,
    prototypes_of,
    unit_examples,
)
from exegesis.explain.examples.prototypes import criticisms, discrepancy, greedy_prototypes, kernel_of
from exegesis.ir import InputError
from exegesis.runtime import Network, load


def data() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return (x.reshape(-1, 1, 8, 8) / 16).astype(np.float32), y.astype(np.int64)


def fitted(x: np.ndarray, y: np.ndarray, seed: int, steps: int, deep: bool = True) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module: nn.Module = nn.Sequential(
            nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 36, 32), nn.ReLU(), nn.Linear(32, 10)
        )
        if not deep:
            module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
            nn.init.zeros_(module[1].weight)
            nn.init.zeros_(module[1].bias)
        optimizer = torch.optim.Adam(module.parameters(), 3e-3 if deep else 3e-2)
        draws = np.random.default_rng(seed)
        for _ in range(steps):
            at = draws.integers(len(x), size=64)
            optimizer.zero_grad()
            F.cross_entropy(module(torch.from_numpy(x[at])), torch.from_numpy(y[at])).backward()
            optimizer.step()
    return module.eval()


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    x, y = data()
    return Behavior.from_arrays("digits", {"train": (x[:900], y[:900]), "test": (x[900:], y[900:])}, Argmax())


@pytest.fixture(scope="module")
def network() -> Network:
    x, y = data()
    return load(fitted(x[:900], y[:900], 0, 250))


def test_examples_are_the_sorted_rows(network: Network, behavior: Behavior) -> None:
    (found,) = unit_examples(network, behavior, None, [3], each=5, limit=900)
    with torch.no_grad():
        values = network.module(torch.from_numpy(behavior.arrays("train").x))[:, 3].numpy()
    rows, shown = found.raw["rows"], found.raw["activation"]
    np.testing.assert_array_equal(rows[0], np.argsort(-values, kind="stable")[:5])
    np.testing.assert_array_equal(np.sort(values[rows[3]]), np.sort(values)[:5])
    np.testing.assert_allclose(shown, values[rows], atol=1e-4)
    assert (np.diff(values[rows[1]]) < 0).all()
    assert (values[rows[2]] <= np.median(values)).all()
    assert found.status is Status.SHOWN, found.why
    assert "<svg" in found.figure().svg


def test_the_place_is_where_the_unit_looks(behavior: Behavior) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        weight = torch.zeros(2, 8, 8)
        weight[0, 4:6, 2:4] = 1.0
        module[1].weight.copy_(weight.flatten(1))
    (found,) = unit_examples(load(module), behavior, None, [0], each=4, limit=300)
    top, bottom, left, right = found.raw["boxes"][0, 0]
    assert (top, bottom, left, right) == (4, 5, 2, 3)
    assert found.status is Status.SHOWN


def test_a_unit_that_looks_everywhere_has_no_place() -> None:
    grey = np.random.default_rng(0).random((200, 1, 1, 1)).astype(np.float32) * np.ones((1, 1, 8, 8), np.float32)
    behavior = Behavior.from_arrays("grey", {"train": (grey, None)}, Argmax())
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.ones_(module[1].weight)
    (found,) = unit_examples(load(module), behavior, None, [0], each=4, limit=200)
    assert found.status is Status.MARKED
    assert "place" in found.why


def test_a_unit_that_never_changes_is_withheld(behavior: Behavior) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.zeros_(module[1].weight)
    (found,) = unit_examples(load(module), behavior, None, [0], each=4, limit=300)
    assert found.status is Status.WITHHELD


def test_neighbours_by_brute_force(network: Network, behavior: Behavior) -> None:
    found = nearest(network, behavior, "3", [0, 7], count=3)
    with torch.no_grad():
        inner = network.module[:4]
        a = inner(torch.from_numpy(behavior.arrays("test").x[[0, 7]])).numpy()
        b = inner(torch.from_numpy(behavior.arrays("train").x)).numpy()
    a, b = a - b.mean(0), b - b.mean(0)
    cosine = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)[None]
    np.testing.assert_array_equal(found.arrays["rows"], np.argsort(-cosine, axis=1)[:, :3])
    assert found.status is Status.SHOWN


def test_neighbours_of_a_network_with_one_answer_are_marked(network: Network, behavior: Behavior) -> None:
    torch.manual_seed(5)
    blind = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 10))
    with torch.no_grad():
        blind[2].weight.zero_()
    found = nearest(load(blind), behavior, "1", [0, 1, 2])
    assert found.status is Status.MARKED


def test_greedy_prototypes_are_the_best_by_trying_all() -> None:
    draws = np.random.default_rng(0)
    x = np.concatenate([draws.normal(c, 0.3, (15, 2)) for c in (0.0, 3.0, 8.0)])
    kernel = kernel_of(x)
    chosen = greedy_prototypes(kernel, 3)
    for k in range(3):  # each step lowers the discrepancy as far as one input can
        tried = [discrepancy(kernel, np.array([*chosen[:k], i])) for i in range(len(x)) if i not in chosen[:k]]
        assert discrepancy(kernel, chosen[: k + 1]) == pytest.approx(min(tried))
    assert {int(c) // 15 for c in chosen} == {0, 1, 2}


def test_criticisms_are_what_prototypes_leave_out() -> None:
    draws = np.random.default_rng(0)
    x = np.concatenate([draws.normal(0.0, 0.3, (40, 2)), draws.normal(6.0, 0.3, (6, 2))])
    kernel = kernel_of(x)
    prototypes = np.array([0, 1, 2])
    witness = np.abs(kernel.mean(1) - kernel[:, prototypes].mean(1))
    witness[prototypes] = -1
    chosen = criticisms(kernel, prototypes, 3)
    assert chosen[0] == witness.argmax()
    assert len(set(chosen.tolist()) - {0, 1, 2}) == 3


def test_prototypes_stand_for_others(network: Network, behavior: Behavior) -> None:
    found = prototypes_of(network, behavior, "3", count=12, limit=400)
    assert found.status is Status.SHOWN, found.why
    assert len(np.unique(found.arrays["prototypes"])) == 12
    assert not set(found.arrays["criticisms"]) & set(found.arrays["prototypes"])


def test_a_prototype_layer_says_what_the_network_says_and_looks_where_it_draws(
    network: Network, behavior: Behavior
) -> None:
    found = prototype_layer(network, behavior, "1", each=4, limit=500)
    local = next(c for c in found.checks if c.name == "local")
    assert local.value == pytest.approx(0.0, abs=1e-5)
    faithful = next(c for c in found.checks if c.name == "faithful")
    assert faithful.value is not None
    assert faithful.value > 0.6
    boxes = found.raw["boxes"]
    assert (boxes[:, 1] - boxes[:, 0] <= 2).all()


def test_a_patch_drawn_too_small_is_caught(network: Network, behavior: Behavior) -> None:
    found = prototype_layer(network, behavior, "1", each=2, limit=200, shrink=1)
    assert found.status is Status.WITHHELD
    assert "local" in found.why


def test_patches_are_rows_of_the_split(network: Network, behavior: Behavior) -> None:
    found = prototype_layer(network, behavior, "1", each=1, limit=100)
    assert np.array_equal(behavior.arrays("train").x[found.raw["rows"]], found.raw["inputs"])


def test_a_network_of_prototypes_trained_from_scratch(behavior: Behavior) -> None:
    training = Training(each=2, width=12, steps=150)
    made, found = prototype_network(behavior, training, limit=400)
    assert {c.name: c.passed for c in found.checks} == {"right": True, "before projection": None, "local": True}
    right = next(c for c in found.checks if c.name == "right")
    held_out = behavior.arrays("test")
    drawn = np.sort(np.random.default_rng([0, 1]).permutation(len(held_out))[:400])
    said = made(torch.from_numpy(held_out.x[drawn])).argmax(1).numpy()
    assert held_out.y is not None
    assert right.value == pytest.approx(float((said == held_out.y[drawn]).mean()))
    # Every prototype is a patch of the image that it is drawn in: there its likeness is the largest there is.
    rows, boxes = found.raw["rows"], found.raw["boxes"]
    x = torch.from_numpy(behavior.arrays("train").x[rows])
    assert isinstance(made.module, PrototypeNetwork)
    own = made.module.likenesses(x).diagonal()
    assert torch.allclose(own, torch.full_like(own, np.log(1.0 / 1e-4)), atol=0.01)
    outside = torch.rand_like(x)
    for k, (top, bottom, left, right_) in enumerate(boxes):
        outside[k, :, top : bottom + 1, left : right_ + 1] = x[k, :, top : bottom + 1, left : right_ + 1]
    assert torch.allclose(made.module.likenesses(outside).diagonal(), own, atol=0.01)
    assert "framed" in found.figure().alt
    caught = prototype_network(behavior, Training(each=1, width=6, steps=20), limit=200, shrink=1)[1]
    assert caught.status is Status.WITHHELD
    assert "local" in caught.why


def test_what_prototypes_cannot_be_trained_on(behavior: Behavior) -> None:
    x = behavior.arrays("train").x[:40]
    one = np.zeros(40, dtype=np.int64)
    one[:2] = 1
    few = Behavior.from_arrays("few", {"train": (x, one), "test": (x, one)}, Argmax())
    with pytest.raises(InputError, match="Class 1 has 2 images, too few for 3"):
        prototype_network(few)
    with pytest.raises(InputError, match="no classes as labels"):
        prototype_network(Behavior.from_arrays("bare", {"train": (x, None)}, Argmax()))
    with pytest.raises(InputError, match="8 × 8 pixels"):
        prototype_network(Behavior.from_arrays("flat", {"train": (x.reshape(40, -1), one)}, Argmax()))


# Bad input.


def test_what_cannot_be_asked(network: Network, behavior: Behavior, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no unit 99"):
        unit_examples(network, behavior, None, [99])
    with pytest.raises(InputError, match="are needed for 6 examples"):
        unit_examples(network, behavior, None, [0], limit=10)
    with pytest.raises(InputError, match="has no row 5000"):
        nearest(network, behavior, None, [5000])
    with pytest.raises(InputError, match="at most a quarter"):
        prototypes_of(network, behavior, None, count=500, limit=100)
    with pytest.raises(InputError, match="no module 'nowhere'"):
        prototype_layer(network, behavior, "nowhere")
    with pytest.raises(InputError, match="have no places"):
        prototype_layer(network, behavior, "3")
    with pytest.raises(InputError, match="are the same in this layer"):
        kernel_of(np.ones((10, 2)))
