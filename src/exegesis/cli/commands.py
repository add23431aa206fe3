"""The commands. Each imports what it needs when it runs, so that looking at a run never loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, INTERRUPTED, guarded, say
from exegesis.ir import InputError

if TYPE_CHECKING:
    from exegesis.behavior import Behavior
    from exegesis.ir import Graph
    from exegesis.runtime import Network

NETWORK = typer.Argument(
    metavar="NETWORK",
    help="A Hugging Face folder, `file.py:function` that returns a module, or `zoo:name`.",
    show_default=False,
)
RUN = typer.Argument(metavar="RUN", help="A folder that `exegesis decompile` wrote.", show_default=False)
BEHAVIOR = typer.Option(
    "--behavior",
    "-b",
    metavar="FILE",
    help="What to explain: a `behavior.json`. Zoo networks bring their own.",
    show_default=False,
)
JSON = typer.Option("--json", help="Print JSON on stdout and nothing else.", show_default=False)
SEED = typer.Option("--seed", help="Of everything that is drawn; one seed gives the same bytes.")
QUIET = typer.Option("--quiet", "-q", help="Print nothing but errors.", show_default=False)


@guarded
def decompile(
    network: Annotated[str, NETWORK],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the run goes.", show_default=False)],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    seed: Annotated[int, SEED] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a run that is there.", show_default=False)] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run stopped.", show_default=False)
    ] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Read a trained network back into a program.

    Writes `program.py`, `program.json`, `tensors.safetensors`, `verdict.json` and `report.html` into the folder, all
    of them or none. What is done is kept in `DIR.partial` while the run is under way, for `--resume`.

    ```sh
    exegesis decompile zoo:majority --out runs/majority
    exegesis decompile models/mine --behavior models/mine/behavior.json --out runs/mine
    exegesis decompile train.py:build --behavior task/behavior.json --out runs/mine --seed 1
    ```
    """
    from exegesis.cli.printing import print_json, print_verdict, terminal, verdict_record
    from exegesis.cli.watch import watching
    from exegesis.store import Checkpoints

    with _room_for(out, force=force):
        try:
            from exegesis.pipeline import decompile as decompiled

            with watching(quiet or as_json) as progress:
                program = decompiled(
                    network,
                    behavior_of(network, behavior),
                    seed=seed,
                    progress=progress,
                    checkpoint_at=out,
                    resume=resume,
                )
            program.save(out, force=force)
        except KeyboardInterrupt:
            kept = Checkpoints.are_at(out)
            how = "the same command with --resume goes on from there" if kept else "nothing was kept yet"
            say(f"exegesis: interrupted; {how}.")
            return INTERRUPTED
    if as_json:
        print_json({"run": str(out), "verdict": verdict_record(program.verdict)})
    elif not quiet:
        console = terminal()
        print_verdict(console, program.verdict)
        console.print(f"\nWritten to {out}. Look at it with: exegesis show {out}", soft_wrap=True)
    return HOLDS


@guarded
def show(
    run: Annotated[Path, RUN],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Print a program with its modules and figures.

    Needs neither the network nor torch.

    ```sh
    exegesis show runs/majority
    exegesis show runs/majority --json
    ```
    """
    from exegesis.cli.printing import (
        modules_record,
        print_json,
        print_modules,
        print_program,
        print_verdict,
        terminal,
        verdict_record,
    )
    from exegesis.emit import outline
    from exegesis.ir import load_graph
    from exegesis.store import RunFolder

    opened = RunFolder.open(run)
    modules, verdict = outline(load_graph(run)), opened.verdict()
    if as_json:
        record = {"program": opened.source(), "modules": modules_record(modules), "verdict": verdict_record(verdict)}
        print_json(record)
        return HOLDS
    console = terminal()
    print_program(console, opened.source())
    print_modules(console, modules)
    print_verdict(console, verdict)
    return HOLDS


@guarded
def lift(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    listing: Annotated[bool, typer.Option("--listing", help="Print the program too.", show_default=False)] = False,
) -> int:
    """Turn a network into its exact program, and print how exact it is.

    The certificate lists the error at every value that network and program share.

    ```sh
    exegesis lift models/mine --behavior models/mine/behavior.json
    ```
    """
    from exegesis.ir import pretty
    from exegesis.ir.progress import Silent
    from exegesis.pipeline.decompile import prepare

    started = prepare(network, behavior_of(network, behavior), seed=0, progress=Silent())
    if listing:
        print(pretty(started.lifted.graph))
    print(started.lifted.certificate)
    return HOLDS


@guarded
def verify(
    run: Annotated[Path, RUN],
    network: Annotated[
        str, typer.Option("--network", "-n", metavar="NETWORK", help="The network to judge by.", show_default=False)
    ],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    budget: Annotated[
        str, typer.Option("--budget", metavar="TIME", help="How long it may take, e.g. 30s or 2m.")
    ] = "2m",
    seed: Annotated[int, SEED] = 0,
    save: Annotated[
        bool,
        typer.Option("--save", help="Put the verdict into the run, in place of the one there.", show_default=False),
    ] = False,
    stability: Annotated[
        bool,
        typer.Option(
            "--stability", help="Decompile again from other samples too, and compare the parts.", show_default=False
        ),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Judge a saved program again, from its files alone, against a network.

    Measures agreement, proves it where the inputs can be listed, swaps variables inside the network and compares what
    happens with what the program says, ablates what is used and what is not, and searches for inputs on which the two
    differ. A smaller budget makes for fewer cases and weaker statuses.

    Exits with 0 when the program holds, 1 when it does not, 2 when that could not be told.

    ```sh
    exegesis verify runs/mine --network models/mine --behavior models/mine/behavior.json --budget 30s
    ```
    """
    from exegesis.cli.printing import print_json, print_verdict, terminal, verdict_record
    from exegesis.cli.watch import watching
    from exegesis.runtime import load
    from exegesis.store import RunFolder
    from exegesis.verify import exit_code
    from exegesis.verify import verify as judged

    opened = RunFolder.open(run)
    signal = behavior_of(network, behavior)
    with watching(quiet or as_json) as progress:
        loaded = load(network)
        again = _again(loaded, signal) if stability else None
        verdict = judged(opened, loaded, signal, budget=budget, seed=seed, progress=progress, decompile=again)
    if save:
        from exegesis.pipeline.conclude import rejudged

        rejudged(opened, verdict, loaded, signal)
    if as_json:
        print_json(verdict_record(verdict))
    else:
        print_verdict(terminal(), verdict)
    return exit_code(verdict)


def _again(network: Network, behavior: Behavior) -> Callable[[int], Graph]:
    """Decompiles the network with another seed."""
    from exegesis.pipeline import decompile as decompiled

    return lambda seed: decompiled(network, behavior, seed=seed).graph


@guarded
def diff(
    before: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another run.", show_default=False)],
) -> int:
    """Say what differs between the programs of two runs.

    Exits with 0 where nothing does, else with 1. Needs neither network nor torch.

    ```sh
    exegesis diff runs/step-1000 runs/step-2000
    ```
    """
    from exegesis.ir import diff as compared
    from exegesis.ir import load_graph
    from exegesis.store import RunFolder

    graphs = [load_graph(RunFolder.open(run).path) for run in (before, after)]
    found = compared(*graphs)
    print(found)
    return DOES_NOT_HOLD if found else HOLDS


@guarded
def zoo(as_json: Annotated[bool, JSON] = False) -> int:
    """List the networks that come with the package.

    ```sh
    exegesis zoo
    exegesis decompile zoo:majority --out runs/majority
    ```
    """
    from exegesis import zoo as shelf
    from exegesis.cli.printing import print_json, print_zoo, terminal

    cards = shelf.cards()
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
    else:
        print_zoo(terminal(), cards)
    return HOLDS


def behavior_of(network: str, behavior: Path | None) -> Behavior:
    """The behaviour from its file, or the one that a network of the zoo brings.

    Raises:
        InputError: there is none, or it cannot be used.
    """
    from exegesis.behavior import Behavior

    if behavior is not None:
        return Behavior.load(behavior)
    if network.startswith("zoo:"):
        from exegesis import zoo as shelf

        return shelf.behavior(network.removeprefix("zoo:"))
    raise InputError(f"Which behaviour of {network}? Name its file with --behavior; only zoo networks bring their own.")


@contextmanager
def _room_for(out: Path, *, force: bool) -> Iterator[None]:
    """Makes sure, before any work, that a run can be written; an attempt that fails leaves no empty folders behind.

    Raises:
        InputError: something is in the way, or the place cannot be written.
    """
    from exegesis.store import RunFolder

    missing = [folder for folder in (out.parent, *out.parent.parents) if not folder.exists()]
    try:
        RunFolder.create(out, force=force).discard()
        yield
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
