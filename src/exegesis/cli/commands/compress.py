"""How far a network can be compressed before a behaviour suffers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of, check_picture

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from exegesis.pipeline.compression import Compression, Point


@guarded
def compress(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    plot: Annotated[Path | None, PLOT] = None,
    drop: Annotated[float, typer.Option("--drop", help="The loss of answers at which lesions count as felt.")] = 0.05,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Also train what is left again: other networks, in a table of their own.")
    ] = False,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """How far a network can be compressed before a behaviour suffers.

    Prints the shortest programs that keep a given share of the answers, how many directions of each layer the
    behaviour needs, how many heads, neurons, channels and edges must stay, and how many random ones can be lesioned
    before answers change. Nothing is trained, unless `--retrain` asks for networks that were; they are told apart.

    ```sh
    exegesis compress zoo:digits
    exegesis compress models/net.py:build --behavior task/behavior.json --plot curve.svg
    exegesis compress zoo:copy --json
    ```
    """
    from exegesis.cli.printing import terminal
    from exegesis.cli.watch import watching
    from exegesis.ir import InputError
    from exegesis.pipeline.compressing import compress as compressed

    if not 0 < drop < 1:
        raise InputError(f"--drop is a share between 0 and 1, not {drop:g}.")
    check_picture(plot)
    with watching(quiet or as_json) as progress:
        signal = behavior_of(network, behavior)
        found = compressed(network, signal, drop=drop, retrain=retrain, seed=seed, progress=progress)
    if plot is not None:
        found.plot(plot)
    if as_json:
        typer.echo(found.to_json())
    elif not quiet:
        show(terminal(), found)
    return HOLDS


def show(console: Console, found: Compression) -> None:
    """The tables."""
    from rich.table import Table

    from exegesis.pipeline.compression import OTHER_NETWORKS

    console.print(
        f"{found.behavior}: {found.parameters:,} parameters, {found.bits:,.0f} bits as lifted", highlight=False
    )
    if found.points:
        console.print(_points(found.points))
    if found.retrained:
        console.print(f"\n{OTHER_NETWORKS[0].upper()}{OTHER_NETWORKS[1:]}:", highlight=False)
        console.print(_points(found.retrained))
    if found.layers:
        table = Table("layer", "kind", "units", "vary (95 %)", "needed: ablation", "interchange", box=None)
        for d in found.layers:
            table.add_row(d.node, d.kind, *(str(v) for v in (d.units, d.varying, d.ablation, d.interchange)))
        console.print(table)
    lost = found.redundancy
    console.print(
        f"Lesions (units at their mean): {lost.tolerated[0]:.0f} of {lost.units} random units can go before more than "
        f"{lost.drop:.0%} of {found.rows:,} answers change ({lost.tolerated[1]:.0f} to {lost.tolerated[2]:.0f} over "
        f"{len(lost.random)} orders); {lost.tolerated_ordered:.0f} when the least important go first.",
        highlight=False,
    )
    console.print(_families(found))
    console.print(_parameters(found), highlight=False)
    for note in found.notes:
        console.print(f"Note: {note}.", highlight=False)
    console.print(f"{found.seconds:.1f} s", highlight=False)


def _points(points: Sequence[Point]) -> Table:
    from rich.table import Table

    counted = {"heads": "heads", "units": "units", "entries": "inputs", "directions": "directions"}
    counted = {k: v for k, v in counted.items() if getattr(points[0], k) is not None}
    table = Table("asked to keep", "bits", "of the lifted", "numbers", *counted.values(), "held out", "test", box=None)
    for p in points:
        test = "" if p.test is None else f"{p.test:.2%} (> {p.test_lower:.2%})"
        row = (f"{p.floor:.1%}", f"{p.bits:,.0f}", f"{p.share:.2%}", f"{p.numbers:,}")
        table.add_row(*row, *(f"{getattr(p, k):,}" for k in counted), f"{p.held:.2%}", test)
    return table


def _families(found: Compression) -> Table:
    from rich.table import Table

    first = found.families[0]
    must = f"must stay for {first.target:.0%}: resampled"
    table = Table(
        "parts", "there are", must, "at their mean", "zero", f"random ones that can go ({first.drop:.0%})", box=None
    )
    for f in found.families:
        counts = (str(v) for v in (f.parts, f.resample, f.mean, f.zero))
        table.add_row(f.kind, *counts, f"{f.random[0]:.0f} ({f.random[1]:.0f} to {f.random[2]:.0f})")
    return table


def _parameters(found: Compression) -> str:
    about = found.weights
    needed = f"more than {about.found}" if about.needed is None else f"{about.needed}"
    return (
        f"Parameters: with noise of {about.noise:.0%} of each tensor's size, {about.kept:.0%} of the answers stay; "
        f"with {needed} of {about.parameters:,} directions free of it, {about.target:.0%}; with as many random "
        f"directions free of it, {about.random:.0%}."
    )
