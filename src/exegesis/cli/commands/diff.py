"""Compares two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded


@guarded
def diff(
    before: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another run.", show_default=False)],
) -> int:
    """Say what differs between the programs of two runs.

    Exits with 0 where nothing does, else with 1. Needs neither network nor torch.

    ```sh
    exegesis diff runs/step-1000 runs/step-2000
    ```
    """
    from exegesis.ir import diff as compared
    from exegesis.ir import load_graph
    from exegesis.store import RunFolder

    graphs = [load_graph(RunFolder.open(run).path) for run in (before, after)]
    found = compared(*graphs)
    print(found)
    return DOES_NOT_HOLD if found else HOLDS
