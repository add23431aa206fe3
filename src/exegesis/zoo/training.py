"""What the training scripts share: the loop, the measuring, and the folder they leave."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from exegesis.behavior import ArrayBatch, Behavior, SequenceBatch, task_accuracy
from exegesis.ir import ExegesisError, InputError
from exegesis.ir.files import write_bytes
from exegesis.zoo.cards import Card
from exegesis.zoo.shelf import NETWORKS

REPRODUCES = (
    "On one machine, with one version of PyTorch and one thread, the same seed gives the same bytes. "
    "Elsewhere sums are rounded in another order, so the weights differ and the accuracies may differ by a few rows."
)


@dataclass(frozen=True)
class Recipe:
    """How a network of the zoo is trained.

    Args:
        name: its name in the zoo.
        what, architecture, data: for its card.
        behavior: the behaviour, its rows drawn with a generator.
        loss: the loss of one step on a batch that it draws.
        steps: how many steps.
        learning_rate: the largest, in the middle of one cycle.
        weight_decay: of AdamW.
        after_step: called with the network and the share of the steps that are done, e.g. to prune it.
    """

    name: str
    what: str
    architecture: str
    data: str
    behavior: Callable[[Generator], Behavior]
    loss: Callable[[nn.Module, Behavior, Generator], Tensor]
    steps: int
    learning_rate: float
    weight_decay: float
    after_step: Callable[[nn.Module, float], None] | None = None


def fit(recipe: Recipe, behavior: Behavior, seed: int, steps: int) -> nn.Module:
    """Train from a random start; the caller's random numbers stay as they are."""
    draws = default_rng([seed, 1])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = NETWORKS[recipe.name]()
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
        for step in range(steps):
            optimizer.zero_grad()
            recipe.loss(network, behavior, draws).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
            if recipe.after_step:
                recipe.after_step(network, (step + 1) / steps)
    return network.eval()


def accuracies(network: nn.Module, behavior: Behavior) -> dict[str, float]:
    """Share of scored answers that are the task's own, by split."""

    @torch.no_grad()
    def outputs(batch: SequenceBatch | ArrayBatch) -> NDArray[Any]:
        if isinstance(batch, ArrayBatch):
            return network(torch.from_numpy(batch.x)).numpy()  # type: ignore[no-any-return]
        positions = None if batch.position_ids is None else torch.from_numpy(batch.position_ids)
        return network(torch.from_numpy(batch.input_ids), positions).numpy()  # type: ignore[no-any-return]

    return {split: task_accuracy(behavior, split, outputs) for split in behavior.splits}


def train(recipe: Recipe, out: Path, seed: int, steps: int) -> Card:
    """Train a network, measure it, and write weights, behaviour and card into a folder.

    Raises:
        InputError: the folder is not empty or cannot be written, or there is nothing to train for.
    """
    if steps < 2 or seed < 0:
        raise InputError(f"Training needs at least 2 steps and a seed of at least 0, not {steps} and {seed}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is in the way; training writes into a new or empty folder.")
    start = time.process_time()
    behavior = recipe.behavior(default_rng([seed, 0]))
    network = fit(recipe, behavior, seed, steps)
    seconds = time.process_time() - start
    measured = {split: round(share, 5) for split, share in accuracies(network, behavior).items()}
    card = Card(
        name=recipe.name,
        what=recipe.what,
        architecture=recipe.architecture,
        data=recipe.data,
        parameters=sum(p.numel() for p in network.parameters()),
        steps=steps,
        seed=seed,
        command=f"python -m exegesis.zoo.train_{recipe.name} --seed {seed} --steps {steps} --out DIR",
        seconds=round(seconds, 1),
        accuracy=measured,
        torch=torch.__version__,
        reproduces=REPRODUCES,
    )
    behavior.save(out)
    write_bytes(out / "weights.safetensors", save(network.state_dict()))
    write_bytes(out / "card.json", (card.model_dump_json(indent=1) + "\n").encode())
    return card


def main(recipe: Recipe, arguments: Sequence[str] | None = None) -> int:
    """The command line of a training script; returns its exit code."""
    parser = argparse.ArgumentParser(description=f"Train the network `{recipe.name}`: {recipe.what}")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and batches")
    parser.add_argument("--steps", type=int, default=recipe.steps, help="how many steps of the optimiser")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is new or empty")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        card = train(recipe, chosen.out, chosen.seed, chosen.steps)
    except ExegesisError as error:
        print(error, file=sys.stderr)
        return 2
    print(", ".join(f"{split} {share:.4f}" for split, share in card.accuracy.items()), f"in {card.seconds:.0f} s")
    return 0
