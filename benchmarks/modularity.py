"""How modular trained networks are: n-cuts of their weights in standard deviations from 50 shuffles.

    python -m benchmarks.modularity [MODELS]

The four wide digit networks of the zoo differ in how they were trained alone. MODELS is a folder of networks trained by
others (by default `../shared/models` beside the checkout; left out where absent). The published pattern, of arXiv
2103.03386 and arXiv 2110.08058: dense networks are more modular than their shuffles, more so with dropout and pruning;
with an L1 penalty they are not, and neither are small convolutional networks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from exegesis import zoo
from exegesis.behavior import Behavior
from exegesis.measure import Layers
from exegesis.measure.modularity import cut_test, wiring
from exegesis.pipeline.subjects import Subject, subject

DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "models"
ZOO = ("dense_plain", "dense_dropout", "dense_pruned", "dense_l1", "digits")
K = 12  # as published


def main(models: Path = DEFAULT) -> None:
    """Prints the table, row by row."""
    table = Table("network", "units", "right", "z (k = 12)", "z, zeros kept", "z, degrees kept", "best k", "z", "p", "")
    for right, there in (*_zoo(), *_trained(models)):
        graph = wiring(there.graph, Layers.of(there.graph)).graph
        shuffle = cut_test(graph, restarts=4)
        others = [cut_test(graph, ks=(K,), null=null, restarts=4) for null in ("nonzero", "degree")]
        published = next((a.z for a in shuffle.at if a.k == K), float("nan"))
        sparse = any((b.weights == 0).mean() > 0.01 for b in graph.blocks)
        table.add_row(
            there.name.replace("/network.py:build", ""),
            f"{graph.n:,}" + (f" ({shuffle.isolated} dead)" if shuffle.isolated else ""),
            right,
            f"{published:.1f}",
            f"{others[0].best.z:.1f}" if sparse else "–",
            f"{others[1].best.z:.1f}",
            str(shuffle.best.k),
            f"{shuffle.best.z:.1f}",
            f"{shuffle.p:.3f}",
            "modular" if shuffle.modular else "not modular",
        )
    Console(width=140).print(table)


def _zoo() -> Iterator[tuple[str, Subject]]:
    for name in ZOO:
        yield f"{zoo.card(name).accuracy['test']:.1%}", subject(f"zoo:{name}", zoo.behavior(name))


def _trained(models: Path) -> Iterator[tuple[str, Subject]]:
    for folder in sorted(models.glob("vision/*/")):
        if (folder / "network.py").is_file():
            yield "", subject(f"{folder / 'network.py'}:build", Behavior.load(folder / "behavior.json"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
