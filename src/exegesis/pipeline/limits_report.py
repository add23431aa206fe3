"""What was found of a network's limits: figures, and the sentences that tell them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from exegesis.evidence.intervals import clopper_pearson
from exegesis.measure.limits import Separation
from exegesis.pipeline.limits_repairs import Repair
from exegesis.pipeline.limits_search import Hunt, hunt_record

SCHEMA = 1


@dataclass(frozen=True)
class Tally:
    """Answers and failures of a part of the rows.

    Attributes:
        name: of the split, or the range of lengths or positions.
        answers, wrong: how many.
        rows, rows_wrong: how many rows they are of, and how many of these have a wrong answer.
        high: the upper bound at 95 % (Clopper–Pearson) on the share of rows with a wrong answer.
    """

    name: str
    answers: int
    wrong: int
    rows: int
    rows_wrong: int
    high: float

    @property
    def right(self) -> float:
        """Share of right answers."""
        return 1 - self.wrong / max(1, self.answers)


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of wrong answer.

    Attributes:
        what: what is said where what is expected.
        count: how many.
        separation: what tells these from right answers; None where it was not sought.
    """

    what: str
    count: int
    separation: Separation | None = None


@dataclass(frozen=True, eq=False)
class LimitsReport:
    """What `limits` found.

    Attributes:
        network, behavior: names.
        splits, by_length, by_position: how often the network is right.
        kinds: kinds of wrong answers, the most frequent first.
        separation: what tells all failures from right answers; None without failures.
        unexplained: failures that no condition covers, and one of them as JSON.
        margin: how often a right answer is given more clearly than a wrong one; None without failures.
        repairs: what becomes of failures when heads look where they should, the most telling first.
        why_no_repairs: why none were tried; empty where some were.
        hunts: what searches for inputs found.
        blind: positions that the network does not look at though its answer hangs on nearly all others, in sentences.
        seed, seconds: the seed, and how long it took.
    """

    network: str
    behavior: str
    splits: tuple[Tally, ...]
    by_length: tuple[Tally, ...]
    by_position: tuple[Tally, ...]
    kinds: tuple[Kind, ...]
    separation: Separation | None
    unexplained: int
    example: dict[str, Any] | None
    margin: float | None
    repairs: tuple[Repair, ...]
    why_no_repairs: str
    hunts: tuple[Hunt, ...]
    blind: tuple[str, ...]
    seed: int
    seconds: float

    @property
    def wrong(self) -> int:
        """Wrong answers in all splits."""
        return sum(s.wrong for s in self.splits)

    @property
    def flawed(self) -> bool:
        """Whether anything was found on which the network leaves its task."""
        return bool(self.wrong) or bool(self.blind) or any(h.found for h in self.hunts)

    def sentences(self) -> list[str]:
        """What was found, in words, the most important first."""
        return list(_told(self))

    def record(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "schema": SCHEMA,
            "network": self.network,
            "behavior": self.behavior,
            "flawed": self.flawed,
            "sentences": self.sentences(),
            "splits": [vars(s) for s in self.splits],
            "by_length": [vars(s) for s in self.by_length],
            "by_position": [vars(s) for s in self.by_position],
            "kinds": [{"what": k.what, "count": k.count, "condition": _separation(k.separation)} for k in self.kinds],
            "condition": _separation(self.separation),
            "unexplained": self.unexplained,
            "example": self.example,
            "margin": self.margin,
            "repairs": [{**vars(r), "heads": list(r.heads), "telling": r.telling} for r in self.repairs],
            "why_no_repairs": self.why_no_repairs,
            "hunts": [hunt_record(h) for h in self.hunts],
            "blind": list(self.blind),
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
        }


def _separation(found: Separation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    if not found.found:
        return {"found": False, "why": found.why_none}
    return {
        "found": True,
        "text": str(found.condition),
        "clauses": [
            [{**vars(a), "among": list(a.among), "labels": list(a.labels)} for a in c] for c in found.condition.clauses
        ],
        "bits": found.bits,
        "held_out": found.held_out,
        "covered": vars(found.covered),
        "alarms": vars(found.alarms),
        "saved": found.saved,
        "null_mean": float(np.mean(found.null)),
        "p": found.p,
        "p_within_length": found.p_within_length,
    }


def _told(report: LimitsReport) -> Iterator[str]:
    answers, rows = sum(s.answers for s in report.splits), sum(s.rows for s in report.splits)
    if not report.wrong:
        high = clopper_pearson(0, rows)[1]
        yield f"No failures found: all {answers:,} labelled answers are right (so at most {high:.2%} of rows have one)."
    else:
        failing = sum(s.rows_wrong for s in report.splits)
        yield f"Wrong on {report.wrong:,} of {answers:,} answers, in {failing:,} of {rows:,} rows."
        assert report.separation is not None
        yield condition_sentence(report.separation)
        for kind in report.kinds:
            known = str(report.separation.condition)
            if kind.separation is not None and kind.separation.found and str(kind.separation.condition) != known:
                yield f"It {kind.what} ({kind.count:,} times): {condition_sentence(kind.separation)}"
        yield from (f"Cause: {r.reason}" for r in report.repairs if r.telling)
        if not any(r.telling for r in report.repairs):
            yield f"No cause was found{f': {report.why_no_repairs}' if report.why_no_repairs else ''}."
        if report.unexplained:
            yield f"Unexplained: {report.unexplained:,} failures, on which none of these conditions holds."
    yield from report.blind
    for found in report.hunts:
        yield hunt_sentence(found)


def condition_sentence(found: Separation) -> str:
    """A condition with its figures, or why there is none."""
    if not found.found:
        return f"No condition found: {found.why_none}."
    where = (
        "on rows that it was not found on" if found.held_out else "on the rows that it was found on, too few to halve"
    )
    told = f"Wrong where {found.condition}: {found.covered} of failures and {found.alarms} of right answers, {where}"
    equal = found.p_within_length
    beyond = "" if equal is None or math.isclose(found.p, equal) else f"; {equal:.2g} at equal length"
    return f"{told} (failures moved about are told as well with p = {found.p:.2g}{beyond})."


def hunt_sentence(found: Hunt) -> str:
    """What a search found, in one sentence."""
    tried = f"{found.queries:,} inputs tried in {found.seconds:.0f} s"
    if not found.found:
        return f"No input was found on which the network differs from {found.against}: {tried}."
    many = sum(e.count for e in found.found)
    count = f"{many} inputs" if many > 1 else "one input"
    first = found.found[0]
    inside = "" if found.closed else "; nobody knows which of them the behaviour asks about"
    return (
        f"The network differs from {found.against} on {count} found ({tried}{inside}); the shortest is "
        f"{first.text!r}: it says {first.said}, {found.against} {first.right}."
    )
