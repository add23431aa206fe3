"""What excites a unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.options import (
    FEW,
    LAYER,
    MODULE,
    MODULES,
    POSITION,
    SUBJECT,
    part_or_layer,
    rows_of,
    string_targets,
)
from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, PLOT, QUIET, SEED, behavior_of, check_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exegesis.behavior import Behavior
    from exegesis.explain.features import Climb, Feature
    from exegesis.runtime import Network


@guarded
def features(
    network: Annotated[str, SUBJECT],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    module: Annotated[str | None, MODULE] = None,
    modules: Annotated[Path | None, MODULES] = None,
    layer: Annotated[str | None, LAYER] = None,
    units: Annotated[
        str | None,
        typer.Option(
            "--units",
            "-u",
            help="Units, channels or classes: `3`, `0:8`, `1,4`; the first 8 unless told.",
            show_default=False,
        ),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="Excite all these units of a layer as one.", show_default=False)
    ] = False,
    position: Annotated[int | None, POSITION] = None,
    variants: Annotated[int, typer.Option("--variants", help="Images per unit, kept apart.", min=1)] = 1,
    steps: Annotated[int, typer.Option("--steps", help="Of the climb.", min=1)] = 256,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Optimise pixels instead of the spectrum.", show_default=False)
    ] = False,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Write each with arrays and checks here.", show_default=False),
    ] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Make inputs that excite units as much as inputs can, and test whether they say anything true.

    An image has to excite its unit more than any held-out input, to do so after small moves and turns, and to foretell
    which held-out inputs excite it, better than images made for networks with shuffled weights; by how much depends on
    how many units are tested together (Holm's correction). Over tokens the strongest string of letters is sought, which
    has to beat random strings, and to foretell which rows excite it.

    With `--module` it is a part of a program: of a run, or of a network as lifted.

    Exits with 0 when every image passed, 1 when one is marked or withheld.

    ```sh
    exegesis explain features zoo:digits --layer layers.1 --units 0:8 --plot features.svg
    exegesis explain features runs/digits --behavior zoo:digits --module 3
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain.core import Status
    from exegesis.explain.features import Climb, gallery
    from exegesis.ir import InputError
    from exegesis.runtime import load

    check_picture(plot)
    signal = behavior_of(network, behavior)
    if plot is not None and signal.is_sequence:
        raise InputError("Strings of tokens are printed; there is no picture of them.")
    chosen = rows_of(units)
    climb = Climb(steps=steps, spectral=not pixels, variants=variants, diversity=1.0 if variants > 1 else 0.0)
    found: Sequence[Feature]
    if part := part_or_layer(network, signal, module, layer, modules, seed):
        from exegesis.pipeline.explaining_parts import features_of_part

        found = features_of_part(part, chosen, position=position, climb=climb, seed=seed)
    elif signal.is_sequence:
        found = _strings(load(network), signal, layer, chosen, together, position, seed)
    else:
        found = _images(load(network), signal, layer, chosen, together, climb, seed)
    if out is not None:
        for feature in found:
            feature.save(out / feature.unit.replace("/", "_").replace(" ", "-"))
    if plot is not None:
        gallery(found).save(plot)
    if as_json:
        print_json([feature.record() for feature in found])
    elif not quiet:
        for feature in found:
            string = f" “{feature.details['string']}”" if "string" in feature.details else ""
            print(f"{feature.unit}: {feature.status.value}{string}")
            for check in feature.checks:
                print(f"  {check.sentence()}")
    return HOLDS if all(f.status is Status.SHOWN for f in found) else DOES_NOT_HOLD


def _images(
    network: Network,
    signal: Behavior,
    layer: str | None,
    chosen: list[int] | None,
    together: bool,
    climb: Climb,
    seed: int,
) -> Sequence[Feature]:
    import torch

    from exegesis.explain.features import Layer, Wanted, visualise

    at = Layer(network, layer)
    width = at.width(torch.from_numpy(signal.arrays(next(iter(signal.splits))).take(1, seed).x))
    units = list(range(min(FEW, width))) if chosen is None else chosen
    if not together:
        return visualise(network, signal, layer, units, climb=climb, seed=seed)
    joint = Wanted.module(units, width, at.name, f"{at.name} module of {len(units)}")
    return visualise(network, signal, layer, joint, climb=climb, seed=seed)


def _strings(
    network: Network,
    signal: Behavior,
    layer: str | None,
    chosen: list[int] | None,
    together: bool,
    position: int | None,
    seed: int,
) -> Sequence[Feature]:
    from exegesis.explain.features import strongest_strings

    asked = string_targets(network, signal, layer, chosen, together, position)
    return strongest_strings(network, signal, asked, layer=layer, seed=seed)
