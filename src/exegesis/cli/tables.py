"""Plain tables on the terminal."""

from __future__ import annotations

from rich.table import Table


def plain_table(*columns: str) -> Table:
    """A table without rules. A column stands right where its name is a figure's, that is in all but the first."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
    return table
