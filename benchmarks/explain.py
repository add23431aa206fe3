"""What input importance costs: ours, captum as it comes, and the floor.

    python -m benchmarks.explain                       # about five minutes on one core
    python -m benchmarks.explain --images 64 --rounds 1

256 images through a convolutional network of 94,030 parameters. The floor is the bare forward and backward passes that
a method needs, one after another at the batch size at which they are fastest, with nothing done to what comes out.
Seconds are those of the processor, one thread; ours and the floor take turns, and each counts by its best round. Ours
contains the probe that finds the batch size. Memory is the peak of a process of its own above what it holds when inputs
are loaded (Linux only).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from exegesis.explain import Inputs, NetworkModel, Objective
from exegesis.explain.saliency import GradientShap, IntegratedGradients, Method, Occlusion, Setting
from exegesis.runtime import load

SIZES = (8, 16, 32, 64, 128, 256)
STEPS, SAMPLES, WINDOW, STRIDE = 50, 50, 4, 4


class Convnet(nn.Module):
    """94,030 parameters; images [b, 1, 28, 28] to [b, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3)
        self.fc1, self.fc2 = nn.Linear(32 * 5 * 5, 110), nn.Linear(110, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        out: Tensor = self.fc2(F.relu(self.fc1(x.flatten(1))))
        return out


@dataclass(frozen=True)
class Case:
    """A method, how many passes it needs per image, whether they go back, and captum's own of it."""

    name: str
    ours: Method
    passes: int
    back: bool
    captum: Callable[[nn.Module, Tensor, Tensor], Tensor]


def _captum(kind: str, network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import captum.attr as captum

        if kind == "ig":
            return captum.IntegratedGradients(network).attribute(x, target=target, n_steps=STEPS)
        if kind == "occlusion":
            window = (1, WINDOW, WINDOW)
            return captum.Occlusion(network).attribute(x, window, strides=(1, STRIDE, STRIDE), target=target)
        return captum.GradientShap(network).attribute(x, x, n_samples=SAMPLES, stdevs=0.0, target=target)


CASES = (
    Case(
        "integrated gradients, 50 steps",
        IntegratedGradients(STEPS),
        STEPS,
        True,
        lambda n, x, t: _captum("ig", n, x, t),
    ),
    Case("occlusion", Occlusion(WINDOW, STRIDE), 49, False, lambda n, x, t: _captum("occlusion", n, x, t)),
    Case("GradientSHAP", GradientShap(SAMPLES), SAMPLES, True, lambda n, x, t: _captum("shap", n, x, t)),
)


def network_and_images(images: int) -> tuple[nn.Module, Tensor]:
    """The network with the weights of seed 0, and inputs."""
    torch.manual_seed(0)
    return Convnet().eval(), torch.from_numpy(np.random.default_rng(0).random((images, 1, 28, 28), dtype=np.float32))


def bare(network: nn.Module, x: Tensor, rows: int, batch: int, back: bool) -> None:
    """Passes of `rows` rows, and nothing else."""
    for start in range(0, rows, batch):
        size = min(batch, rows - start)
        part = x[:size] if size <= len(x) else x.repeat(-(-size // len(x)), 1, 1, 1)[:size]
        if back:
            given = part.detach().requires_grad_(True)
            torch.autograd.grad(network(given)[:, 0].sum(), given)
        else:
            with torch.no_grad():
                network(part)


def best_batch(network: nn.Module, x: Tensor, back: bool) -> int:
    """The size at which a row is fastest, each size by the best of three tries."""
    frozen = [p.requires_grad_(False) for p in network.parameters()]
    assert frozen
    seconds = {size: min(_cpu(lambda s=size: bare(network, x, 512, s, back)) for _ in range(3)) for size in SIZES}  # type: ignore[misc]
    return min(seconds, key=seconds.__getitem__)


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def ours(case: Case, network: nn.Module, x: Tensor) -> Tensor:
    """The whole of it, from inputs to values, the probe for the batch size included."""
    objective = Objective(NetworkModel(load(network)), Inputs.of(x))
    return case.ours.attribute(Setting(objective)).values


def theirs(case: Case, network: nn.Module, x: Tensor) -> Tensor:
    """Captum's defaults on the same target."""
    with torch.no_grad():
        target = network(x).argmax(1)
    return case.captum(network, x, target)


def peak(case: int, tool: str, images: int) -> float:
    """MiB that a process needs beyond what it holds with the inputs loaded."""
    command = [sys.executable, "-m", "benchmarks.explain", "--alone", str(case), tool, "--images", str(images)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _alone(case: int, tool: str, images: int) -> None:
    network, x = network_and_images(images)
    import captum.attr

    assert captum.attr
    bare(network, x, 8, 8, True)
    before = _highest()
    (ours if tool == "ours" else theirs)(CASES[case], network, x)
    print(_highest() - before)


def _highest() -> float:
    """The peak of this process so far in MiB. (What getrusage says includes that of the parent.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> int:
    """Prints the table; 1 where a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", nargs=2, metavar=("CASE", "TOOL"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.alone:
        _alone(int(chosen.alone[0]), chosen.alone[1], chosen.images)
        return 0
    network, x = network_and_images(chosen.images)
    print(f"{STEPS} steps, {CASES[1].passes} windows, {SAMPLES} samples")
    table = Table(title=f"Input importance of {chosen.images} images, 94,030 parameters", box=None)
    for column in ("", "floor s", "at batch", "ours s", "÷ floor", "MiB", "captum s", "÷ floor", "MiB"):
        table.add_column(column, justify="left" if not column else "right")
    missed = 0
    for number, case in enumerate(CASES):
        batch = best_batch(network, x, case.back)
        rows = case.passes * chosen.images
        seconds: dict[str, list[float]] = {"floor": [], "ours": [], "captum": []}
        for _ in range(chosen.rounds):
            seconds["floor"].append(_cpu(lambda b=batch, c=case, r=rows: bare(network, x, r, b, c.back)))  # type: ignore[misc]
            seconds["ours"].append(_cpu(lambda c=case: ours(c, network, x)))  # type: ignore[misc]
        for p in network.parameters():
            p.requires_grad_(True)  # as a user brings it
        seconds["captum"].append(_cpu(lambda c=case: theirs(c, network, x)))  # type: ignore[misc]
        floor, own, other = (min(seconds[name]) for name in ("floor", "ours", "captum"))
        memory = [peak(number, tool, chosen.images) for tool in ("ours", "captum")]
        missed += own > 1.1 * floor or memory[0] > 512
        figures = (f"{floor:.2f}", str(batch), f"{own:.2f}", f"{own / floor:.2f}", f"{memory[0]:.0f}")
        table.add_row(case.name, *figures, f"{other:.2f}", f"{other / floor:.2f}", f"{memory[1]:.0f}")
    Console(width=120).print(table)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
