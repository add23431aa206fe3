"""Inputs that stand for the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import LAYER
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation


@guarded
def prototypes(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    layer: Annotated[str | None, LAYER] = None,
    count: Annotated[int, typer.Option("--count", "-k", metavar="K", help="How many.")] = 10,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Pick inputs that stand for the others (prototypes), and inputs that these leave out (criticisms).

    The nearest prototype should tell the answer of held-out inputs, better than as many inputs at random.

    Exits with 0 when the checks were passed, 1 when not.

    ```sh
    exegesis explain prototypes zoo:convnet --layer hidden --plot prototypes.svg
    ```
    """
    from exegesis.explain.examples import prototypes_of
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    split = next(iter(signal.splits))
    return giving.give([prototypes_of(load(network), signal, layer, count=count, split=split, seed=seed)], _lines)


def _lines(found: Explanation) -> list[str]:
    return [f"{name}: {', '.join(map(str, found.arrays[name].tolist()))}" for name in ("prototypes", "criticisms")]
