"""The command line: `exegesis decompile`, `show`, `lift`, `verify`, `diff`, `zoo`, `hunt`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from exegesis import __version__
from exegesis.cli.commands import COMMANDS, GROUPS

app = typer.Typer(
    name="exegesis",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _command in COMMANDS:
    app.command(_command.__name__)(_command)
for _group in GROUPS:
    app.add_typer(_group)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"exegesis {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _describe(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A decompiler for neural networks: bring a trained network and a behaviour, get back a readable, tested program.

    ```sh
    exegesis zoo
    exegesis decompile zoo:majority --out runs/majority
    exegesis show runs/majority
    ```

    Wrong input ends with one sentence and exit code 2, and leaves nothing half-written.
    """


def main() -> None:
    """Runs the command line and exits."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # advice on padding is not for those who decompile
    app(prog_name="exegesis")
