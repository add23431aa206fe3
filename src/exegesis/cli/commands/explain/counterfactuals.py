"""What would turn an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import INDEX, asked_split, few_rows, output_of, places_of
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, SPLIT, behavior_of

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation


@guarded
def counterfactuals(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    index: Annotated[str | None, INDEX] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="OUTPUT", help="What it is to become, by name or number.", show_default=False),
    ] = None,
    immutable: Annotated[
        str | None,
        typer.Option(
            "--immutable",
            metavar="FEATURES",
            help="What may not change: features by name or number, positions of a string; separated by commas.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[int, typer.Option("--most", metavar="N", help="Letters of a string that may change.", min=1)] = 4,
    split: Annotated[str | None, SPLIT] = None,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find the smallest change of an input after which the network says something else.

    Each change has to turn the answer, to need every place it changes, and to do what as large a change elsewhere does
    not.

    Exits with 0 when the checks were passed, 1 when not or when no change was found.

    ```sh
    exegesis explain counterfactuals zoo:tabular --index 0:3 --immutable "mean texture,worst texture"
    exegesis explain counterfactuals zoo:majority --index 0
    ```
    """
    from exegesis.explain.contrast import counterfactuals as sought
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    found = sought(
        load(network), signal, few_rows(index), to=None if to is None else output_of(signal, to),
        immutable=places_of(signal, immutable), split=asked_split(signal, split), most=most, seed=seed,
    )  # fmt: skip
    return giving.give([found], _lines)


def _lines(found: Explanation) -> list[str]:
    arrays = found.arrays
    lines = []
    for k, row in enumerate(arrays["rows"].tolist()):
        if k not in found.undefined:
            before, after = (found.name_of("outputs", int(arrays[key][k])) for key in ("before", "after"))
            lines.append(f"row {row}: {before} becomes {after} with {arrays['places'][k]} places changed")
            if "least" not in arrays or "features" in found.names:
                lines += _places(found, k)
    return lines


def _places(found: Explanation, k: int) -> list[str]:
    """What is changed, place by place; of letters and of columns that have names."""
    before, after = (found.arrays[key][k] for key in ("inputs", "changed"))
    moved = (before != after).nonzero()[0].tolist()
    if "features" in found.names:
        return [f"  {found.name_of('features', at)}: {before[at]:.4g} → {after[at]:.4g}" for at in moved]
    return [
        f"  position {at}: {found.name_of('tokens', int(before[at]))} → {found.name_of('tokens', int(after[at]))}"
        for at in moved
    ]
