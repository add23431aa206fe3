"""Options that several explanations share."""

from __future__ import annotations

import typer

from exegesis.ir import InputError

INDEX = typer.Option(
    "--index", "-i", metavar="ROWS", help="Rows of the split, counted from 0: `7`, `0:16`, `3,5,8`.", show_default=False
)
SPLIT = typer.Option("--split", metavar="NAME", help="The split that rows come from.")
TARGET = typer.Option(
    "--target", "-t", metavar="OUTPUT", help="`answer` (the network's own), an output as `7`, or a difference as `7-9`."
)
POSITION = typer.Option(
    "--position", metavar="N", help="Where in a sequence; the last scored position unless told.", show_default=False
)
LAYER = typer.Option("--layer", metavar="PATH", help="A module inside it; its outputs unless told.", show_default=False)
CHUNK = typer.Option(
    "--chunk", metavar="N", help="Rows through the network at a time; measured unless told.", show_default=False, min=1
)

RETRAIN = typer.Option(
    "--retrain/--no-retrain", help="Train networks of the zoo again, for the checks that ask for it: takes a minute."
)


def rows_of(text: str | None) -> list[int] | None:
    """`7`, `0:16` or `3,5,8` as a list of rows. Raises InputError on anything else."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    rows: list[int] = []
    for part in parts:
        first, colon, last = part.partition(":")
        if not first.isdecimal() or (colon and not last.isdecimal()):
            raise InputError(f"Rows are given as `7`, `0:16` or `3,5,8`, not as {text!r}.")
        rows.extend(range(int(first), int(last)) if colon else [int(first)])
    if not rows:
        raise InputError(f"{text!r} names no row.")
    return rows
