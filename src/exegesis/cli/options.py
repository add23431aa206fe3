"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.behavior import Behavior

NETWORK = typer.Argument(
    metavar="NETWORK",
    help="A Hugging Face folder, `file.py:function` that returns a module, or `zoo:name`.",
    show_default=False,
)
RUN = typer.Argument(metavar="RUN", help="A folder that `exegesis decompile` wrote.", show_default=False)
BEHAVIOR = typer.Option(
    "--behavior",
    "-b",
    metavar="FILE",
    help="What to explain: a `behavior.json`. Zoo networks bring their own.",
    show_default=False,
)
JSON = typer.Option("--json", help="Print JSON on stdout and nothing else.", show_default=False)
SEED = typer.Option("--seed", help="Of everything that is drawn; one seed gives the same bytes.")
QUIET = typer.Option("--quiet", "-q", help="Print nothing but errors.", show_default=False)


def behavior_of(network: str, behavior: Path | None) -> Behavior:
    """The behaviour from its file, or the one that a network of the zoo brings.

    Raises:
        InputError: there is none, or it cannot be used.
    """
    from exegesis.behavior import Behavior

    if behavior is not None:
        return Behavior.load(behavior)
    if network.startswith("zoo:"):
        from exegesis import zoo as shelf

        return shelf.behavior(network.removeprefix("zoo:"))
    raise InputError(f"Which behaviour of {network}? Name its file with --behavior; only zoo networks bring their own.")
