"""What each part of an input does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import REPORT, Giving
from exegesis.cli.commands.explain.options import (
    CHUNK,
    INDEX,
    MODULES,
    POSITION,
    RETRAIN,
    SPLIT,
    SUBJECT,
    TARGET,
    part_or_layer,
    rows_of,
)
from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, PLOT, QUIET, SEED, behavior_of
from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.explain import Explained
    from exegesis.explain.saliency.attribution import Attribution


MODULE = typer.Option(
    "--module",
    metavar="PART",
    help="A part of the program: a function, a variable, a head (`L0H1`), or its number; `--target` is one of its "
    "units. A wrong name lists the parts.",
    show_default=False,
)


@guarded
def saliency(
    network: Annotated[str, SUBJECT],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", help="A wrong name lists the methods that there are.")
    ] = "integrated-gradients",
    index: Annotated[str | None, INDEX] = None,
    split: Annotated[str, SPLIT] = "test",
    target: Annotated[str, TARGET] = "answer",
    position: Annotated[int | None, POSITION] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="PATH", help="Explain channel `--target` of a module.", show_default=False),
    ] = None,
    module: Annotated[str | None, MODULE] = None,
    modules: Annotated[Path | None, MODULES] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write values, checks and a picture here.", show_default=False),
    ] = None,
    plot: Annotated[Path | None, PLOT] = None,
    report: Annotated[Path | None, REPORT] = None,
    chunk: Annotated[int | None, CHUNK] = None,
    may_retrain: Annotated[bool, RETRAIN] = True,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Attribute what a network gives to the parts of its inputs, and test the result.

    Every result comes with the checks that could have refuted it: does it sum up, does it change when the weights are
    random, is it stable, does it rank better than chance and edges. What fails is marked or withheld.

    With `--module` a part of a program is explained: of a run, or of a network as lifted.

    Exits with 0 when every check that could be made was passed, 1 when not.

    ```sh
    exegesis explain saliency zoo:digits --method integrated-gradients --index 0:8 --out runs/digits
    exegesis explain saliency runs/copy --behavior zoo:copy --module L0H0 --method token-importance
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain import Status

    signal = behavior_of(network, behavior)
    labels = _labels(signal.output_names, signal.vocabulary.labels)
    giving = Giving(out, plot, as_json, quiet, report, {"labels": labels})
    rows = rows_of(index)
    found: Attribution
    if part := part_or_layer(network, signal, module, layer, modules, seed):
        from exegesis.pipeline.explaining_parts import saliency_of_part

        unit = _unit(target)
        found = saliency_of_part(part, method, unit, split=split, index=rows, position=position, chunk=chunk, seed=seed)
    else:
        from exegesis.pipeline.explaining import saliency as explained

        found = explained(
            network,
            signal,
            method,
            split=split,
            index=rows,
            target=_target(target, position, layer),
            layer=layer,
            seed=seed,
            chunk=chunk,
            may_retrain=may_retrain,
        )
    giving.write([found])
    if as_json:
        print_json(found.record())
    elif not quiet:
        _say(found, out)
    return HOLDS if found.status is Status.SHOWN else DOES_NOT_HOLD


def _target(text: str, position: int | None, layer: str | None) -> Explained:
    from exegesis.explain import Target, Unit

    target = Target.parse(text, position)
    if layer is None:
        return target
    if target.output is None or target.against is not None:
        raise InputError("Which channel of the layer? Name it by --target, as in --target 3.")
    return Unit(target.output, None if position is None else (position,))


def _unit(text: str) -> int | None:
    """Which unit of a part; None for all of it together."""
    from exegesis.explain import Target

    target = Target.parse(text)
    if target.against is not None:
        raise InputError(f"A part of a program is explained unit by unit, as in --target 3, not by {text}.")
    return target.output


def _labels(outputs: tuple[str, ...] | None, tokens: tuple[str, ...]) -> tuple[str, ...] | None:
    return tokens or outputs


def _say(found: Attribution, out: Path | None) -> None:
    """The checks, the status and what was left undefined, on the terminal."""
    for check in found.checks:
        print(check.sentence())
    for row, reason in list(found.undefined.items())[:5]:
        print(f"row {row} is undefined: {reason}")
    for note in found.notes:
        print(f"note: {note}")
    print(found.why)
    if out is not None:
        print(f"written to {out}")
