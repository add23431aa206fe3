"""A scoreboard on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exegesis.cli.printing import terminal

if TYPE_CHECKING:
    from exegesis.explain.core import Check
    from exegesis.explain.scoreboard import Scoreboard


def print_scores(board: Scoreboard) -> None:
    """One line per method, one column per check: green passed, red failed, a dash where it could not be made. Columns
    are numbered, since the names of all checks are wider than a terminal."""
    names = list(dict.fromkeys(c.name for s in board.scores for c in s.checks))
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("method")
    for number, _ in enumerate(names, 1):
        table.add_column(str(number), justify="right", no_wrap=True, min_width=5)
    for score in board.scores:
        if score.status is not None:
            style = "bold green" if score.trusted else "bold red"
            table.add_row(Text(score.title, style), *(_cell(score.check(name)) for name in names))
    console = terminal()
    console.print(Padding(table, (1, 0, 0, 0)))
    legend = "   ".join(f"{number} {name}" for number, name in enumerate(names, 1))
    console.print(Padding(Text(legend, "dim"), (1, 0, 1, 0)))
    for sentence in board.sentences():
        console.print(sentence)


def _cell(check: Check | None) -> Text:
    if check is None or check.value is None:
        return Text("–", "dim")
    return Text(f"{check.value:.2f}", {True: "green", False: "red", None: ""}[check.passed])
