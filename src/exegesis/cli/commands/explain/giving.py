"""What every explanation does at its end: files, a picture, JSON or lines on the terminal, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from exegesis.cli.guard import DOES_NOT_HOLD, HOLDS
from exegesis.cli.options import check_picture

if TYPE_CHECKING:
    from exegesis.explain.core import Explanation
    from exegesis.explain.figure import Picture

OUT = typer.Option(
    "--out", "-o", metavar="DIR", help="Write arrays, checks and a picture into this folder.", show_default=False
)
REPORT = typer.Option(
    "--report",
    metavar="RUN",
    help="Put the picture and its checks on the page of this run, as evidence.",
    show_default=False,
)


@dataclass(frozen=True)
class Giving:
    """Where an explanation goes.

    Args:
        out: a folder for arrays, checks and pictures.
        plot: a file for the picture; numbered where there are several.
        as_json, quiet: what is printed.
        report: a run on whose page it goes.
        picture: what `figure` is told.

    Raises:
        InputError: a picture that could not be written, or a run that is none.
    """

    out: Path | None = None
    plot: Path | None = None
    as_json: bool = False
    quiet: bool = False
    report: Path | None = None
    picture: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_picture(self.plot)
        if self.report is not None:
            from exegesis.store import RunFolder

            RunFolder.open(self.report).report()

    def give(
        self,
        found: Sequence[Explanation],
        lines: Callable[[Explanation], list[str]],
        details: Callable[[Explanation], dict[str, Any]] | None = None,
    ) -> int:
        """Writes and prints results; the exit code.

        Args:
            found: one, or several of a kind.
            lines: the result in words and numbers; never asked of what is withheld.
            details: what JSON says beside the record; the lines unless told.
        """
        from exegesis.cli.printing import print_json
        from exegesis.explain.core import Status

        told = [[] if one.status is Status.WITHHELD else lines(one) for one in found]
        self.write(found)
        if self.as_json:
            more = [details(one) if details else {"lines": own} for one, own in zip(found, told, strict=True)]
            records = [{**one.record(), **extra} for one, extra in zip(found, more, strict=True)]
            print_json(records[0] if len(records) == 1 and details is None else records)
        elif not self.quiet:
            for one, own in zip(found, told, strict=True):
                _say(one, own)
        return HOLDS if all(one.status is Status.SHOWN for one in found) else DOES_NOT_HOLD

    def write(self, found: Sequence[Explanation]) -> None:
        """The files, the picture, and the page of the run, where they are asked for."""
        many = len(found) > 1
        for number, one in enumerate(found):
            if self.out is not None:
                folder = self.out / f"{number:02d}-{one.kind.replace(' ', '-')}" if many else self.out
                one.save(folder)
                one.figure(**self.picture).save(folder / "picture.svg")
            if self.plot is not None:
                path = self.plot.with_stem(f"{self.plot.stem}-{number:02d}") if many else self.plot
                one.figure(**self.picture).save(path)
            if self.report is not None:
                _put_on_page(self.report, one, one.figure(**self.picture))


def _put_on_page(run: Path, one: Explanation, picture: Picture) -> None:
    """The explanation as evidence in the run's `report.html`, which is replaced whole."""
    from exegesis.emit.evidence import Evidence, with_evidence
    from exegesis.ir.files import write_text
    from exegesis.store import RunFolder
    from exegesis.store.run_folder import REPORT as PAGE

    source = one.provenance
    asked = ", ".join(f"{key} {value}" for key, value in source.parameters.items() if value not in (None, [], ""))
    title = f"{one.kind.capitalize()} of {source.network}" + (f": {asked}" if asked else "")
    made = f"By {source.method}, seed {source.seed}." if source.method != one.kind else f"Seed {source.seed}."
    sentences = (one.why, made, *(check.sentence() for check in one.checks), *one.notes)
    page = RunFolder.open(run).report()
    evidence = Evidence(title, one.status.value, sentences, picture.svg, picture.alt)
    write_text(run / PAGE, with_evidence(page, evidence))


def _say(one: Explanation, lines: Sequence[str]) -> None:
    """The result, its checks, the status where it is not shown, and what was left undefined."""
    from exegesis.explain.core import Status

    for line in (*lines, *(f"  {check.sentence()}" for check in one.checks), *one.notes):
        print(line)
    for row, reason in one.undefined.items():
        print(f"undefined for number {row}: {reason}")
    if one.status is not Status.SHOWN:
        print(one.why)
