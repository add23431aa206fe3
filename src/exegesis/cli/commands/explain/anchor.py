"""What of an input suffices for its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import POSITION, asked_split
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, SPLIT, behavior_of


@guarded
def anchor(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    row: Annotated[int, typer.Option("--row", "-r", metavar="N", help="Which row of the split.", min=0)] = 0,
    precision: Annotated[
        float, typer.Option("--precision", metavar="SHARE", help="How often the answer has to stay.")
    ] = 0.95,
    most: Annotated[int, typer.Option("--most", metavar="N", help="Pieces that may be held.", min=1)] = 16,
    tile: Annotated[
        int | None,
        typer.Option("--tile", metavar="N", help="Images: hold squares of so many pixels.", show_default=False, min=1),
    ] = None,
    position: Annotated[int | None, POSITION] = None,
    split: Annotated[str | None, SPLIT] = None,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find what of an input suffices for the network's answer, whatever the rest holds.

    Squares of an image, letters of a string, or sides of the columns of a table are held, and all else comes from other
    inputs. Precision (the share of draws in which the answer stays, by its lower bound) and coverage (the share of
    inputs that hold the same) are measured on held-out inputs.

    Exits with 0 when precision was reached there, 1 when not: then the anchor is withheld.

    ```sh
    exegesis explain anchor zoo:tabular --row 3 --plot anchor.svg
    exegesis explain anchor zoo:majority --row 0
    ```
    """
    from exegesis.explain.contrast import anchor as sought
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    found = sought(
        load(network), signal, row, split=asked_split(signal, split), precision=precision, most=most, tile=tile,
        position=position, seed=seed,
    )  # fmt: skip
    return giving.give([found], lambda _: [f"these suffice: {found.rule}"])
