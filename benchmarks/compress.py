"""Compresses every network: how small it becomes at what faithfulness, what its layers need, how many parts must stay.

    python -m benchmarks.compress [NAME...] [--models MODELS]

NAME picks networks by their names, or by the start of them (`mnist`, `drasp/D2`, `zoo:`); all by default. MODELS is a
folder of networks trained by others (by default `../shared/models` beside the checkout; left out where absent); those
of the zoo come with the package. Three tables in Markdown are printed when all networks are done; how far it is, on
standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import exegesis as ex
from exegesis import zoo
from exegesis.ir import ExegesisError
from exegesis.pipeline.compressing import Compression

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
GROUPS = ("vision", "drasp", "algorithmic", "tracr")

CURVE = (
    "network",
    "asked",
    "bits",
    "of lifted",
    "numbers",
    "heads",
    "units",
    "inputs",
    "directions",
    "held",
    "test",
    "s",
)
INSIDE = ("network", "layer", "kind", "units", "vary (95 %)", "ablation", "interchange")
PARTS = ("network", "parts", "there are", "resample", "mean", "zero", "random that can go")


def main(names: Sequence[str], models: Path) -> None:
    """Prints the tables."""
    tables: list[tuple[tuple[str, ...], list[tuple[str, ...]]]] = [(CURVE, []), (INSIDE, []), (PARTS, [])]
    for name, network, behavior in (*_trained(models), *_zoo()):
        if names and not any(name.startswith(n) for n in names):
            continue
        began = time.process_time()
        try:
            found = ex.compress(network, behavior)
        except ExegesisError as error:
            tables[0][1].append((name, str(error), *[""] * (len(CURVE) - 2)))
            continue
        seconds = time.process_time() - began
        for (_, rows), more in zip(
            tables, (_curve(name, found, seconds), _inside(name, found), _parts(name, found)), strict=True
        ):
            rows += more
        print(f"{name}: {seconds:.0f} s of computing, {found.seconds:.0f} s", file=sys.stderr, flush=True)
    for head, rows in tables:
        print("\n" + "\n".join(_line(row) for row in (head, ("---",) * len(head), *rows)))


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _curve(name: str, found: Compression, seconds: float) -> Iterator[tuple[str, ...]]:
    for k, p in enumerate(found.points):
        about = (f"{p.bits:,.0f}", f"{p.share:.2%}", f"{p.numbers:,}")
        parts = ("" if v is None else str(v) for v in (p.heads, p.units, p.entries, p.directions))
        kept = (f"{p.held:.2%}", "" if p.test is None else f"{p.test:.2%}")
        yield ("" if k else name, f"{p.floor:.1%}", *about, *parts, *kept, "" if k else f"{seconds:.0f}")
    if not found.points:
        yield (name, "; ".join(found.notes), *[""] * (len(CURVE) - 3), f"{seconds:.0f}")


def _inside(name: str, found: Compression) -> Iterator[tuple[str, ...]]:
    for k, d in enumerate(found.layers):
        yield ("" if k else name, d.node, d.kind, *(str(v) for v in (d.units, d.varying, d.ablation, d.interchange)))


def _parts(name: str, found: Compression) -> Iterator[tuple[str, ...]]:
    for k, f in enumerate(found.families):
        random = f"{f.random[0]:.0f} ({f.random[1]:.0f} to {f.random[2]:.0f})"
        yield ("" if k else name, f.kind, *(str(v) for v in (f.parts, f.resample, f.mean, f.zero)), random)


def _trained(models: Path) -> Iterator[tuple[str, str, Path]]:
    for group in GROUPS:
        for behavior in sorted((models / group).glob("*/behavior.json")):
            folder = behavior.parent
            built = folder / "network.py"
            name = folder.name if group == "vision" else f"{group}/{folder.name}"
            yield name, f"{built}:build" if built.exists() else str(folder), behavior


def _zoo() -> Iterator[tuple[str, str, str]]:
    for name in zoo.names():
        yield f"zoo:{name}", f"zoo:{name}", f"zoo:{name}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--models", type=Path, default=DEFAULT)
    asked = parser.parse_args()
    main(asked.names, asked.models)
