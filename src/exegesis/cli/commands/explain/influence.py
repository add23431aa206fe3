"""Which training examples made a network say this."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import INDEX, asked_split, few_rows
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, SPLIT, behavior_of

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation
    from exegesis.explain.examples import Scorer


class By(StrEnum):
    """The methods that there are."""

    EK_FAC = "ek-fac"
    GRADIENT = "gradient"
    TRACIN = "tracin"


@guarded
def influence(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    index: Annotated[str | None, INDEX] = None,
    method: Annotated[By, typer.Option("--method", "-m", help="How influence is scored.")] = By.GRADIENT,
    may_retrain: Annotated[
        bool,
        typer.Option(
            "--retrain/--no-retrain", help="Test it on networks of the zoo trained again without half of the rows."
        ),
    ] = True,
    subsets: Annotated[
        int, typer.Option("--subsets", metavar="N", help="Retrained networks that it is tested by.")
    ] = 16,
    split: Annotated[str | None, SPLIT] = None,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Score the training examples that speak for and against an answer, and test the scores by retraining.

    `ek-fac` needs the extra `influence` (kronfluence). Networks of the zoo are trained again on halves of their rows,
    which takes a minute: summed scores have to rank what those networks say. Of others the result is marked, until
    `exegesis.explain.examples.influence_of` is told how they are trained.

    Exits with 0 when the test was passed, 1 when not.

    ```sh
    exegesis explain influence zoo:tabular --index 0:3 --method ek-fac --plot influence.svg
    ```
    """
    from exegesis.pipeline.influence import influence as scored

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    found = scored(
        network, signal, few_rows(index), _scorers(method, may_retrain), split=asked_split(signal, split),
        may_retrain=may_retrain, subsets=subsets, seed=seed,
    )  # fmt: skip
    return giving.give([found], _lines)


def _scorers(method: By, may_retrain: bool) -> list[Scorer]:
    """EK-FAC at several dampings where retrained networks can choose one."""
    from exegesis.explain.examples import EkFac, GradientProduct, TracIn
    from exegesis.explain.examples.ek_fac import DAMPINGS

    match method:
        case By.EK_FAC:
            return [EkFac(damping) for damping in (DAMPINGS if may_retrain else (None,))]
        case By.GRADIENT:
            return [GradientProduct()]
        case By.TRACIN:
            return [TracIn()]


def _lines(found: Explanation) -> list[str]:
    arrays = found.arrays
    lines = []
    for query, row in enumerate(arrays["rows"].tolist()):
        answer = found.name_of("outputs", int(arrays["answers"][query]))
        for side, word in enumerate(("for", "against")):
            rows = arrays["examples"][query, side].tolist()
            listed = ", ".join(f"{k} ({arrays['scores'][query, k]:+.3g})" for k in rows)
            lines.append(f"{word} {answer} in row {row}: {listed}")
    return lines
