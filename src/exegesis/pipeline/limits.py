"""Where a network leaves its task, what the failures have in common, and what they come from."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from torch import nn

from exegesis.behavior import Behavior, SequenceSplit
from exegesis.evidence.intervals import clopper_pearson
from exegesis.ir import Graph
from exegesis.ir.archive import load_graph
from exegesis.ir.progress import Silent
from exegesis.lift import LiftError, lift
from exegesis.measure.limits import Asked, Separation, ask, kinds, separate
from exegesis.pipeline.decompile import example_of
from exegesis.pipeline.limits_repairs import Aim, Repair, Workshop, aims_of, at_the_answer
from exegesis.pipeline.limits_search import Hunt, hunt, hunt_record
from exegesis.pipeline.limits_truth import load_truth, with_truth
from exegesis.pipeline.limits_variables import variables
from exegesis.runtime import Network, load
from exegesis.verify.blind_spots import find_flaws
from exegesis.verify.budget import Deadline
from exegesis.verify.network import Reference

SCHEMA = 1
ROWS = 1000
_BINS = 8
_KINDS = 3  # whose conditions are sought one by one
_COVERED = 0.9  # of all failures; where one condition covers fewer, kinds are looked at one by one
_OFTEN = 16  # failures of a kind, for that


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


def limits(
    network: Network | nn.Module | str | Path,
    behavior: Behavior | str | Path,
    *,
    run: str | Path | None = None,
    truth: str | None = None,
    rows: int = ROWS,
    search: float = 0.0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda said: None,
) -> LimitsReport:
    """Finds where a network leaves its task, what the failures have in common, and what they come from.

    Args:
        network: a module, a Hugging Face folder, `file.py:function`, or `zoo:name`.
        behavior: a behaviour over token sequences, or the path of its file.
        run: a run whose program says where heads should look, and whose variables a condition may speak of. It may be
            the program of another network of the same build, such as a later checkpoint.
        truth: `file.py:function` or the folder of a run: what the task's answers are, in place of the labels.
        rows: at most so many rows of each split.
        search: seconds to search for positions that the network does not look at, and as many for further inputs on
            which network and truth (or program) differ; 0 for no search.
        seed: of everything that is drawn.
        progress: told what is going on.

    Raises:
        InputError: something cannot be used, or nothing says what the task's answers are.
    """
    began = time.perf_counter()
    net = network if isinstance(network, Network) else load(network)
    signal = behavior if isinstance(behavior, Behavior) else Behavior.load(behavior)
    true = None if truth is None else load_truth(truth)
    signal = signal if true is None else with_truth(signal, true)
    program = None if run is None else load_graph(Path(run))
    progress("asking the network")
    asked = ask(net, signal, rows=rows, seed=seed)
    progress(f"{int(asked.wrong.sum())} of {len(asked)} answers are wrong")
    separation, sorted_kinds = _conditions(asked, program, seed, progress)
    repairs, why, graph = _repairs(net, signal, program, asked, rows, seed, progress)
    blind: tuple[str, ...] = ()
    hunts = []
    if search > 0:
        progress("looking for positions that the network does not look at")
        blind = _blind(net, signal, search, seed)
    if search > 0 and (true is not None or program is not None):
        progress("searching for further inputs")
        compared = (graph or _lifted(net, signal, asked.splits[0])) if true is not None or program is None else program
        against = "the truth" if true is not None else "the program"
        hunts.append(hunt(net, signal, compared, true, against=against, seconds=search, seed=seed))
    left = _unexplained(asked, program, separation, sorted_kinds)
    return LimitsReport(
        network=net.name,
        behavior=signal.name,
        splits=tuple(_tally(asked, name, asked.split[asked.row] == k) for k, name in enumerate(asked.splits)),
        by_length=tuple(_binned(asked, asked.lengths[asked.row], "tokens")),
        by_position=tuple(_binned(asked, asked.at, "position")),
        kinds=sorted_kinds,
        separation=separation,
        unexplained=int(left.sum()),
        example=_example(asked, signal, left if left.any() else asked.wrong),
        margin=_clearer(asked),
        repairs=repairs,
        why_no_repairs=why,
        hunts=tuple(hunts),
        blind=blind,
        seed=seed,
        seconds=time.perf_counter() - began,
    )


def _conditions(
    asked: Asked, program: Graph | None, seed: int, progress: Callable[[str], None]
) -> tuple[Separation | None, tuple[Kind, ...]]:
    """What tells all failures from right answers, and those of each kind where that says more."""
    if not asked.wrong.any():
        return None, ()
    progress("looking for what failures have in common")
    whole = _separated(asked, program, seed)
    counts = Counter(kinds(asked)).most_common()
    found = [Kind(what, count) for what, count in counts]
    if (whole.found and whole.covered.value >= _COVERED) or len(found) < 2:
        return whole, tuple(found)
    of_each = np.full(len(asked), "", dtype=object)
    of_each[asked.wrong] = kinds(asked)
    for k, kind in enumerate(found[:_KINDS]):
        if kind.count >= _OFTEN:
            progress(f"looking at: {kind.what}")
            part = asked.only(~asked.wrong | (of_each == kind.what))
            found[k] = replace(kind, separation=_separated(part, program, seed, within_length=False))
    return whole, tuple(found)


def _separated(asked: Asked, program: Graph | None, seed: int, *, within_length: bool = True) -> Separation:
    halves = asked.halves(seed)
    more = ((), ()) if program is None else (variables(program, halves[0]), variables(program, halves[1]))
    return separate(asked, halves, more, seed, within_length=within_length)


def _unexplained(
    asked: Asked, program: Graph | None, separation: Separation | None, found: Sequence[Kind]
) -> Bool[np.ndarray, " n"]:
    """Failures on which no condition holds."""
    from exegesis.measure.limits import quantities

    conditions = [s.condition for s in (separation, *(k.separation for k in found)) if s is not None and s.found]
    if not conditions:
        return asked.wrong
    known = quantities(asked, () if program is None else variables(program, asked))
    covered = np.zeros(len(asked), np.bool_)
    for condition in conditions:
        covered |= condition.holds(known, len(asked))
    return asked.wrong & ~covered


def _repairs(
    net: Network,
    behavior: Behavior,
    program: Graph | None,
    asked: Asked,
    rows: int,
    seed: int,
    progress: Callable[[str], None],
) -> tuple[tuple[Repair, ...], str, Graph | None]:
    """What becomes of failures when heads look where they should; why that was not tried; the lifted network."""
    if not asked.wrong.any():
        return (), "nothing is wrong", None
    try:
        graph = _lifted(net, behavior, asked.splits[0])
    except LiftError as error:
        return (), f"the network could not be opened: {error}", None
    split = _labelled(behavior, asked.splits, rows, seed)
    workshop = Workshop(graph, behavior, split, seed=seed)
    if not workshop.blocks:
        return (), "no attention head was recognised", graph
    aims = [] if program is None else aims_of(program)
    found = []
    for aim in aims:
        progress(f"making {' and '.join(aim.heads)} look at {aim.what}")
        found.append(workshop.repair(aim))
    kept = [r for r in found if r is not None]
    answer = at_the_answer(behavior) if _answers_are_tokens(graph, behavior) else None
    if answer is not None:
        progress("making each head look at the task's answer")
        kept += _worth_telling(workshop, answer)
    # Of heads that mend about as much, the first in the network: those after it read what it gathers.
    kept.sort(key=lambda r: (not r.telling, -round(r.share - r.harm, 1), r.heads))
    return tuple(kept), "", graph


def _worth_telling(workshop: Workshop, aim: Aim) -> list[Repair]:
    """Of the heads that look at the answer, the telling ones, or the best where none is."""
    tried = workshop.repairs_by_head(aim)
    return [r for r in tried if r.telling] or tried[:1]


def _blind(net: Network, behavior: Behavior, seconds: float, seed: int) -> tuple[str, ...]:
    """The judge's blind spots, each group of positions once."""
    found = find_flaws(Reference(net, behavior, seed), Deadline(time.monotonic() + seconds), Silent())
    causes = {w.positions: w.cause for w in found.witnesses if w.kind == "blind_spot"}
    return tuple(causes.values())


def _answers_are_tokens(graph: Graph, behavior: Behavior) -> bool:
    axis = graph.axes.get(graph[graph.outputs[0]].type.axes[-1])
    return axis is not None and axis.size == len(behavior.vocabulary)


def _lifted(net: Network, behavior: Behavior, split: str) -> Graph:
    return lift(net.module, example_of(net, behavior.sequences(split))).graph


def _labelled(behavior: Behavior, names: Sequence[str], rows: int, seed: int) -> SequenceSplit:
    """The rows that were asked about, as one split."""
    first, *others = (behavior.sequences(name).take(rows, seed) for name in names)
    for other in others:
        first = first.concat(other)
    return first


def _tally(asked: Asked, name: str, which: Bool[np.ndarray, " n"]) -> Tally:
    rows, failing = np.unique(asked.row[which]), np.unique(asked.row[which & asked.wrong])
    high = clopper_pearson(len(failing), len(rows))[1] if len(rows) else 1.0
    return Tally(name, int(which.sum()), int((which & asked.wrong).sum()), len(rows), len(failing), float(high))


def _binned(asked: Asked, values: Int[np.ndarray, " n"], unit: str) -> Iterator[Tally]:
    """Tallies of about equally many answers by some value."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)).round().astype(int))
    edges = np.append(edges, edges[-1]) if len(edges) == 1 else edges
    for low, high in zip(edges[:-1], [*(edges[1:-1] - 1), edges[-1]], strict=True):
        name = f"{low}–{high}" if high > low else str(low)
        yield _tally(
            asked, f"{unit} {name}" if unit == "position" else f"{name} {unit}", (values >= low) & (values <= high)
        )


def _clearer(asked: Asked) -> float | None:
    """How often a right answer has a larger margin than a wrong one (area under the curve; ties count half)."""
    right, wrong = asked.margin[~asked.wrong], np.sort(asked.margin[asked.wrong])
    if not len(right) or not len(wrong) or not asked.margin.any():
        return None
    below = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(below.mean() / 2 / len(wrong))


def _example(asked: Asked, behavior: Behavior, which: Bool[np.ndarray, " n"]) -> dict[str, Any] | None:
    """The shortest row with such a failure."""
    at = np.flatnonzero(which)
    if not len(at):
        return None
    i = int(at[np.argmin(asked.lengths[asked.row[at]])])
    row = int(asked.row[i])
    said, expected = (behavior.readout.to_entries(a[i : i + 1])[0] for a in (asked.said, asked.expected))
    ids = asked.ids[row, : asked.lengths[row]].tolist()
    return {"input_ids": ids, "position": int(asked.at[i]), "network": said, "expected": expected}


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
