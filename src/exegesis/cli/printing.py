"""Programs, modules and verdicts on the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from exegesis.emit import Module
from exegesis.evidence import Verdict
from exegesis.ir.files import write_text

if TYPE_CHECKING:
    from exegesis.zoo import Card

_STYLE = {"yes": "bold green", "no": "bold red", "not decided": "bold yellow"}


def terminal() -> Console:
    """What commands print their results on."""
    return Console(highlight=False)


def print_program(console: Console, source: str) -> None:
    """The program, highlighted where the output is a terminal and plain elsewhere."""
    if console.is_terminal:
        console.print(Syntax(source, "python", theme="ansi_dark", background_color="default", word_wrap=False))
    else:
        console.out(source, highlight=False, end="")


def print_modules(console: Console, modules: Sequence[Module]) -> None:
    """Each module with what it computes, where it lives, and what is opaque in it."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("module", "what", "where in the network"):
        table.add_column(column, overflow="fold")
    table.add_column("opaque", justify="right", no_wrap=True)
    for module in modules:
        indent = "  " * module.depth
        table.add_row(indent + module.name, module.doc, module.where, bits(module.opaque_bits))
    console.print(Padding(table, (1, 0, 0, 0)))


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Every row of the verdict."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("figure", "", "detail"):
        table.add_column(column, overflow="fold")
    for row in verdict.table():
        table.add_row(row.what, Text(row.figure, _STYLE.get(row.figure, "bold")), Text(row.detail, "dim"))
    console.print(Padding(table, (1, 0, 0, 0)))


def print_zoo(console: Console, cards: Sequence[Card]) -> None:
    """Two lines for each network of the zoo: what it does, and how it is built."""
    table = Table(box=None, show_header=False, padding=(0, 2, 1, 0))
    for card in cards:
        accuracy = card.accuracy.get("test", max(card.accuracy.values(), default=0.0))
        built = f"{card.architecture}; {card.parameters:,} parameters, {accuracy:.1%} right on test"
        table.add_row(Text(f"zoo:{card.name}", "bold"), Text.assemble(card.what, "\n", (built, "dim")))
    console.print(table)


def bits(value: float) -> str:
    """A number of bits for people; nothing for none."""
    if not value:
        return "–"
    return f"{value:,.0f} bits" if value < 10_000 else f"{value / 8 / 1024:,.1f} KiB"


def print_json(record: object) -> None:
    """JSON on stdout, and nothing else."""
    print(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False))


@runtime_checkable
class Found(Protocol):
    """What a command found."""

    def record(self) -> Any:
        """All of it, as JSON."""


F = TypeVar("F", bound=Found)


def deliver(found: F, out: Path | None, *, as_json: bool, quiet: bool, show: Callable[[Console, F], None]) -> None:
    """What was found: into a file where one is named, then on the terminal as JSON, as tables, or not at all."""
    if out is not None:
        write_text(out, json.dumps(found.record(), indent=1, allow_nan=False) + "\n")
    if as_json:
        print_json(found.record())
    elif not quiet:
        show(terminal(), found)


def modules_record(modules: Sequence[Module]) -> list[dict[str, object]]:
    """The modules as JSON."""
    return [asdict(m) for m in modules]


def verdict_record(verdict: Verdict) -> object:
    """The verdict as JSON, exactly as in `verdict.json`."""
    return json.loads(verdict.to_json())
