"""`exegesis explain …`: one file a subcommand. Each imports what it needs when it runs."""

from __future__ import annotations

from collections.abc import Callable

import typer

from exegesis.cli.commands.explain.anchor import anchor
from exegesis.cli.commands.explain.counterfactuals import counterfactuals
from exegesis.cli.commands.explain.dependence import dependence
from exegesis.cli.commands.explain.examples import examples
from exegesis.cli.commands.explain.features import features
from exegesis.cli.commands.explain.importance import importance
from exegesis.cli.commands.explain.influence import influence
from exegesis.cli.commands.explain.neighbours import neighbours
from exegesis.cli.commands.explain.patches import patches
from exegesis.cli.commands.explain.prototypes import prototypes
from exegesis.cli.commands.explain.saliency import saliency
from exegesis.cli.commands.explain.scoreboard import scoreboard
from exegesis.cli.commands.explain.surrogate import surrogate

# A new subcommand is one file and one name here; dashes stand for underscores.
SUBCOMMANDS: tuple[Callable[..., None], ...] = (
    saliency,
    scoreboard,
    features,
    examples,
    neighbours,
    prototypes,
    patches,
    influence,
    counterfactuals,
    anchor,
    dependence,
    importance,
    surrogate,
)

explain = typer.Typer(
    name="explain",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Explanations, each with the test that could have refuted it.",
)
for _subcommand in SUBCOMMANDS:
    explain.command(_subcommand.__name__.replace("_", "-"))(_subcommand)
