"""Where a network leaves its task, what the failures have in common, and what they come from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
from exegesis.measure.limits import Asked, Separation, ask, kinds, quantities, separate
from exegesis.pipeline.decompile import example_of
from exegesis.pipeline.limits_repairs import Aim, Repair, Workshop, aims_of, at_the_answer
from exegesis.pipeline.limits_report import Kind, LimitsReport, Tally
from exegesis.pipeline.limits_search import hunt
from exegesis.pipeline.limits_truth import load_truth, with_truth
from exegesis.pipeline.limits_variables import variables
from exegesis.runtime import Network, load
from exegesis.verify.blind_spots import find_flaws
from exegesis.verify.budget import Budget
from exegesis.verify.network import Reference

ROWS = 1000
_BINS = 8
_KINDS = 3  # whose conditions are sought one by one
_COVERED = 0.9  # of all failures; where one condition covers fewer, kinds are looked at one by one
_OFTEN = 16  # failures of a kind, for that


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
    said = kinds(asked)
    found = [Kind(what, count) for what, count in Counter(said).most_common()]
    if (whole.found and whole.covered.value >= _COVERED) or len(found) < 2:
        return whole, tuple(found)
    of_each = np.full(len(asked), "", dtype=object)
    of_each[asked.wrong] = said
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
    found = find_flaws(Reference(net, behavior, seed), Budget(seconds).whole, Silent())
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
