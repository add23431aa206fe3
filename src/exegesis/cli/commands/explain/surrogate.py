"""A tree that says what a network says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of


@guarded
def surrogate(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    leaves: Annotated[int, typer.Option("--leaves", metavar="N", help="Of the tree, at most.")] = 8,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Fit a small tree to a network's answers, and say as rules what it says; with its fidelity on held-out inputs.

    Exits with 0 when it says what the network says of nine in ten, 1 when not: then it is marked.

    ```sh
    exegesis explain surrogate zoo:tabular --leaves 6 --plot tree.svg
    ```
    """
    from exegesis.explain.contrast import surrogate as fitted
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    found = fitted(load(network), behavior_of(network, behavior), leaves=leaves, seed=seed)
    return giving.give([found], lambda _: list(found.rules))
