"""Compresses every network over arrays; prints how small it becomes at what faithfulness, and what its layers need.

    python -m benchmarks.compress [MODELS]

MODELS is a folder of networks trained by others (by default `../shared/models` beside the checkout; left out where
absent); those of the zoo come with the package.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

import exegesis as ex
from exegesis import zoo
from exegesis.ir import ExegesisError
from exegesis.pipeline.compressing import Compression

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models"


def main(models: Path = DEFAULT) -> None:
    """Prints both tables when all networks are done."""
    curve = Table("network", "asked", "bits", "of lifted", "numbers", "units", "inputs", "held out", "test", "seconds")
    inside = Table("network", "layer", "units", "vary (95 %)", "ablation", "interchange", "random lesions", "ordered")
    for name, network, behavior in (*_trained(models), *_zoo()):
        try:
            found = ex.compress(network, behavior)
        except ExegesisError as error:
            curve.add_row(name, str(error))
            continue
        _rows(curve, inside, name, found)
    console = Console(width=120)
    console.print(curve)
    console.print(inside)


def _rows(curve: Table, inside: Table, name: str, found: Compression) -> None:
    for k, p in enumerate(found.points):
        test = "" if p.test is None else f"{p.test:.2%}"
        about = (f"{p.bits:,.0f}", f"{p.share:.2%}", f"{p.numbers:,}", str(p.units), str(p.entries), f"{p.held:.2%}")
        curve.add_row("" if k else name, f"{p.floor:.1%}", *about, test, "" if k else f"{found.seconds:.0f}")
    lost = found.redundancy
    for k, d in enumerate(found.layers):
        counts = (str(d.units), str(d.varying), str(d.ablation), str(d.interchange))
        lesions = ("", "") if k else (f"{lost.tolerated[0]:.0f} of {lost.units}", f"{lost.tolerated_ordered:.0f}")
        inside.add_row("" if k else name, d.node, *counts, *lesions)


def _trained(models: Path) -> Iterator[tuple[str, str, Path]]:
    for folder in sorted((models / "vision").glob("*/network.py")):
        yield folder.parent.name, f"{folder}:build", folder.parent / "behavior.json"


def _zoo() -> Iterator[tuple[str, str, str]]:
    for name in zoo.names():
        if not zoo.behavior(name).is_sequence:
            yield f"zoo:{name}", f"zoo:{name}", f"zoo:{name}"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
