"""Hunts for what decides an answer and is none of the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, PLOT, QUIET, SEED, behavior_of, check_picture

if TYPE_CHECKING:
    from exegesis.explain.shortcuts import Shortcut

OUT = typer.Option(
    "--out", "-o", metavar="DIR", help="Write each shortcut, its arrays and its picture here.", show_default=False
)

hunt = typer.Typer(
    name="hunt", no_args_is_help=True, rich_markup_mode="markdown", help="Look for shortcuts and planted triggers."
)


@hunt.command()
@guarded
def shortcuts(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    inputs: Annotated[int, typer.Option("--inputs", help="How many inputs of each split to use.", min=16)] = 1500,
    steps: Annotated[int, typer.Option("--steps", help="Of the search for triggers.", min=1)] = 200,
    plot: Annotated[Path | None, PLOT] = None,
    out: Annotated[Path | None, OUT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find what decides a class whatever else an input shows: a planted patch, a colour, a mark on some inputs.

    Nobody has to say what to look for. Each find was put into held-out inputs and taken out again, and turned far
    more of them than changes of equal size; the sentence says how many. Candidates that failed a test are counted,
    and listed by `--json`.

    Exits with 1 when something was found, 0 when not.

    ```sh
    exegesis hunt shortcuts models/net.py:build --behavior models/behavior.json --out runs/hunt
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain.shortcuts import TriggerSearch, hunt_shortcuts
    from exegesis.runtime import load

    check_picture(plot)
    signal = behavior_of(network, behavior)
    told = (lambda said: None) if quiet or as_json else (lambda said: print(f"… {said}", flush=True))
    found = hunt_shortcuts(
        load(network), signal, seed=seed, limit=inputs, search=TriggerSearch(steps=steps), progress=told
    )
    if out is not None:
        _write(found.found, out)
    if plot is not None:
        found.figure().save(plot)
    if as_json:
        print_json(found.record())
    elif not quiet:
        _say(found.found, found.withheld, found.silent)
    return DOES_NOT_HOLD if found.found else HOLDS


@hunt.command()
@guarded
def triggers(
    network: Annotated[str, NETWORK],
    behavior: Annotated[Path | None, BEHAVIOR] = None,
    longest: Annotated[int, typer.Option("--longest", help="How many tokens a string may have.", min=1)] = 4,
    steps: Annotated[int, typer.Option("--steps", help="Of the search over arrays.", min=1)] = 200,
    out: Annotated[Path | None, OUT] = None,
    seed: Annotated[int, SEED] = 0,
    as_json: Annotated[bool, JSON] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> int:
    """Find the smallest patch, or the shortest string of tokens, that forces each answer.

    A network with a planted trigger has one answer whose trigger is far smaller than those of all others. Where all are
    small the network is fragile, or its task reads such strings; then nothing is reported as planted.

    Exits with 1 when something was found, 0 when not.

    ```sh
    exegesis hunt triggers zoo:majority --longest 3
    ```
    """
    from exegesis.cli.printing import print_json
    from exegesis.explain.core import Status
    from exegesis.explain.shortcuts import TriggerSearch, token_triggers
    from exegesis.explain.shortcuts.hunt import hunt_triggers
    from exegesis.runtime import load

    signal = behavior_of(network, behavior)
    loaded = load(network)
    if signal.is_sequence:
        tried = token_triggers(loaded, signal, longest=longest, seed=seed)
    else:
        tried = hunt_triggers(loaded, signal, search=TriggerSearch(steps=steps), seed=seed)
    found = [s for s in tried if s.status is Status.SHOWN]
    withheld = [s for s in tried if s.status is not Status.SHOWN]
    if out is not None:
        _write(found, out)
    if as_json:
        print_json({"found": [s.record() for s in found], "withheld": [s.record() for s in withheld]})
    elif not quiet:
        _say(found, withheld, ())
    return DOES_NOT_HOLD if found else HOLDS


def _say(found: Sequence[Shortcut], withheld: Sequence[Shortcut], silent: Sequence[str]) -> None:
    """What was found, on the terminal."""
    for shortcut in found:
        print(f"{shortcut.artefact}: {shortcut.sentence}")
        for check in shortcut.checks:
            print(f"  {check.sentence()}")
    for sentence in silent:
        print(f"not looked at: {sentence}")
    print(f"{len(found)} found; {len(withheld)} candidates withheld, since a test spoke against them.")


def _write(found: Sequence[Shortcut], out: Path) -> None:
    """A folder for each shortcut, with a picture where there is something to draw."""
    for number, shortcut in enumerate(found):
        folder = out / f"{number:02d}-{shortcut.artefact}-{shortcut.label.replace('/', '_')}"
        shortcut.save(folder)
        if "inputs" in shortcut.raw:
            shortcut.figure().save(folder / "picture.svg")
