"""Shows on stderr what a decompilation is doing: stage, pass, and what each pass changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from exegesis.ir.progress import Progress, Silent


class Watch:
    """A `Progress` that draws: a line for every pass that is done and, on a terminal, a spinner for the one at work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._stage, self._total, self._done = "", 0, 0
        self._running: str | None = None
        self._since = time.monotonic()

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, refresh_per_second=10)
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.update(Text(""))
            self._live.__exit__(None, None, None)
            self._live = None

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""
        self._stage, self._total, self._done = name, total, 0
        self._console.print(Text(name, style="bold"))

    def pass_started(self, name: str) -> None:
        """A step begins."""
        self._running, self._since = name, time.monotonic()
        if self._live is not None:
            count = f"  {min(self._done + 1, self._total)}/{self._total}" if self._total > 1 else ""
            self._live.update(Spinner("dots", Text.assemble((_readable(name), "cyan"), (count, "dim"))))

    def pass_done(self, name: str, note: str) -> None:
        """A step is done."""
        seconds = time.monotonic() - self._since if self._running == name else 0.0
        self._running = None
        self.advance(1)
        if self._live is not None:
            self._live.update(Text(""))
        line = Table.grid(padding=(0, 2))
        line.add_column(width=22)
        line.add_column(ratio=1)
        line.add_column(justify="right", width=8)
        line.add_row(
            Text(f"  {_readable(name)}"),
            Text(note, style="dim"),
            Text(f"{seconds:.1f} s" if seconds >= 0.05 else "", "dim"),
        )
        line.expand = True
        self._console.print(line)

    def advance(self, n: int = 1) -> None:
        """Some of the stage's steps are done."""
        self._done += n


@contextmanager
def watching(quiet: bool) -> Iterator[Progress]:
    """Progress on stderr, or none."""
    if quiet:
        yield Silent()
        return
    with Watch(Console(stderr=True, highlight=False)) as watch:
        yield watch


def _readable(name: str) -> str:
    return name.replace("_", " ")
