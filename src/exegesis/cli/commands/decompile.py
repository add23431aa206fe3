"""Reads a trained network back into a program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from exegesis.cli.guard import HOLDS, INTERRUPTED, guarded, say
from exegesis.cli.options import BEHAVIOR, JSON, NETWORK, QUIET, SEED, behavior_of


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
