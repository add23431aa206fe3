"""Finds the modules of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exegesis.cli.guard import HOLDS, guarded
from exegesis.cli.options import (
    BEHAVIOR,
    JSON,
    NETWORK,
    PLOT,
    QUIET,
    SEED,
    SPLIT,
    behavior_of,
    check_picture,
    whole_numbers,
)
from exegesis.ir import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from exegesis.pipeline.modules import ModuleReport


@guarded
def modules(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    split: Annotated[str | None, SPLIT] = None,
    graph: Annotated[
        Literal["weights", "correlations", "attributions"],
        typer.Option("--graph", help="Which graph of units to take modules from."),
    ] = "weights",
    clusters: Annotated[
        str | None,
        typer.Option("--clusters", metavar="K,…", help="Numbers of clusters to try.", show_default="2 to 12"),
    ] = None,
    nulls: Annotated[int, typer.Option("--nulls", help="Shuffled networks to compare with.", min=20)] = 50,
    randoms: Annotated[int, typer.Option("--randoms", help="Random modules per module to lesion.", min=20)] = 100,
    rows: Annotated[int, typer.Option("--rows", help="Inputs to lesion on, and as many to check on.", min=4)] = 400,
    even_if_not: Annotated[
        bool,
        typer.Option("--anyway", help="Lesion the best clusters also where the null says not modular."),
    ] = False,
    marked: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="MARK",
            help="Look for the one module that carries this mark instead: `patch:R-R,C-C[=V]`, or the folder that "
            "`exegesis hunt` wrote.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write everything as JSON.", show_default=False),
    ] = None,
    plot: Annotated[Path | None, PLOT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find the modules of a network, say whether they stand out from chance, and lesion them.

    Units of all layers are clustered by how strongly they are tied, and the cut is compared with that of networks
    whose weights were shuffled within each layer. Modules that stand out are lesioned one by one and in pairs, beside
    random modules of equal size, and named after what their loss costs where a check on other inputs agrees.

    Exits with 0 also where the network is not modular; the first line says which.

    ```sh
    exegesis modules zoo:dense_dropout --plot modules.svg
    exegesis hunt shortcuts net.py:build -b behavior.json --out runs/hunt
    exegesis modules net.py:build -b behavior.json --with runs/hunt --out trigger.json
    exegesis lesion net.py:build module:trigger -b behavior.json --modules trigger.json --with runs/hunt
    ```
    """
    from exegesis.cli.printing import deliver
    from exegesis.pipeline.modules import find_modules

    check_picture(plot)
    signal = behavior_of(network, behavior)
    if marked is not None:
        from exegesis.pipeline.marked_modules import KS, find_marked_module

        if plot is not None:
            raise InputError("--plot draws modules of the whole network; leave out --with.")
        ks = KS if clusters is None else whole_numbers(clusters, "--clusters")
        drawn = {"nulls": nulls, "randoms": randoms, "images": 2 * rows, "split": split, "seed": seed}
        one = find_marked_module(network, signal, marked, ks=ks, **drawn)  # type: ignore[arg-type]
        deliver(one, out, as_json=as_json, quiet=quiet, show=lambda console, said: console.print(said.says()))
        return HOLDS
    told = None if quiet or as_json else (lambda said: print(f"… {said}", flush=True))
    found = find_modules(
        network,
        signal,
        split=split,
        chosen=graph,
        ks=None if clusters is None else whole_numbers(clusters, "--clusters"),
        nulls=nulls,
        randoms=randoms,
        rows=rows,
        even_if_not=even_if_not,
        seed=seed,
        progress=told,
    )
    if plot is not None:
        from exegesis.pipeline.module_figures import module_picture

        module_picture(found, None if signal.layout is None else signal.layout.shape).save(plot)
    deliver(found, out, as_json=as_json, quiet=quiet, show=_print)
    return HOLDS


def _print(console: Console, found: ModuleReport) -> None:
    """The outcome, the tests, and the modules with what their lesions cost."""
    from exegesis.cli.tables import plain_table

    console.print(found.says())
    tests = plain_table("edges", "null", "k", "n-cut", "nulls", "z", "percentile", "p", "")
    rows = [(g.of, t) for g in found.graphs for t in g.tests] + [(n, t) for n, t in found.layers]
    for name, test in rows:
        best = test.best
        figures = (f"{best.k}", f"{best.partition.ncut:.3f}", f"{best.null.mean():.3f}", f"{best.z:.1f}")
        verdict = "modular" if test.modular else "not modular"
        tests.add_row(name, test.null, *figures, f"{best.percentile:.0f}", f"{test.p:.3f}", verdict)
    console.print(tests)
    for g in found.graphs:
        if (c := g.communities) is not None:
            console.print(f"Leiden, {g.of}: {c.k} communities, Q = {c.modularity:.3f}, z = {c.z:.1f}, p = {c.p:.3f}.")
    if found.roles is None:
        return
    console.print(_module_table(found))
    for pair in found.roles.pairs:
        names = " and ".join(found.roles.roles[i].module.name for i in (pair.first, pair.second))
        if pair.copies:
            console.print(f"{names} are copies: likeness {pair.likeness:.2f}, p = {pair.likeness_p:.3f}.")
        if pair.redundant:
            console.print(f"{names} stand in for each other: {pair.beyond:+.1%} lost beyond the sum.")
    if found.levels is not None:
        split = [path for path, level in found.levels.walk() if level.parts and path]
        console.print(f"Modules of modules: {', '.join('.'.join(map(str, p)) for p in split) or 'none'}.")


def _module_table(found: ModuleReport) -> Table:
    from exegesis.cli.tables import plain_table

    assert found.roles is not None
    called = {n.module: n for n in found.names}
    table = plain_table("module", "units", "lost", "random", "p", "coherence", "random", "p", "name", "driven by (AUC)")
    for r in found.roles.roles:
        n = called[r.module.name]
        importance = (f"{r.importance:.1%}", f"{r.random_importance:.1%}", f"{r.importance_p:.3f}")
        coherence = (f"{r.coherence:.2f}", f"{r.random_coherence:.2f}", f"{r.coherence_p:.3f}")
        driver = f"{found.labels[n.driven_by]} ({n.auc:.2f})"
        table.add_row(
            r.module.name.removeprefix("module "), str(r.units), *importance, *coherence, n.name or "–", driver
        )
    return table
