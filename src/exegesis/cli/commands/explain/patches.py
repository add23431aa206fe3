"""This looks like that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.giving import OUT, REPORT, Giving
from exegesis.cli.commands.explain.options import LAYER
from exegesis.cli.guard import guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of
from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation


@guarded
def patches(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    layer: Annotated[str | None, LAYER] = None,
    each: Annotated[int, typer.Option("--each", "-k", metavar="K", help="Patches for each answer.", min=1)] = 3,
    scratch: Annotated[
        bool,
        typer.Option(
            "--scratch", help="Train a network that knows nothing but patches, on the labels.", show_default=False
        ),
    ] = False,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    report: Annotated[Path | None, REPORT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Tell answers by likeness to patches of training images: this looks like that.

    Patches are fitted to a convolution of the network, or to a network trained from scratch. They have to tell the
    answers, and a score must not move when the image changes outside of its patch.

    Exits with 0 when the checks were passed, 1 when not.

    ```sh
    exegesis explain patches zoo:convnet --layer conv1 --plot patches.svg
    ```
    """
    from exegesis.explain.examples import Training, prototype_layer, prototype_network
    from exegesis.runtime import load

    giving = Giving(out, plot, as_json, quiet, report)
    signal = behavior_of(network, behavior)
    if signal.is_sequence:
        raise InputError(f"Behaviour {signal.name} is over tokens; patches are parts of images.")
    if scratch:
        return giving.give([prototype_network(signal, Training(each=each), seed=seed)[1]], _lines)
    if layer is None:
        raise InputError("Patches of which layer? Name a convolution by --layer, or train anew with --scratch.")
    return giving.give([prototype_layer(load(network), signal, layer, each=each, seed=seed)], _lines)


def _lines(found: Explanation) -> list[str]:
    """One line per answer: the images its patches come from, and where they are in these."""
    arrays = found.arrays
    told: dict[int, list[str]] = {}
    for group, row, (top, bottom, left, right) in zip(
        arrays["classes"].tolist(), arrays["rows"].tolist(), arrays["boxes"].tolist(), strict=True
    ):
        told.setdefault(group, []).append(f"row {row} at {top}-{bottom}, {left}-{right}")
    return [f"{found.name_of('outputs', group)}: {'; '.join(places)}" for group, places in told.items()]
