"""Silences, turns down or drives a part of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, SPLIT, behavior_of, check_picture
from exegesis.ir import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from exegesis.pipeline.lesion import LesionReport


@guarded
def lesion(
    network: Annotated[str, NETWORK],
    parts: Annotated[
        list[str],
        typer.Argument(
            metavar="PART…",
            help="Of a run: what its program calls a module or function. Of any network: `LAYER:3,7-9`, `module:2`, "
            "`units:CONCEPT@LAYER` or `direction:CONCEPT@LAYER`.",
            show_default=False,
        ),
    ],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    modules: Annotated[
        Path | None,
        typer.Option("--modules", metavar="FILE", help="What `modules --out` wrote.", show_default=False),
    ] = None,
    concepts: Annotated[
        Path | None,
        typer.Option("--concepts", metavar="FILE", help="What `concepts --out` wrote.", show_default=False),
    ] = None,
    marked: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="MARK",
            help="Measure what this mark does, too: `patch:R-R,C-C[=V]`, or the folder that `exegesis hunt` wrote.",
            show_default=False,
        ),
    ] = None,
    towards: Annotated[Literal["zero", "mean"], typer.Option("--towards", help="What silenced units become.")] = "mean",
    doses: Annotated[
        str, typer.Option("--doses", metavar="X,…", help="Strengths: 0 silences, 1 is no change, 2 doubles.")
    ] = "0,0.25,0.5,0.75,1,1.5,2,3",
    randoms: Annotated[int, typer.Option("--randoms", help="Random parts to compare with.", min=19)] = 20,
    rows: Annotated[int, typer.Option("--rows", help="How many inputs.", min=4)] = 400,
    split: Annotated[str | None, SPLIT] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write everything as JSON.", show_default=False),
    ] = None,
    plot: Annotated[Path | None, PLOT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Silence, turn down or drive a part of a network, and see what is lost and what is spared.

    NETWORK may also be a run whose program still has the network's layers. Nothing is changed for good: weights are
    never touched, and the network is asked again at the end. Random parts of equal size stand beside every figure.

    ```sh
    exegesis lesion zoo:digits act:0-9
    exegesis lesion runs/dense "for 3, 5" --behavior behavior.json
    exegesis modules zoo:dense_dropout --out modules.json
    exegesis lesion zoo:dense_dropout module:3 --modules modules.json --plot lesion.svg
    ```
    """
    from exegesis.cli.printing import deliver
    from exegesis.pipeline.lesion import lesion as lesioned

    check_picture(plot)
    found = lesioned(
        network,
        behavior_of(network, behavior),
        parts,
        modules=modules,
        concepts=concepts,
        marked=marked,
        towards=towards,
        doses=_strengths(doses),
        randoms=randoms,
        rows=rows,
        split=split,
        seed=seed,
    )
    if plot is not None:
        from exegesis.pipeline.lesion_figures import lesion_picture

        lesion_picture(found).save(plot)
    deliver(found, out, as_json=as_json, quiet=quiet, show=_print)
    return HOLDS


def _strengths(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(x) for x in text.split(","))
    except ValueError:
        raise InputError(f"--doses takes numbers such as 0,0.5,1,2, not {text!r}.") from None
    if not all(0 <= x < 1e6 for x in found):
        raise InputError("--doses must lie between 0 and a million.")
    return found


def _print(console: Console, found: LesionReport) -> None:
    from exegesis.cli.tables import plain_table

    console.print(f"{found.part}: {found.size} numbers, towards their {found.towards}, on {found.rows} inputs.")
    marked = ("turned", "random") if found.marked else ()
    table = plain_table("dose", "answers kept", "random", "right", *marked)
    for dose in found.doses:
        row = [f"{dose.by:g}", f"{dose.kept:.1%}", f"{dose.random_kept.mean():.1%}"]
        row.append("–" if dose.accuracy is None else f"{dose.accuracy:.1%}")
        if dose.turned is not None and dose.random_turned is not None:
            row += [f"{dose.turned:.1%}", f"{dose.random_turned.mean():.1%}"]
        table.add_row(*row)
    console.print(table)
    lost = found.silenced
    by_class = plain_table(f"lost at dose {lost.by:g}", *found.labels[: len(lost.lost)])
    for name, shares in (("this part", lost.lost), ("random parts", lost.random_lost.mean(0))):
        by_class.add_row(name, *(f"{x:.0%}" if x == x else "–" for x in shares))
    console.print(by_class)
    console.print(
        f"Hit more than by random parts: {', '.join(found.hit) or 'no class'}. Random parts cost as many answers with "
        f"p = {found.p:.3f}."
    )
    if found.turned_p is not None:
        console.print(f"Random parts undo {found.marked} as much with p = {found.turned_p:.3f}.")
    console.print("Afterwards the network says the same." if found.restored else "AFTERWARDS THE NETWORK DIFFERS.")
