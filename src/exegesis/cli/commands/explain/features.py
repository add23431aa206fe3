"""What excites a unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.commands.explain.options import LAYER, rows_of
from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of

if TYPE_CHECKING:
    from exegesis.behavior import Behavior
    from exegesis.explain.features import Feature
    from exegesis.runtime import Network


@guarded
def features(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    layer: Annotated[str | None, LAYER] = None,
    units: Annotated[str, typer.Option("--units", "-u", help="Units, channels or classes: `3`, `0:8`, `1,4`.")] = "0:8",
    module: Annotated[
        bool, typer.Option("--module", help="Excite these units together, as one module.", show_default=False)
    ] = False,
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
    which held-out inputs excite it, better than images made for a network with shuffled weights. For networks over
    tokens the strongest string of letters is sought for each output.

    Exits with 0 when every image passed, 1 when one is marked or withheld.

    ```sh
    exegesis explain features zoo:digits --layer layers.1 --units 0:8 --plot features.svg
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain.core import Status
    from exegesis.explain.features import Climb, gallery
    from exegesis.ir import InputError
    from exegesis.runtime import load

    signal = behavior_of(network, behavior)
    chosen = rows_of(units) or []
    climb = Climb(steps=steps, spectral=not pixels, variants=variants, diversity=1.0 if variants > 1 else 0.0)
    loaded = load(network)
    if signal.is_sequence:
        found = _strings(loaded, signal, layer, chosen, seed)
    else:
        found = _images(loaded, signal, layer, chosen, module, climb, seed)
    if out is not None:
        for feature in found:
            feature.save(out / feature.unit.replace("/", "_").replace(" ", "-"))
    if plot is not None:
        if signal.is_sequence:
            raise InputError("Strings of tokens are printed; there is no picture of them.")
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
    network: Network, signal: Behavior, layer: str | None, chosen: list[int], module: bool, climb: object, seed: int
) -> list[Feature]:
    import torch

    from exegesis.explain.features import Climb, Layer, Wanted, visualise

    assert isinstance(climb, Climb)
    if not module:
        return list(visualise(network, signal, layer, chosen, climb=climb, seed=seed))
    first = signal.arrays(next(iter(signal.splits)))
    at = Layer(network, layer)
    width = at.width(torch.from_numpy(first.take(1, seed).x))
    together = Wanted.module(chosen, width, at.name, f"{at.name} module of {len(chosen)}")
    return list(visualise(network, signal, layer, together, climb=climb, seed=seed))


def _strings(network: Network, signal: Behavior, layer: str | None, chosen: list[int], seed: int) -> list[Feature]:
    from exegesis.explain.features import strongest_tokens
    from exegesis.explain.target import Target, Unit

    return [
        strongest_tokens(
            network, signal, Target(unit) if layer is None else Unit(unit), layer=layer,
            name=f"{layer or 'outputs'} {unit}", seed=seed,
        )
        for unit in chosen
    ]  # fmt: skip
