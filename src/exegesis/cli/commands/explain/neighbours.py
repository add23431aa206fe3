"""Which training inputs a network takes to be like these."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import INDEX, LAYER, asked_split, few_rows
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, SPLIT, behavior_of

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation


@guarded
def neighbours(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    index: Annotated[str | None, INDEX] = None,
    layer: Annotated[str | None, LAYER] = None,
    count: Annotated[int, typer.Option("--count", "-k", metavar="K", help="Neighbours of each.", min=1)] = 5,
    split: Annotated[str | None, SPLIT] = None,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find the training inputs that are nearest to some inputs, as a layer sees them.

    Neighbours should get the same answer, far more often than inputs at random.

    Exits with 0 when the check was passed, 1 when not.

    ```sh
    exegesis explain neighbours zoo:convnet --layer hidden --index 0:3 --plot near.svg
    ```
    """
    from exegesis.explain.examples import nearest
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    found = nearest(
        load(network), signal, layer, few_rows(index), split=asked_split(signal, split),
        among=next(iter(signal.splits)), count=count, seed=seed,
    )  # fmt: skip
    return giving.give([found], _lines)


def _lines(found: Explanation) -> list[str]:
    return [
        f"nearest to {query}: {', '.join(f'{row} ({near:.2f})' for row, near in zip(rows, likeness, strict=True))}"
        for query, rows, likeness in zip(
            found.arrays["queries"].tolist(), found.arrays["rows"].tolist(), found.arrays["likeness"], strict=True
        )
    ]
