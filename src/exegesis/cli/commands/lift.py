"""Turns a network into its exact program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, NETWORK, behavior_of


@guarded
def lift(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    listing: Annotated[bool, typer.Option("--listing", help="Print the program too.", show_default=False)] = False,
) -> int:
    """Turn a network into its exact program, and print how exact it is.

    The certificate lists the error at every value that network and program share.

    ```sh
    exegesis lift models/mine --behavior models/mine/behavior.json
    ```
    """
    from exegesis.ir import pretty
    from exegesis.ir.progress import Silent
    from exegesis.pipeline.decompile import prepare

    started = prepare(network, behavior_of(network, behavior), seed=0, progress=Silent())
    if listing:
        print(pretty(started.lifted.graph))
    print(started.lifted.certificate)
    return HOLDS
