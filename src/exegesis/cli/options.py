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
    help="A Hugging Face folder, `file.py:function` that returns a module, `model.onnx`, or `zoo:name`.",
    show_default=False,
)
RUN = typer.Argument(metavar="RUN", help="A folder that `exegesis decompile` wrote.", show_default=False)
BEHAVIOR = typer.Option(
    "--behavior",
    "-b",
    metavar="FILE",
    help="What to explain: a file in the format of `behavior.json`. Without it, the `behavior.json` in the network's "
    "folder; zoo networks bring their own.",
    show_default=False,
)
JSON = typer.Option("--json", help="Print JSON on stdout and nothing else.", show_default=False)
SEED = typer.Option("--seed", help="Of everything that is drawn; one seed gives the same bytes.")
PLOT = typer.Option("--plot", metavar="FILE", help="Write a picture here, .svg or .png.", show_default=False)
SPLIT = typer.Option(
    "--split", metavar="NAME", help="Which split; `test` where there is one, else the first.", show_default=False
)
QUIET = typer.Option("--quiet", "-q", help="Print nothing but errors.", show_default=False)


def behavior_of(network: str, behavior: Path | None) -> Behavior:
    """The behaviour from its file, or the one that the network brings: of the zoo, or beside it in its folder.

    Raises:
        InputError: there is none, or it cannot be used.
    """
    from exegesis.behavior import Behavior

    if behavior is not None:
        return Behavior.load(behavior)
    if network.startswith("zoo:"):
        from exegesis import zoo as shelf

        return shelf.behavior(network.removeprefix("zoo:"))
    beside = _folder_of(network) / "behavior.json"
    if beside.is_file():
        return Behavior.load(beside)
    raise InputError(f"Which behaviour of {network}? Name its file with --behavior; there is no {beside}.")


def _folder_of(network: str) -> Path:
    """The folder of a saved network, or that of the file which holds it or builds it."""
    path = Path(network)
    return path if path.is_dir() else Path(network.rpartition(":")[0] or network).parent


def check_picture(path: Path | None) -> None:
    """Raises InputError where a picture could not be written, before anything is computed for it."""
    if path is not None and path.suffix not in (".svg", ".png"):
        raise InputError(f"A picture is written as .svg or .png, not as {path.suffix or 'a file without an ending'}.")


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """`2,3,5-7` as numbers. Raises InputError where it says something else."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise InputError(f"{option} takes whole numbers such as 2,3,5-7, not {text!r}.")
        found.extend(range(int(low), int(high or low) + 1))
    return tuple(found)
