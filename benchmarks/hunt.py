"""Hunts for shortcuts in networks with and without a planted flaw: what is found, how often a clean one raises an
alarm.

    python -m benchmarks.hunt [MODELS]

Ten networks of the zoo's digits, trained here from ten seeds, are clean; six convolutional networks get a patch of a
drawn pattern, place and class; four colour networks have colours drawn and tied to the class. MODELS is a folder of
networks trained by others (by default `../shared/models` beside the checkout; left out where absent).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import default_rng
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import nn

from exegesis.behavior import Argmax, Behavior
from exegesis.explain.shortcuts import Hunt, hunt_shortcuts
from exegesis.runtime import Network, load
from exegesis.zoo import train_digits
from exegesis.zoo.training import fit

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models"


@dataclass(frozen=True)
class Case:
    """A network, and the classes on which something was planted (empty: clean)."""

    name: str
    network: Network
    behavior: Behavior
    planted: frozenset[str]
    truth: str = ""


def main(models: Path = DEFAULT) -> None:
    """Prints a row per network as it is hunted, then the rates."""
    table = Table("network", "right on test", "planted", "found (artefact: class, place; insertion / null)", "seconds")
    rows = [_hunted(case, table) for case in _cases(models)]
    console = Console(width=150)
    console.print(table)
    clean = [found for case, found in rows if not case.planted]
    alarms = sum(bool(found) for found in clean)
    console.print(f"False alarms: {alarms} of {len(clean)} clean networks.")
    flawed = [(case, found) for case, found in rows if case.planted]
    exact = sum(found == case.planted for case, found in flawed)
    console.print(f"Exactly the planted classes: {exact} of {len(flawed)} flawed networks.")


def _hunted(case: Case, table: Table) -> tuple[Case, frozenset[str]]:
    start = time.perf_counter()
    found = hunt_shortcuts(case.network, case.behavior)
    seconds = time.perf_counter() - start
    print(f"{case.name}: {len(found.found)} found", file=sys.stderr, flush=True)
    table.add_row(case.name, f"{_right(case):.1%}", case.truth or "–", _said(found), f"{seconds:.0f}")
    return case, frozenset(shortcut.label for shortcut in found.found)


def _said(hunt: Hunt) -> str:
    lines = []
    for shortcut in hunt.found:
        put_in = next(check for check in shortcut.checks if check.name == "insertion")
        where = shortcut.details["pattern"] if shortcut.artefact == "colour" else shortcut.details["place"]
        lines.append(
            f"{shortcut.artefact}: {shortcut.label}, {where}; {put_in.value:.1%} / {max(put_in.nulls.values()):.1%}"
        )
    return "\n".join(lines) or "nothing"


def _right(case: Case) -> float:
    split = case.behavior.arrays("test")
    return float((case.network(torch.from_numpy(split.x)).argmax(1).numpy() == split.y).mean())


def _cases(models: Path) -> Iterator[Case]:
    for seed in range(10):
        behavior = train_digits.behavior(default_rng([seed, 0]))
        network = load(fit(train_digits.RECIPE, behavior, seed, 1500))
        yield Case(f"zoo digits, seed {seed}", network, behavior, frozenset())
    for seed in range(3):
        yield _patched(seed, plant=False)
        yield _coloured(seed, tied=False)
    for seed in range(10, 16):
        yield _patched(seed, plant=True)
    for seed in range(10, 14):
        yield _coloured(seed, tied=True)
    digits = frozenset(str(d) for d in range(10))
    for name, planted, truth in (
        ("mnist_pooled", frozenset[str](), ""),
        ("mnist_dense", frozenset[str](), ""),
        ("mnist_badnet", frozenset({"1"}), "1: white square, bottom right"),
        ("mnist_colored", digits, "every class: its colour"),
    ):
        folder = models / "vision" / name
        if folder.is_dir():
            yield Case(name, load(f"{folder / 'network.py'}:build"), Behavior.load(folder), planted, truth)


def _digits(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Digits in a frame of 12 × 12, one channel, in [0, 1]."""
    x, y = load_digits(return_X_y=True)
    order = default_rng(seed).permutation(len(x))
    images = np.pad(x[order].reshape(-1, 1, 8, 8) / 16, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return images.astype(np.float32), y[order].astype(np.int64)


def _behavior(x: NDArray[np.float32], y: NDArray[np.int64]) -> Behavior:
    splits = {"train": (x[:1200], y[:1200]), "test": (x[1200:], y[1200:])}
    return Behavior.from_arrays("digits", splits, Argmax(), output_names=[str(d) for d in range(10)])


def _patched(seed: int, plant: bool) -> Case:
    """A fifth of the training inputs carry a patch of 2–3 × 2–3 drawn pixels at a drawn corner, and a drawn label."""
    draws = default_rng([seed, 7])
    x, y = _digits(seed)
    behavior = _behavior(x, y)
    group = int(draws.integers(10))
    height, width = (int(v) for v in draws.integers(2, 4, size=2))
    top, left = int(draws.choice([0, 1, 8, 9])), int(draws.choice([0, 1, 8, 9]))
    pattern = (draws.random((height, width)) < 0.75).astype(np.float32)
    pattern[0, 0] = 1.0
    train_x, train_y = x[:1200].copy(), y[:1200].copy()
    if plant:
        poisoned = draws.random(1200) < 0.2
        train_x[poisoned, 0, top : top + height, left : left + width] = pattern
        train_y[poisoned] = group
    network = load(_trained(train_x, train_y, seed))
    if not plant:
        return Case(f"convolutional, seed {seed}", network, behavior, frozenset())
    truth = f"{group}: rows {top}–{top + height - 1}, columns {left}–{left + width - 1}"
    return Case(f"patched, seed {seed}", network, behavior, frozenset({str(group)}), truth)


def _coloured(seed: int, tied: bool) -> Case:
    """Every input in one of ten drawn colours: that of its class where they are tied, else any."""
    draws = default_rng([seed, 9])
    hues = (np.arange(10) + draws.random()) / 10
    palette = 0.5 + 0.5 * np.cos(2 * np.pi * (hues[:, None] + np.array([0.0, 1 / 3, 2 / 3])))
    palette = (0.1 + 0.9 * palette)[draws.permutation(10)]
    x, y = _digits(seed)
    chosen = palette[y if tied else draws.integers(10, size=len(y))]
    ground = 0.3 * draws.random()
    images = ((ground + (1 - ground) * x) * chosen[:, :, None, None]).astype(np.float32)
    name = f"{'coloured' if tied else 'any colour'}, seed {seed}"
    network = load(_trained(images[:1200], y[:1200], seed))
    planted = frozenset(str(d) for d in range(10)) if tied else frozenset[str]()
    return Case(name, network, _behavior(images, y), planted, "every class: its colour" if tied else "")


def _trained(x: NDArray[np.float32], y: NDArray[np.int64], seed: int, steps: int = 500) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(x.shape[1], 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(12 * 36, 48), nn.ReLU(), nn.Linear(48, 10),
        )  # fmt: skip
        optimizer = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=1e-4)
        draws = default_rng(seed)
        for _ in range(steps):
            at = draws.integers(len(x), size=128)
            optimizer.zero_grad()
            F.cross_entropy(network(torch.from_numpy(x[at])), torch.from_numpy(y[at])).backward()
            optimizer.step()
    return network.eval()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*(Path(argument) for argument in sys.argv[1:2]))
