"""Finds where a network leaves its task, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, QUIET, SEED, behavior_of
from exegesis.ir import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from exegesis.pipeline.limits_repairs import Repair
    from exegesis.pipeline.limits_report import LimitsReport, Tally

_SHOWN = 6


@guarded
def limits(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", "-r", metavar="RUN", help="A run whose program says where heads should look.", show_default=False
        ),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            "--truth",
            metavar="WHAT",
            help="What is right in place of the labels: `file.py:function`, or a run.",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        str, typer.Option("--search", metavar="TIME", help="Search so long for inputs that go wrong; 0 for not at all.")
    ] = "20s",
    rows: Annotated[int, typer.Option("--rows", help="At most so many rows of each split.", min=20)] = 1000,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write everything as JSON.", show_default=False)
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Put it into the run as `limits.json`.", show_default=False)
    ] = False,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find where a network leaves its task, what the failures have in common, and which head they come from.

    The shortest condition that tells failures from right answers is found on one half of the rows and tested on the
    other. With a run, what its program says of where heads look is put into the network: failures that go away come
    from there. The run may be that of another network of the same build, such as a later checkpoint. With a run or a
    truth, further inputs are searched for on which the network differs from it.

    Exits with 1 when the network fails somewhere, 0 when nothing was found.

    ```sh
    exegesis limits zoo:majority
    exegesis limits models/mine -b models/mine/behavior.json --run runs/mine --save
    exegesis limits models/mine -b models/mine/behavior.json --truth task.py:answers --search 1m
    ```
    """
    from exegesis.cli.printing import deliver
    from exegesis.ir.files import write_text
    from exegesis.pipeline.limits import limits as found_limits
    from exegesis.store import RunFolder
    from exegesis.store.run_folder import LIMITS
    from exegesis.verify.budget import seconds_of

    if save and run is None:
        raise InputError("--save puts the findings into a run; name it with --run.")
    if run is not None:
        RunFolder.open(run)
    told = (lambda said: None) if quiet or as_json else (lambda said: print(f"… {said}", flush=True))
    found = found_limits(
        network,
        behavior_of(network, behavior),
        run=run,
        truth=truth,
        rows=rows,
        search=0.0 if search.strip() == "0" else seconds_of(search),
        seed=seed,
        progress=told,
    )
    if save and run is not None:
        write_text(run / LIMITS, json.dumps(found.record(), indent=1, allow_nan=False) + "\n")
    deliver(found, out, as_json=as_json, quiet=quiet, show=_print)
    return DOES_NOT_HOLD if found.flawed else HOLDS


def _print(console: Console, found: LimitsReport) -> None:
    from exegesis.cli.tables import plain_table

    console.print()
    for sentence in found.sentences():
        console.print(sentence)
    console.print()
    _tallies(console, "split", found.splits)
    if found.wrong:
        _tallies(console, "length", found.by_length)
        _tallies(console, "position", found.by_position)
        table = plain_table("what it does where it is wrong", "times")
        for kind in found.kinds[:_SHOWN]:
            table.add_row(kind.what, f"{kind.count:,}")
        console.print(table)
        if found.margin is not None:
            console.print(f"A right answer is given more clearly than a wrong one {found.margin:.1%} of the time.")
    if found.repairs:
        _repairs(console, found.repairs)
    for hunt in found.hunts:
        if hunt.found:
            table = plain_table(f"inputs that differ from {hunt.against}", "network says", hunt.against, "alike")
            for e in hunt.found[:_SHOWN]:
                table.add_row(e.text, str(e.said), str(e.right), str(e.count))
            console.print(table)


def _tallies(console: Console, name: str, tallies: Sequence[Tally]) -> None:
    from exegesis.cli.tables import plain_table

    table = plain_table(name, "answers", "wrong", "right", "rows", "rows with a wrong one")
    for t in tallies:
        table.add_row(t.name, f"{t.answers:,}", f"{t.wrong:,}", f"{t.right:.2%}", f"{t.rows:,}", f"{t.rows_wrong:,}")
    console.print(table)


def _repairs(console: Console, repairs: Sequence[Repair]) -> None:
    from exegesis.cli.tables import plain_table

    table = plain_table(
        "made to look at", "heads", "mended", "broken", "others, net", "attention there: right", "wrong"
    )
    for r in repairs:
        others = "–" if r.others is None else f"{r.others:.0%}"
        there = ["–" if a is None else f"{a:.0%}" for a in (r.attention_right, r.attention_wrong)]
        table.add_row(r.what, ", ".join(r.heads), f"{r.share:.0%}", f"{r.harm:.1%}", others, *there)
    console.print(table)
