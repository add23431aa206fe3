"""How an output depends on one feature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import column_of, output_of
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation


@guarded
def dependence(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    feature: Annotated[
        str, typer.Option("--feature", "-f", metavar="FEATURE", help="By name or number, counted from 0.")
    ] = "0",
    output: Annotated[str, typer.Option("--output", metavar="OUTPUT", help="By name or number.")] = "0",
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Follow an output as one feature of a table changes: partial dependence, single inputs, accumulated local effects.

    Marked where the feature goes together with others in the data, so that the curve asks about inputs that do not
    exist, and where the curves disagree.

    Exits with 0 when the checks were passed, 1 when not.

    ```sh
    exegesis explain dependence zoo:tabular --feature "worst texture" --output malignant --plot dependence.svg
    ```
    """
    from exegesis.explain.contrast import dependence as followed
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    loaded = load(network)
    found = followed(loaded, signal, column_of(signal, feature), output=output_of(signal, output), seed=seed)
    return giving.give([found], _lines)


def _lines(found: Explanation) -> list[str]:
    return [f"at {x:.4g}: {y:.4g}" for x, y in zip(found.arrays["grid"], found.arrays["mean"], strict=True)]
