"""Judges a saved program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, QUIET, RUN, SEED, behavior_of

if TYPE_CHECKING:
    from exegesis.behavior import Behavior
    from exegesis.ir import Graph
    from exegesis.runtime import Network


@guarded
def verify(
    run: Annotated[Path, RUN],
    network: Annotated[
        str, typer.Option("--network", "-n", metavar="NETWORK", help="The network to judge by.", show_default=False)
    ],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    budget: Annotated[
        str, typer.Option("--budget", metavar="TIME", help="How long it may compute, e.g. 30s or 2m.")
    ] = "2m",
    seed: Annotated[int, SEED] = 0,
    save: Annotated[
        bool,
        typer.Option("--save", help="Put the verdict into the run, in place of the one there.", show_default=False),
    ] = False,
    stability: Annotated[
        bool,
        typer.Option(
            "--stability", help="Decompile again from other samples too, and compare the parts.", show_default=False
        ),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Judge a saved program again, from its files alone, against a network.

    Measures agreement, proves it where the inputs can be listed, swaps variables inside the network and compares what
    happens with what the program says, ablates what is used and what is not, and searches for inputs on which the two
    differ. A smaller budget makes for fewer cases and weaker statuses.

    Exits with 0 when the program holds, 1 when it does not, 2 when that could not be told.

    ```sh
    exegesis verify runs/mine --network models/mine --behavior models/mine/behavior.json --budget 30s
    ```
    """
    from exegesis.cli.printing import print_json, print_verdict, terminal, verdict_record
    from exegesis.cli.watch import watching
    from exegesis.runtime import load
    from exegesis.store import RunFolder
    from exegesis.verify import exit_code
    from exegesis.verify import verify as judged

    opened = RunFolder.open(run)
    signal = behavior_of(network, behavior)
    with watching(quiet or as_json) as progress:
        loaded = load(network)
        again = _again(loaded, signal) if stability else None
        verdict = judged(opened, loaded, signal, budget=budget, seed=seed, progress=progress, decompile=again)
    if save:
        from exegesis.pipeline.conclude import rejudged

        rejudged(opened, verdict, loaded, signal)
    if as_json:
        print_json(verdict_record(verdict))
    else:
        print_verdict(terminal(), verdict)
    return exit_code(verdict)


def _again(network: Network, behavior: Behavior) -> Callable[[int], Graph]:
    """Decompiles the network with another seed."""
    from exegesis.pipeline import decompile as decompiled

    return lambda seed: decompiled(network, behavior, seed=seed).graph
