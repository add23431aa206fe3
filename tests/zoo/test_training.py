"""Two steps of every training script, and what the scripts refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from exegesis import zoo
from exegesis.behavior import Behavior
from exegesis.zoo import (
    train_convnet,
    train_copy,
    train_dense_dropout,
    train_dense_l1,
    train_dense_plain,
    train_dense_pruned,
    train_digits,
    train_gru,
    train_majority,
    train_residual,
)
from exegesis.zoo.training import Recipe, fit, main
from exegesis.zoo.wide_digits import loss_with_l1, prune

SCRIPTS = (
    train_convnet,
    train_majority,
    train_copy,
    train_digits,
    train_gru,
    train_residual,
    train_dense_plain,
    train_dense_dropout,
    train_dense_pruned,
    train_dense_l1,
)
RECIPES = {script.RECIPE.name: script.RECIPE for script in SCRIPTS}


def run(recipe: Recipe, out: Path, *more: str) -> int:
    return main(recipe, ["--out", str(out), *more])


@pytest.mark.parametrize("name", RECIPES)
def test_two_steps_leave_a_network_a_behaviour_and_a_card(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caller = torch.random.get_rng_state()
    assert run(RECIPES[name], tmp_path / "a", "--seed", "3", "--steps", "2") == 0
    assert "test 0." in capsys.readouterr().out
    assert torch.equal(caller, torch.random.get_rng_state())
    card = zoo.Card.read(tmp_path / "a" / "card.json")
    assert (card.name, card.seed, card.steps) == (name, 3, 2)
    assert card.command == f"python -m exegesis.zoo.train_{name} --seed 3 --steps 2 --out DIR"
    network = zoo.build(name, tmp_path / "a" / "weights.safetensors")
    assert sum(p.numel() for p in network.parameters()) == card.parameters
    behavior = Behavior.load(tmp_path / "a")
    behavior.check()
    assert set(card.accuracy) == set(behavior.splits)

    assert run(RECIPES[name], tmp_path / "b", "--seed", "3", "--steps", "2") == 0
    assert run(RECIPES[name], tmp_path / "c", "--seed", "4", "--steps", "2") == 0
    weights = {folder: (tmp_path / folder / "weights.safetensors").read_bytes() for folder in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]
    assert behavior.fingerprint() == Behavior.load(tmp_path / "b").fingerprint()


@pytest.mark.parametrize("name", RECIPES)
def test_the_shipped_behaviour_is_the_one_the_script_draws(name: str) -> None:
    card = zoo.card(name)
    drawn = RECIPES[name].behavior(np.random.default_rng([card.seed, 0]))
    assert drawn.fingerprint() == zoo.behavior(name).fingerprint()
    assert card.steps == RECIPES[name].steps
    assert (card.what, card.architecture, card.data) == (
        RECIPES[name].what,
        RECIPES[name].architecture,
        RECIPES[name].data,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_training_lowers_the_loss(name: str) -> None:
    recipe = RECIPES[name]
    behavior = zoo.behavior(name)

    def mean_loss(steps: int) -> float:
        network = fit(recipe, behavior, 0, steps)
        with torch.no_grad():
            return float(np.mean([recipe.loss(network, behavior, np.random.default_rng(k)).item() for k in range(20)]))

    assert mean_loss(80) < mean_loss(2) - 0.05


def test_folders_that_are_in_the_way_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("full", "file"):
        assert run(train_digits.RECIPE, tmp_path / name, "--steps", "2") == 2
        assert "is in the way" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


@pytest.mark.parametrize("more", [("--steps", "1"), ("--seed", "-1")])
def test_steps_and_seeds_that_make_no_sense(
    tmp_path: Path, more: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(train_digits.RECIPE, tmp_path / "out", *more) == 2
    assert "at least 2 steps and a seed of at least 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pruning_follows_its_schedule() -> None:
    network = zoo.build("dense_plain")
    shares = []
    for done in (0.2, 0.5, 0.75, 1.0):
        prune(network, done)
        weights = torch.cat([p.flatten() for name, p in network.named_parameters() if name.endswith("weight")])
        shares.append(float((weights == 0).float().mean()))
    assert shares == pytest.approx([0, 0.9 * (1 - 0.5**3), 0.9, 0.9], abs=0.002)
    assert all((p != 0).any() for p in network.parameters())


def test_the_penalty_is_the_sum_of_the_absolute_weights() -> None:
    network, behavior = zoo.build("dense_plain"), zoo.behavior("dense_plain")
    both = [f(network, behavior, np.random.default_rng(0)).item() for f in (loss_with_l1, train_digits.loss)]
    size = sum(p.abs().sum().item() for name, p in network.named_parameters() if name.endswith("weight"))
    assert both[0] - both[1] == pytest.approx(1e-4 * size, rel=1e-4)
