"""Steps per second of feature visualisation beside a bare loop that does the same to one image.

    python -m benchmarks.features [MODELS]

Both optimise images by their pixels, with a random move before every step, through one network; the bare loop is a
dozen lines of PyTorch. A step of a batch of k images counts as k steps: that is what k units take. MODELS is a folder
of networks trained by others; without it a network of the same kind with random weights is timed.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import nn

from exegesis.explain.features import Canvas, Climb, Jitter, Layer, Wanted, maximise
from exegesis.runtime import Network, load

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
SHIFT = Jitter(shift=0.05, degrees=0.0, scale=0.0, noise=0.0)


def main(models: Path = DEFAULT) -> None:
    """Prints steps per second of processor time, best of five, taken in turn."""
    network = _network(models)
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0, :2] = torch.tensor([0.0, 1.0])  # the range of images
    table = Table("what", "images", "image steps per second", "beside the bare loop")
    runs: list[tuple[str, int, Callable[[int], None]]] = [("bare loop: pixels, a move", 1, _bare(network, 1))]
    runs.append(("bare loop, batched by hand", 32, _bare(network, 32)))
    runs.append(("bare loop: pixels; moved, turned, scaled, noise", 1, _bare(network, 1, whole=True)))
    for label, jitter, spectral in (
        ("exegesis: pixels, the same move", SHIFT, False),
        ("exegesis: pixels; moved, turned, scaled, noise", Jitter(), False),
        ("exegesis: spectrum; moved, turned, scaled, noise", Jitter(), True),
    ):
        runs.extend((label, count, _ours(network, x, count, jitter, spectral)) for count in (1, 32))
    best = [0.0] * len(runs)
    for _ in range(5):
        for number, (_, count, run) in enumerate(runs):
            steps = 60 if count == 1 else 15
            start = time.process_time()
            run(steps)
            best[number] = max(best[number], count * steps / (time.process_time() - start))
    for (label, count, _), speed in zip(runs, best, strict=True):
        table.add_row(label, str(count), f"{speed:,.0f}", f"{speed / best[0]:.2f}")
    Console(width=110).print(table)


def _bare(network: Network, count: int, whole: bool = False) -> Callable[[int], None]:
    """What one would write: the logit of a class, Adam on pixels, a random roll; or the whole of our transforms."""

    def run(steps: int) -> None:
        module = copy.deepcopy(network.module).requires_grad_(False)
        image = torch.zeros(count, 1, 28, 28, requires_grad=True)
        optimizer = torch.optim.Adam([image], lr=0.05)
        generator = torch.Generator().manual_seed(0)
        own = torch.arange(count) % 10
        for _ in range(steps):
            optimizer.zero_grad()
            shown = torch.sigmoid(image)
            if whole:
                shown = _transformed(shown, generator)
            else:
                shown = shown.roll(tuple(torch.randint(-1, 2, (2,), generator=generator).tolist()), (2, 3))
            loss = -module(shown)[torch.arange(count), own].sum()
            loss.backward()
            optimizer.step()

    return run


def _transformed(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Up to 5 % moved, 5° turned, 5 % scaled, and noise, as one would write it."""
    angle, zoom, *move = (2 * torch.rand((4, len(x)), generator=generator) - 1) * torch.tensor(
        [[0.0873], [0.05], [0.1], [0.1]]
    )
    cos, sin = (1 + zoom) * angle.cos(), (1 + zoom) * angle.sin()
    theta = torch.stack([torch.stack([cos, -sin, move[0]], 1), torch.stack([sin, cos, move[1]], 1)], 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    moved = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return moved + 0.05 * torch.randn(x.shape, generator=generator)


def _ours(network: Network, x: torch.Tensor, count: int, jitter: Jitter, spectral: bool) -> Callable[[int], None]:
    def run(steps: int) -> None:
        canvas = Canvas.of(x, spectral)
        wanted = Wanted.units([k % 10 for k in range(count)], 10, "outputs")
        maximise(Layer(network, None), wanted, canvas, Climb(steps=steps, spectral=spectral, jitter=jitter))

    return run


def _network(models: Path) -> Network:
    folder = models / "vision" / "mnist_badnet"
    if folder.is_dir():
        return load(f"{folder / 'network.py'}:build")
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.AvgPool2d(2)]
    return load(nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*(Path(argument) for argument in sys.argv[1:2]))
