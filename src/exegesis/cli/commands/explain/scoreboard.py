"""Which attribution methods may be trusted on a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exegesis.cli.commands.explain.options import CHUNK, INDEX, RETRAIN, SPLIT, TARGET, rows_of
from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, QUIET, SEED, behavior_of


@guarded
def scoreboard(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", metavar="NAME", help="Only this one; may be repeated.", show_default=False),
    ] = None,
    index: Annotated[str | None, INDEX] = None,
    split: Annotated[str, SPLIT] = "test",
    target: Annotated[str, TARGET] = "answer",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write it as `.json`.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it as `.svg` or `.png`.", show_default=False)
    ] = None,
    chunk: Annotated[int | None, CHUNK] = None,
    may_retrain: Annotated[bool, RETRAIN] = True,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Put every attribution method to every test on a network, and say which may be trusted there.

    Networks of the zoo are also trained again, on permuted labels and without what a method ranks first.

    ```sh
    exegesis explain scoreboard zoo:digits --method gradient --method guided-backprop --plot scores.svg
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain import Target
    from exegesis.pipeline.explaining import scoreboard as scored

    found = scored(
        network,
        behavior_of(network, behavior),
        methods=method or None,
        split=split,
        index=rows_of(index),
        target=Target.parse(target),
        chunk=chunk,
        may_retrain=may_retrain,
        seed=seed,
        watch=(lambda name: None) if quiet or as_json else (lambda name: typer.echo(f"… {name}", err=True)),
    )
    if out is not None:
        found.save(out)
    if plot is not None:
        found.figure().save(plot)
    if as_json:
        print_json(found.record())
    elif not quiet:
        from exegesis.cli.commands.explain.table import print_scores

        print_scores(found)
    return HOLDS
