"""One file a command. Each imports what it needs when it runs, so that looking at a run never loads torch."""

from __future__ import annotations

from collections.abc import Callable

import typer

from exegesis.cli.commands.compress import compress
from exegesis.cli.commands.concepts import concepts
from exegesis.cli.commands.decompile import decompile
from exegesis.cli.commands.diff import diff
from exegesis.cli.commands.explain import explain
from exegesis.cli.commands.hunt import hunt
from exegesis.cli.commands.lesion import lesion
from exegesis.cli.commands.lift import lift
from exegesis.cli.commands.limits import limits
from exegesis.cli.commands.modules import modules
from exegesis.cli.commands.show import show
from exegesis.cli.commands.verify import verify
from exegesis.cli.commands.zoo import zoo

COMMANDS: tuple[Callable[..., None], ...] = (
    decompile,
    show,
    verify,
    lift,
    compress,
    modules,
    concepts,
    lesion,
    limits,
    diff,
    zoo,
)
GROUPS: tuple[typer.Typer, ...] = (explain, hunt)
