"""Matches a network with concepts that people have names for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, SPLIT, behavior_of, check_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from exegesis.pipeline.concepts import ConceptReport, LayerConcept


@guarded
def concepts(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    concepts: Annotated[
        str,
        typer.Option(
            "--concepts",
            "-c",
            metavar="WHAT",
            help="`classes`, `generated`, `recoloured`, `patch:R-R,C-C[=V]`, the folder that `exegesis hunt` wrote, or "
            "an .npz file of labelled inputs.",
        ),
    ] = "classes",
    split: Annotated[str | None, SPLIT] = None,
    images: Annotated[int, typer.Option("--images", help="How many labelled inputs to use.", min=40)] = 400,
    nulls: Annotated[int, typer.Option("--nulls", help="Draws of each null.", min=19)] = 99,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write everything as JSON.", show_default=False),
    ] = None,
    plot: Annotated[Path | None, PLOT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Match units, directions and layers with labelled concepts, and check whether the network uses them.

    Each score stands beside its null: linear probes beside control tasks, units beside labels dealt out anew, concept
    vectors beside random ones. The causal check is on the same line: the concept's subspace is swapped between inputs,
    or held still, beside random subspaces.

    `generated` draws shapes, strokes, places and colours; `recoloured` paints inputs in the colours of others; `patch`
    puts a square into inputs, to find what carries a trigger.

    ```sh
    exegesis concepts zoo:digits --concepts classes
    exegesis concepts models/net.py:build -b models/behavior.json -c patch:23-27,23-27 --out trigger.json
    ```
    """
    from exegesis.cli.printing import deliver
    from exegesis.pipeline.concepts import find_concepts

    check_picture(plot)
    told = None if quiet or as_json else (lambda said: print(f"… {said}", flush=True))
    found = find_concepts(
        network,
        behavior_of(network, behavior),
        concepts=concepts,
        split=split,
        images=images,
        nulls=nulls,
        seed=seed,
        progress=told,
    )
    if plot is not None:
        from exegesis.pipeline.concept_figures import concept_picture

        concept_picture(found).save(plot)
    deliver(found, out, as_json=as_json, quiet=quiet, show=_print)
    return HOLDS


def _print(console: Console, found: ConceptReport) -> None:
    for follow in found.followed:
        where = f"{follow.inputs} inputs{' on which attributes disagree' if len(found.followed) > 1 else ''}"
        console.print(
            f"Answers follow {follow.attribute} on {follow.share:.1%} of {where} ({follow.chance:.1%} by chance)."
        )
    console.print(_table(found.found))
    for f in found.found:
        if (c := f.carriers) is not None:
            what = f"{len(c.units)} {'units' if c.places is None else 'neurons'} of {f.layer}"
            console.print(
                f"{what} carry {f.attribute}{'' if c.enough else ' in part'}: it turns {c.turned:.1%} of answers, "
                f"{c.turned_without:.1%} without them (random ones: {c.random_turned:.1%}, p = {c.p:.3f}); "
                f"{c.spared:.1%} of other answers stay."
            )
        if (s := f.suppression) is not None:
            console.print(
                f"Its direction in {f.layer}, held still, leaves {s.turned_without:.1%} turned (random directions: "
                f"{s.random_turned:.1%}, p = {s.p:.3f}); {s.spared:.1%} of other answers stay."
            )
    for sentence in dict.fromkeys(f"{f.attribute} in {f.layer}: {f.why_not}" for f in found.found if f.why_not):
        console.print(f"Not checked: {sentence}")


def _table(found: Sequence[LayerConcept]) -> Table:
    """What can be read off, and what happens when it is swapped."""
    from exegesis.cli.tables import plain_table

    read = ("probe", "control", "q", "rotated", "unit", "best IoU", "null")
    table = plain_table("layer", "attribute", *read, "swap", "random", "q", "stays")
    for f in found:
        best = max(f.matches, key=lambda m: m.iou - m.null)
        row = [f"{f.probe.accuracy:.2f}", f"{f.probe.control:.2f}", f"{f.probe_q:.3f}"]
        row += [f"{f.rotation.aligned:.2f}", f"{f.rotation.units:.2f}", f"{best.iou:.2f}", f"{best.null:.2f}"]
        if f.swap is None:
            row += ["–"] * 4
        else:
            row += [f"{f.swap.follows:.2f}", f"{f.swap.random_follows:.2f}", f"{f.swap_q:.3f}", f"{f.swap.stays:.2f}"]
        table.add_row(f.layer, f.attribute, *row)
    return table
