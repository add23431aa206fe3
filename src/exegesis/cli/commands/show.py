"""Prints a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import JSON, RUN


@guarded
def show(
    run: Annotated[Path, RUN],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Print a program with its modules and figures.

    Needs neither the network nor torch.

    ```sh
    exegesis show runs/majority
    exegesis show runs/majority --json
    ```
    """
    from exegesis.cli.printing import (
        modules_record,
        print_json,
        print_modules,
        print_program,
        print_verdict,
        terminal,
        verdict_record,
    )
    from exegesis.emit import outline
    from exegesis.ir import load_graph
    from exegesis.store import RunFolder

    opened = RunFolder.open(run)
    modules, verdict = outline(load_graph(run)), opened.verdict()
    if as_json:
        record = {"program": opened.source(), "modules": modules_record(modules), "verdict": verdict_record(verdict)}
        print_json(record)
        return HOLDS
    console = terminal()
    print_program(console, opened.source())
    print_modules(console, modules)
    print_verdict(console, verdict)
    return HOLDS
