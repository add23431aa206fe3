"""Compares runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS, guarded
from exegesis.cli.options import JSON, PLOT, check_picture
from exegesis.ir import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from exegesis.ir import Graph
    from exegesis.store import RunFolder


@dataclass(frozen=True, eq=False)
class Chapter:
    """One run of several.

    Attributes:
        name: of its folder.
        legible, agreement, lines: from its verdict.
        accuracy: by split, how often its network is right, from its `limits.json`; empty without one.
        heads: where each head looks, how much of its attention that is, and whether it is replaced by it.
        changes: how its program differs from the run's before, in words.
    """

    name: str
    legible: float
    agreement: Mapping[str, float]
    lines: int
    accuracy: Mapping[str, float]
    heads: Mapping[str, tuple[str, float, bool]]
    changes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        heads = {h: {"looks at": w, "share": s, "replaced": r} for h, (w, s, r) in self.heads.items()}
        return {**vars(self), "agreement": dict(self.agreement), "accuracy": dict(self.accuracy), "heads": heads}


@guarded
def diff(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Two runs or more.", show_default=False)],
    nodes: Annotated[
        bool, typer.Option("--nodes", help="List every node that differs, however many runs.", show_default=False)
    ] = False,
    plot: Annotated[Path | None, PLOT] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Say how programs differ from each other: which variables came, went or changed, and what heads came to do.

    Several runs are told as a story, each beside the one before it: the checkpoints of a training, say. How often their
    networks are right is told where `exegesis limits --save` was run on them. Of two runs every node that differs is
    listed too.

    Exits with 0 where nothing differs, else with 1. Needs neither network nor torch (a picture does).

    ```sh
    exegesis diff runs/step-1000 runs/step-2000
    exegesis diff runs/step-* --plot story.svg
    ```
    """
    from exegesis.cli.printing import print_json, terminal
    from exegesis.ir import diff as compared
    from exegesis.ir import load_graph
    from exegesis.store import RunFolder

    check_picture(plot)
    if len(runs) < 2:
        raise InputError("There is nothing to compare one run with; name two runs or more.")
    opened = [RunFolder.open(run) for run in runs]
    graphs = [load_graph(run.path) for run in opened]
    found = [compared(a, b) for a, b in pairwise(graphs)]
    chapters = [
        _chapter(run, graph, before) for run, graph, before in zip(opened, graphs, [None, *graphs], strict=False)
    ]
    if plot is not None:
        from exegesis.pipeline.limits_figures import story_picture

        story_picture([c.record() for c in chapters]).save(plot)
    if as_json:
        print_json({"runs": [c.record() for c in chapters], "nodes": [str(d).splitlines() for d in found if d]})
    elif not any(found):
        print("no difference")
    else:
        _print(terminal(), chapters)
        if nodes or len(runs) == 2:
            print("\n".join(map(str, found)))
    return DOES_NOT_HOLD if any(found) else HOLDS


def _chapter(run: RunFolder, graph: Graph, before: Graph | None) -> Chapter:
    from exegesis.ir.story import head_shares, story

    figures = run.verdict().figures
    return Chapter(
        name=run.path.name,
        legible=figures.legible_share,
        agreement={name: m.value for name, m in figures.agreement.items()},
        lines=figures.code_lines or 0,
        accuracy=_accuracy(run),
        heads=head_shares(graph),
        changes=() if before is None else story(before, graph),
    )


def _accuracy(run: RunFolder) -> dict[str, float]:
    """How often the network is right, by split, where `limits` was run on it."""
    from exegesis.store.files import read_text
    from exegesis.store.run_folder import LIMITS

    if not run.has(LIMITS):
        return {}
    try:
        splits = json.loads(read_text(run.path / LIMITS))["splits"]
        return {s["name"]: 1 - s["wrong"] / max(1, s["answers"]) for s in splits}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{run.path / LIMITS} is not what `exegesis limits --save` writes.") from None


def _print(console: Console, chapters: list[Chapter]) -> None:
    from exegesis.cli.tables import plain_table

    splits = list(dict.fromkeys(s for c in chapters for s in c.agreement))
    judged = list(dict.fromkeys(s for c in chapters for s in c.accuracy))
    table = plain_table("run", "legible", "lines", *(f"agrees: {s}" for s in splits), *(f"right: {s}" for s in judged))
    for c in chapters:
        row = [_percent(c.agreement.get(s)) for s in splits] + [_percent(c.accuracy.get(s)) for s in judged]
        table.add_row(c.name, f"{c.legible:.1%}", str(c.lines), *row)
    console.print(table)
    for before, after in pairwise(chapters):
        if not after.changes:
            continue
        console.print(f"\n{before.name} → {after.name}")
        for change in after.changes:
            console.print(f"  * {change}")
    console.print()


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
