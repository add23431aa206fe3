"""Which features answers need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation

LISTED = 12


@guarded
def importance(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", help="How often each is dealt out.", min=1)] = 20,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Measure how many answers change when a feature is dealt out anew among the inputs, feature by feature.

    Two halves of the inputs have to rank features alike.

    Exits with 0 when the check was passed, 1 when not: then the figures are withheld.

    ```sh
    exegesis explain importance zoo:tabular --plot importance.svg
    ```
    """
    from exegesis.explain.contrast import permutation_importance
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    return giving.give([permutation_importance(load(network), signal, repeats=repeats, seed=seed)], _lines)


def _lines(found: Explanation) -> list[str]:
    mean = found.arrays["drops"].mean(0)
    best = (-mean).argsort(kind="stable")[:LISTED]
    named = [(found.name_of("features", int(k)), mean[k]) for k in best if mean[k] > 0]
    return [f"{name}: {share:.1%} of the answers change" for name, share in named]
