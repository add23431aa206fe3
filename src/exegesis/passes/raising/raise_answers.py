"""The answer itself as a short phrase over the variables that were found on the way to it.

What: the network's answers at scored positions are described like any other finite variable (a copy, a count, a
comparison, a table), numbers as a linear form or as what each category is worth.
Why valid: the phrase gives every answer of the network on the bench.
Refuses when: no phrase gives all of them, or the answer is a set; the variables then stay on offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import log2

import numpy as np
from numpy.typing import NDArray

from exegesis.behavior import Argmax, Readout, Value
from exegesis.ir import Json, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.clusters import codes_of
from exegesis.passes.raising.columns import Column
from exegesis.passes.raising.describe import descriptions
from exegesis.passes.raising.head_view import SEQUENCE
from exegesis.passes.raising.phrases import REFER, Phrase, number_bits, tidy
from exegesis.passes.raising.workbench import Workbench, cost_in

_MOST_ROWS = 64
_DIGITS = 6


@dataclass(frozen=True)
class _Answer:
    """A way to give the answers, and what it costs: to say, and to have the variables that it speaks of."""

    bits: float
    write: Callable[[Draft], str]


def raise_answer(work: Workbench, readout: Readout) -> str | None:
    """Drafts the answer into the graph and returns its node; None where it cannot be given exactly."""
    columns = [c.at(work.known.scored) for c in work.columns]
    options: Iterator[_Answer]
    match readout:
        case Argmax():
            answers = work.bench.answers.astype(np.int64)
            axis = work.graph[work.graph.outputs[0]].type.axes[-1]
            options = _categories(answers, columns, axis)
        case Value():
            options = _numbers(work.bench.answers.astype(np.float64), columns, readout.tolerance)
        case _:
            return None
    priced = [(option.bits + _definitions(work, option), k, option) for k, option in enumerate(options)]
    for _, _, option in sorted(priced, key=lambda p: p[:2]):
        draft = work.draft()
        node = option.write(draft)
        graph = draft.whole(outputs=(node,))
        if work.bench.agreement(graph) == 1.0:
            work.graph = draft.whole()
            return node
    return None


def _definitions(work: Workbench, option: _Answer) -> float:
    """The bits of everything symbolic that an answer is made of."""
    draft = work.draft()
    node = option.write(draft)
    return cost_in(draft.whole(), node)


def _categories(answers: NDArray[np.int64], columns: Sequence[Column], axis: str) -> Iterator[_Answer]:
    """Answers that are categories: phrases that group them, with their groups named."""
    type = Type("category", SEQUENCE, axis)
    for phrase in descriptions(codes_of(answers), columns):
        names = sorted({(int(v), int(a)) for v, a in zip(phrase.values, answers, strict=True)})
        yield from _named(phrase, names, type)


def _named(phrase: Phrase, names: list[tuple[int, int]], type: Type) -> Iterator[_Answer]:
    """The phrase with the answer for each of its values."""
    apart = {a - v for v, a in names}
    if phrase.kind == "bool":
        (_, no), (_, yes) = names

        def choose(draft: Draft) -> str:
            return draft.add(
                "symbolic.choose", [phrase.write(draft)], type, {"gives": [yes], "other": no}, hint="answer"
            )

        yield _Answer(phrase.bits + REFER, choose)
    elif phrase.kind == "int" and len(apart) == 1:
        yield _Answer(phrase.bits + number_bits(by := apart.pop()), lambda d: _plus(d, phrase.write(d), by))
    elif phrase.kind == "category" and apart == {0}:
        yield _Answer(phrase.bits, phrase.write)
    elif phrase.kind in ("int", "category") and len(names) <= _MOST_ROWS:
        yield from _tables(phrase, names, type)


def _plus(draft: Draft, node: str, by: int) -> str:
    if not by:
        return node
    attrs = {"terms": [[1, 0, None]], "plus": by}
    return draft.add("symbolic.form", [node], Type("int", SEQUENCE), attrs, hint="answer")


def _tables(phrase: Phrase, names: list[tuple[int, int]], type: Type) -> Iterator[_Answer]:
    """Values renamed where they are not the answer already, or a row for each."""
    moved = [[v, a] for v, a in names if v != a]
    per_row = 2 * log2(len(names) + 1)

    def relabel(draft: Draft) -> str:
        return draft.add("symbolic.relabel", [phrase.write(draft)], type, {"table": moved}, hint="answer")

    yield _Answer(phrase.bits + REFER + len(moved) * per_row, relabel)
    often = [a for _, a in names]
    other = max(set(often), key=lambda a: (often.count(a), -a))
    rows = [[v, a] for v, a in names if a != other]

    def lookup(draft: Draft) -> str:
        attrs = {"rows": rows, "other": other}
        return draft.add("symbolic.lookup", [phrase.write(draft)], type, attrs, hint="answer")

    yield _Answer(phrase.bits + REFER + len(rows) * per_row + 1, lookup)


def _numbers(answers: NDArray[np.float64], columns: Sequence[Column], tolerance: float) -> Iterator[_Answer]:
    """Answers that are numbers: linear forms of known ones, or what each category is worth."""
    numbers = [c for c in columns if c.is_number and np.ptp(c.values) > 0]
    for many in (0, 1, 2, 3):
        for chosen in combinations(numbers, many):
            if (answer := _linear(answers, chosen, tolerance)) is not None:
                yield answer
    for column in columns:
        if column.kind != "real" and column.cls is None and (answer := _worth(answers, column, tolerance)) is not None:
            yield answer


def _linear(answers: NDArray[np.float64], chosen: Sequence[Column], tolerance: float) -> _Answer | None:
    """A linear form with as few digits as keep every answer within the tolerance."""
    matrix = np.stack([*(c.values.astype(np.float64) for c in chosen), np.ones(len(answers))], 1)
    exact, *_ = np.linalg.lstsq(matrix, answers, rcond=None)
    if np.abs(matrix @ exact - answers).max() > tolerance:
        return None
    for digits in range(_DIGITS):
        weights = np.round(exact, digits)
        if weights[:-1].all() and np.abs(matrix @ weights - answers).max() <= tolerance:
            return _form(list(zip(weights[:-1].tolist(), chosen, strict=True)), float(weights[-1]))
    return None


def _worth(answers: NDArray[np.float64], column: Column, tolerance: float) -> _Answer | None:
    """A number for each category."""
    values, codes = np.unique(column.values), column.codes
    if len(values) > _MOST_ROWS or (values < 0).any():
        return None
    low, high = np.full(len(values), np.inf), np.full(len(values), -np.inf)
    np.minimum.at(low, codes, answers)
    np.maximum.at(high, codes, answers)
    middle = (low + high) / 2
    if (high - low).max() > 2 * tolerance:
        return None
    for digits in range(_DIGITS):
        worth = np.round(middle, digits)
        if np.abs(worth[codes] - answers).max() <= tolerance:
            rows = [[tidy(w), 0, int(v)] for w, v in zip(worth.tolist(), values, strict=True) if w]
            attrs = {"terms": rows, "plus": 0}
            bits = REFER + sum(number_bits(w) + log2(len(values) + 1) for w, *_ in rows)
            return _Answer(bits, partial(_real_form, [column.node], attrs))
    return None


def _real_form(nodes: Sequence[str], attrs: Mapping[str, Json], draft: Draft) -> str:
    return draft.add("symbolic.form", nodes, Type("real", SEQUENCE), attrs, hint="answer")


def _form(terms: Sequence[tuple[float, Column]], plus: float) -> _Answer:
    nodes = tuple(dict.fromkeys(c.node for _, c in terms))
    rows = [[tidy(w), nodes.index(c.node), c.cls] for w, c in terms]
    attrs = {"terms": rows, "plus": tidy(plus)}
    bits = REFER + sum(REFER + number_bits(w) for w, _ in terms) + (number_bits(plus) if plus else 0)

    return _Answer(bits, lambda d: _real_form(nodes or [d.graph.inputs[0].id], attrs, d))
