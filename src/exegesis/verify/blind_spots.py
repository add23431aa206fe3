"""Claim 5, second half: inputs on which the network leaves its task, and positions that it does not look at.

Nobody tells the judge what the task is. It knows the labelled rows, and what happens to the network's answer when one
position of a row that it answers rightly gets another letter. Where that nearly always changes the answer, a position
at which it never does is a *blind spot*. Wrong answers on labelled rows are grouped by the positions that they do not
hang on, so that errors with one cause are told as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.random import Generator

from exegesis.behavior import Answers, SequenceBatch, SequenceSplit
from exegesis.behavior.ragged import flat_indices, offsets_of
from exegesis.evidence import Claim, Measurement, Status, Witness
from exegesis.ir import Json
from exegesis.ir.progress import Progress
from exegesis.runtime.answers import MAX_TOKENS, outputs
from exegesis.verify.agreement import plain
from exegesis.verify.budget import Deadline
from exegesis.verify.inputs import Inputs, Space
from exegesis.verify.network import Reference

_ROWS, _CHANGES = 24, 3  # rows per class and changes per position of each
_CLASSES, _LENGTHS = 6, 3
_ERRORS = 256  # wrong answers whose positions are looked at, per class
_TOKENS = 200_000  # that the network reads, at most, to find how it hangs on the positions of one group of rows
_LOOKS, _BLIND = 0.5, 0.0  # share of changes that change the answer: at the median position, and at a blind one
_TOGETHER = 256  # inputs in which all blind positions are changed at once


@dataclass(frozen=True)
class Flaws:
    """What was found out about the network and its task."""

    claims: tuple[Claim, ...]
    witnesses: tuple[Witness, ...]
    queries: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """Labelled rows of one length with the network's answers: rows with one answer, in batches of one length."""

    inputs: Inputs
    said: Answers
    expected: Answers | None

    def take(self, rows: Int[np.ndarray, " m"]) -> _Rows:
        at = self._at(rows)
        return _Rows(self.inputs.take(rows), self.said[at], None if self.expected is None else self.expected[at])

    def said_by(self, rows: Int[np.ndarray, " m"]) -> Answers:
        """The answers of these rows, one after the other."""
        said: Answers = self.said[self._at(rows)]
        return said

    def _at(self, rows: Int[np.ndarray, " m"]) -> Int[np.ndarray, " k"]:
        return flat_indices(offsets_of(self.inputs.scored.sum(1)), rows)


class _Prober:
    """Asks the network what becomes of its answers when letters change, and counts the questions."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.space = Space(reference)
        self.queries = 0

    def changed(self, inputs: Inputs, said: Answers) -> Bool[np.ndarray, " b"]:
        """Which inputs get another answer than `said` at any scored position."""
        step = max(1, MAX_TOKENS // inputs.length)
        parts = []
        each = np.cumsum([0, *inputs.scored.sum(1)])
        for start in range(0, len(inputs), step):
            rows = np.arange(start, min(start + step, len(inputs)))
            part = inputs.take(rows)
            same = self.reference.behavior.readout.equal(
                self.reference.says(part.batch), said[each[rows[0]] : each[rows[-1] + 1]]
            )
            parts.append(np.bincount(part.row_of_answers[~same], minlength=len(rows)) > 0)
        self.queries += len(inputs)
        return np.concatenate(parts)

    def affordable(self, rows: _Rows) -> _Rows:
        """As many of the rows as may be looked at, at least four."""
        per_row = _CHANGES * rows.inputs.length**2
        return rows.take(np.arange(min(len(rows.inputs), max(4, _TOKENS // per_row))))

    def reaches(self, rows: _Rows) -> Bool[np.ndarray, " s"]:
        """Which positions reach a scored one: all up to the last scored, and those behind that change the output."""
        inputs = rows.inputs.take(np.zeros(1, dtype=np.int64))
        last = int(np.flatnonzero(inputs.scored[0])[-1])
        found = np.ones(inputs.length, dtype=np.bool_)
        for place in range(last + 1, inputs.length):
            where = np.zeros(inputs.ids.shape, dtype=np.bool_)
            where[:, place] = True
            other = self.space.mutated(inputs, where, np.random.default_rng(0))
            before, after = (outputs(self.reference.network, i.batch)[i.scored] for i in (inputs, other))
            self.queries += 2
            found[place] = bool(np.abs(before - after).max() > 0)
        return found

    def sensitivity(self, rows: _Rows, rng: Generator) -> Float[np.ndarray, "b s"]:
        """Per row and position the share of other letters there that change the answer.

        NaN where no other letter may stand, or where what stands cannot reach a scored position.
        """
        b, s = rows.inputs.ids.shape
        changeable = self.space.changeable(rows.inputs) & self.reaches(rows)
        row, place = np.nonzero(np.repeat(changeable, _CHANGES, axis=0))
        row = row // _CHANGES
        repeated = rows.inputs.take(row)
        where = np.zeros(repeated.ids.shape, dtype=np.bool_)
        where[np.arange(len(row)), place] = True
        changed = self.changed(self.space.mutated(repeated, where, rng), rows.said_by(row))
        total = np.zeros((b, s))
        np.add.at(total, (row, place), changed)
        return np.where(changeable, total / _CHANGES, np.nan)


def find_flaws(reference: Reference, deadline: Deadline, progress: Progress) -> Flaws:
    """Compares the network with the labels, and looks for positions that it should look at and does not.

    Args:
        reference: the network; a behaviour over token sequences.
        deadline: no new group of rows is begun after it.
        progress: told of every group.
    """
    prober, rng = _Prober(reference), reference.rng("blind spots")
    claims, found = list[Claim](), list[Witness]()
    wrong, right, groups = _labelled(reference, rng)
    if wrong + right:
        claims.append(_task_claim(reference, right, wrong))
    progress.stage("blind spots", len(groups))
    for group in groups:
        found += _look(prober, group, wrong, wrong + right, rng)
        progress.advance()
        if deadline.over:
            break
    found.sort(key=lambda w: (-w.surprise, w.input_ids))
    return Flaws(tuple(claims), tuple(found), prober.queries)


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows of one length that the network gives one answer (or any, where a row has several)."""

    answer: Json
    right: _Rows
    wrong: _Rows


def _labelled(reference: Reference, rng: Generator) -> tuple[int, int, list[_Group]]:
    """How many rows the network gets wrong and right, and rows in groups; all are right where there are no labels."""
    wrong = right = 0
    readout = reference.behavior.readout
    batches: dict[tuple[int, bool], list[tuple[_Rows, Bool[np.ndarray, " b"]]]] = {}
    varies = False
    for name in reference.behavior.splits:
        split = reference.behavior.sequences(name)
        said = reference.answers(name)
        varies |= bool((said != said[:1]).any())
        for batch in split.batches(1 << 30):
            own, good = said[batch.scored_at], np.ones(len(batch.rows), dtype=np.bool_)
            if batch.expected is not None:
                good = _all_equal(readout.equal(own, batch.expected), batch)
                wrong, right = wrong + int((~good).sum()), right + int(good.sum())
            key = (batch.input_ids.shape[1], batch.expected is not None)
            batches.setdefault(key, []).append((_Rows(Inputs.of(batch), own, batch.expected), good))
    if not varies:  # then no change of a letter can make one answer of the data into another
        return wrong, right, []
    often = sorted(batches, key=lambda key: -sum(len(good) for _, good in batches[key]))[:_LENGTHS]
    return wrong, right, [g for key in often for g in _groups(*_joined(batches[key]), rng)]


def _joined(parts: Sequence[tuple[_Rows, Bool[np.ndarray, " _b"]]]) -> tuple[_Rows, Bool[np.ndarray, " _n"]]:
    expected = [rows.expected for rows, _ in parts]
    joined = _Rows(
        Inputs.stacked([rows.inputs for rows, _ in parts]),
        np.concatenate([rows.said for rows, _ in parts]),
        None if any(e is None for e in expected) else np.concatenate([e for e in expected if e is not None]),
    )
    return joined, np.concatenate([good for _, good in parts])


def _all_equal(same: Bool[np.ndarray, " k"], batch: SequenceBatch) -> Bool[np.ndarray, " b"]:
    row = np.nonzero(batch.scored)[0]
    return np.asarray(np.bincount(row[~same], minlength=len(batch.rows)) == 0)


def _groups(rows: _Rows, good: Bool[np.ndarray, " b"], rng: Generator) -> list[_Group]:
    """By answer where every row has one; else all rows together."""
    inputs = rows.inputs
    if not bool((inputs.scored.sum(1) == 1).all()):
        keep, errors = (rng.permutation(np.flatnonzero(which)) for which in (good, ~good))
        return [_Group(None, rows.take(keep[:_ROWS]), rows.take(errors[:_ERRORS]))] if len(keep) >= _ROWS // 3 else []
    answers, class_of = np.unique(rows.said, axis=0, return_inverse=True)
    class_of = class_of.reshape(-1)
    found = []
    for number in np.argsort(-np.bincount(class_of), kind="stable")[:_CLASSES]:
        of_class = class_of == number
        keep = rng.permutation(np.flatnonzero(of_class & good))[:_ROWS]
        errors = rng.permutation(np.flatnonzero(of_class & ~good))[:_ERRORS]
        if len(keep) >= _ROWS // 3:
            found.append(_Group(plain(answers[number]), rows.take(keep), rows.take(errors)))
    return found


def _look(prober: _Prober, group: _Group, wrong: int, total: int, rng: Generator) -> list[Witness]:
    """The blind spots of one group, and the errors that they explain."""
    rows = prober.affordable(group.right)
    sensitivity = prober.sensitivity(rows, rng)
    known = ~np.isnan(sensitivity).any(0)
    if known.sum() < 3:
        return []
    share = np.where(known, np.nan_to_num(sensitivity).mean(0), np.nan)
    median = float(np.nanmedian(share))
    blind = np.flatnonzero(known & (np.nan_to_num(share, nan=1.0) <= _BLIND))
    if median < _LOOKS or len(blind) > known.sum() / 2:
        blind = blind[:0]
    errors = _errors(prober, group, blind, wrong, total, rng)
    return [_blind_spot(prober, group, len(rows.inputs), blind, median, rng), *errors] if len(blind) else errors


def _blind_spot(
    prober: _Prober, group: _Group, looked_at: int, blind: Int[np.ndarray, " n"], median: float, rng: Generator
) -> Witness:
    """All blind positions are changed at once, to see that the answer stays; what remains is told with its figures."""
    rows = rng.integers(len(group.right.inputs), size=_TOGETHER)
    repeated = group.right.inputs.take(rows)
    where = np.zeros(repeated.ids.shape, dtype=np.bool_)
    where[:, blind] = True
    mutated = prober.space.mutated(repeated, where, rng)
    stays = ~prober.changed(mutated, group.right.said_by(rows))
    tried = looked_at * _CHANGES
    answer = "its answer" if group.answer is None else f"its answer {group.answer}"
    places = ", ".join(map(str, blind[:12]))
    one = mutated.take(np.flatnonzero(stays)[:1]) if stays.any() else group.right.inputs.take(np.array([0]))
    return Witness(
        kind="blind_spot",
        cause=(
            f"The network keeps {answer} whatever stands at positions {places}: of {tried} changes at each none "
            f"changes it, and of {len(stays)} changes at all of them at once {int((~stays).sum())}, where at other "
            f"positions {median:.0%} do."
        ),
        input_ids=tuple(one.ids[0].tolist()),
        position_ids=None if one.positions is None else tuple(one.positions[0].tolist()),
        positions=tuple(int(p) for p in blind),
        network=group.answer,
        count=int(stays.sum()) or 1,
        surprise=-tried * math.log2(max(1 - median, 1 / (2 * tried))),
    )


def _errors(
    prober: _Prober, group: _Group, blind: Int[np.ndarray, " n"], wrong: int, total: int, rng: Generator
) -> list[Witness]:
    """Wrong answers, grouped by the positions that they do not hang on: those that are blind anyway, where they are."""
    if not len(group.wrong.inputs):
        return []
    errors = prober.affordable(group.wrong)
    if group.answer is None:  # one of several answers is wrong: positions that no answer hangs on say little of it
        return [_error(prober, errors, (), range(len(group.wrong.inputs)), wrong, total)]
    causes: dict[tuple[int, ...], list[int]] = {}
    for row, each in enumerate(prober.sensitivity(errors, rng)):
        known = ~np.isnan(each)
        idle = np.flatnonzero(known & (np.nan_to_num(each, nan=1.0) == 0))
        if len(blind) and 2 * len(np.intersect1d(idle, blind)) >= len(blind):
            idle = blind
        telling = 0 < len(idle) <= known.sum() / 2
        causes.setdefault(tuple(int(p) for p in idle) if telling else (), []).append(row)
    return [_error(prober, errors, positions, rows, wrong, total) for positions, rows in causes.items()]


def _error(
    prober: _Prober, errors: _Rows, positions: tuple[int, ...], rows: Sequence[int], wrong: int, total: int
) -> Witness:
    first = errors.take(np.array(rows[:1]))
    assert first.expected is not None
    at = int(np.argmin(prober.reference.behavior.readout.equal(first.said, first.expected)))
    said, expected = plain(first.said[at]), plain(first.expected[at])
    where = f", whatever stands at positions {', '.join(map(str, positions))}" if positions else ""
    return Witness(
        kind="leaves_task",
        cause=f"The network says {said} where the data expect {expected}{where}.",
        input_ids=tuple(first.inputs.ids[0].tolist()),
        position_ids=None if first.inputs.positions is None else tuple(first.inputs.positions[0].tolist()),
        positions=positions,
        network=said,
        expected=expected,
        count=len(rows),
        surprise=-math.log2((wrong + 1) / (total + 2)),
    )


def _task_claim(reference: Reference, right: int, wrong: int) -> Claim:
    measured = Measurement.proportion("labelled inputs that the network answers as expected", right, right + wrong)
    return Claim(
        statement="The network does its task on every labelled input.",
        domain=f"splits {', '.join(reference.behavior.splits)}",
        status=Status.REFUTED if wrong else Status.TESTED,
        evidence=(measured,),
        witness=_first_error(reference) if wrong else None,
        about="network",
    )


def _first_error(reference: Reference) -> Json:
    readout = reference.behavior.readout
    for name in reference.behavior.splits:
        split: SequenceSplit = reference.behavior.sequences(name)
        said = reference.answers(name)
        for batch in split.batches(1 << 30):
            if batch.expected is None:
                continue
            same = readout.equal(said[batch.scored_at], batch.expected)
            if not same.all():
                at = int(np.argmin(same))
                row, position = (int(axis[at]) for axis in np.nonzero(batch.scored))
                ids = batch.input_ids[row].tolist()
                answers = {"network": plain(said[batch.scored_at][at]), "expected": plain(batch.expected[at])}
                return {"split": name, "row": int(batch.rows[row]), "input_ids": ids, "position": position, **answers}
    return None
