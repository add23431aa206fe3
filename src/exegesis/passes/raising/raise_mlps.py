"""MLPs over finite variables become short expressions: what neurons write is tabulated, and the table described.

What: neurons are grouped by what they write (groups at right angles to each other); a group that takes few values at
the positions of the bench becomes a variable, described by the shortest phrase over what is known: a comparison, a
difference, a remainder, a table …
Why valid: the phrase tells apart exactly the values that the group takes (where the network blends neighbouring values:
those that it tells apart), and with the table in the group's place the network gives the answers that it gave before.
Refuses when: a group takes too many values, no phrase over known variables groups them, or answers change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from exegesis.passes.raising.clusters import Codes, cluster, codes_of
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.describe import describe
from exegesis.passes.raising.neurons import Mlp, Table, groups, out_weight, with_tables
from exegesis.passes.raising.phrases import REFER, Phrase, total
from exegesis.passes.raising.workbench import Counting, Workbench

Real = NDArray[np.floating]
Neurons = NDArray[np.int64]

_MOST_NUMBERS = 16_000_000
_LINEAR = 1e-4
_FEW = 4  # parts of which every pair is tried together
_OWN = 2 * REFER  # bits for having one more variable


@dataclass(frozen=True, eq=False)
class _Reading:
    """What a group of neurons may stand for, and what it costs to say and to have."""

    phrase: Phrase
    bits: float


@dataclass(frozen=True, eq=False)
class _Part:
    """A group of neurons: which, what they write at every position [n, d], what they may stand for (cheapest first)."""

    neurons: Neurons
    written: Real
    readings: tuple[_Reading, ...]

    @property
    def best(self) -> _Reading:
        return self.readings[0]


def raise_mlp(work: Workbench, mlp: Mlp) -> None:
    """Puts on offer what an MLP computes, and tables in the place of the neurons that compute it."""
    weight = out_weight(work.graph, mlp)
    if len(work.known) * sum(weight.shape) > _MOST_NUMBERS:
        return
    before = work.known.values(work.start, [mlp.active])[mlp.active]
    now = work.known.values(work.graph, [mlp.active, mlp.out])
    for counting in work.countings:
        counts = counting.mask
        found = groups(before[counts], weight)
        read = [_part(work, g, before[:, g] @ weight[g], counts) for g in found]
        parts = _merged(work, [p for p in read if p.readings], counts)
        tables = _accepted(work, mlp, parts, counting, now[mlp.active], now[mlp.out])
        if found and (tables or counts.all()):
            done, alive = sum(len(t.neurons) for t in tables), sum(len(g) for g in found)
            work.note(f"{mlp.layer} MLP", f"{len(tables)} variables in {done} of {alive} neurons", applied=bool(tables))
        if tables:
            work.graph = with_tables(work.graph, mlp, tables, by=work.by)
            return


def _accepted(
    work: Workbench, mlp: Mlp, parts: Sequence[_Part], counting: Counting, active: Real, out: Real
) -> list[Table]:
    """Tables for the groups whose variable can be drafted and keeps the answers, all of them together.

    Args:
        active, out: [n, m] and [n, d], what the neurons and the MLP do now.
    """
    weight = out_weight(work.graph, mlp)
    tables = []
    for part in parts:
        for reading in part.readings:
            node = _drafted(work, reading.phrase, counting.mask)
            if node is None:
                continue
            table = _aside(_table(work, node, part, counting.mask), counting, part.written)
            instead = out - active[:, part.neurons] @ weight[part.neurons] + table.written
            if work.keeps(mlp.out, work.known.tensors(instead)) == 1.0:
                out = instead
                tables.append(table)
                _locate(work, mlp, node, part.neurons, len(weight))
                break
    return tables


def _part(work: Workbench, neurons: Neurons, written: Real, counts: Mask) -> _Part:
    columns = [c.at(counts) for c in work.columns]
    found = []
    if (linear := _linear(written[counts], columns)) is not None:
        found.append(_Reading(linear, linear.bits + _OWN))
    told = (describe(g.codes, columns) for g in cluster(written[counts]) if g.count > 1)
    found += [_Reading(phrase, phrase.bits + _OWN) for phrase in told if phrase is not None]
    return _Part(neurons, written, tuple(sorted(found, key=lambda r: r.bits)))


def _linear(written: Real, columns: Sequence[Column]) -> Phrase | None:
    """A sum of a few known numbers with tidy coefficients, where they write along a line and are linear in them."""
    centred = written - written.mean(0)
    furthest = centred[np.linalg.norm(centred, axis=1).argmax()]
    if not furthest.any():
        return None
    line = centred @ furthest / (furthest @ furthest)
    if np.abs(centred - line[:, None] * furthest).max() > _LINEAR * np.abs(furthest).max():
        return None
    numbers = [c for c in columns if c.is_number and np.ptp(c.values) > 0]
    for many in (2, 3):
        for chosen in combinations(numbers, many):
            matrix = np.stack([*(c.values.astype(np.float64) for c in chosen), np.ones(len(line))], 1)
            weights, *_ = np.linalg.lstsq(matrix, line, rcond=None)
            if np.abs(matrix @ weights - line).max() > _LINEAR * np.ptp(line):
                continue
            if (tidy := _tidied(weights[:-1])) is not None:
                return total(list(zip(tidy, chosen, strict=True)), 0)
    return None


def _tidied(weights: Real) -> list[int] | None:
    """Weights in the same proportion that are small whole numbers, the first of them positive."""
    smallest = np.abs(weights).min()
    if smallest < 1e-6 * np.abs(weights).max():
        return None
    for factor in range(1, 7):
        scaled = weights / smallest * factor
        if np.abs(scaled - np.round(scaled)).max() < 1e-3 * factor:
            whole = [int(w) for w in np.round(scaled)]
            return whole if whole[0] > 0 else [-w for w in whole]
    return None


def _merged(work: Workbench, parts: Sequence[_Part], counts: Mask) -> list[_Part]:
    """Groups joined where they stand for one variable, or cost less to say together than one by one."""
    found: list[_Part] = []
    for family in _families(parts):
        found += _cheapest(work, _alike(family), counts)
    return _cheapest(work, found, counts)


def _cheapest(work: Workbench, parts: list[_Part], counts: Mask) -> list[_Part]:
    """The parts as one, if that is cheaper, or pairs of them joined for as long as that is cheaper."""
    candidates = [parts] if len(parts) > 2 else []
    while len(parts) > 1:
        pairs = [list(p) for p in combinations(parts, 2)] if len(parts) <= _FEW else []
        for group in candidates + pairs:
            joined = _join(group)
            joined = _part(work, joined.neurons, joined.written, counts)
            if joined.readings and joined.best.bits <= sum(p.best.bits for p in group):
                parts = [*(p for p in parts if all(p is not g for g in group)), joined]
                break
        else:
            return parts
        candidates = []
    return parts


def _families(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Groups that speak of the same variables, or of some of those that others speak of."""
    families: dict[frozenset[str], list[_Part]] = {}
    for part in sorted(parts, key=lambda p: -len(set(p.best.phrase.of))):
        of = frozenset(part.best.phrase.of)
        families.setdefault(next((f for f in families if of <= f), of), []).append(part)
    return list(families.values())


def _alike(family: Sequence[_Part]) -> list[_Part]:
    """Groups that hold the same variable, as one."""
    kinds: dict[bytes, list[_Part]] = {}
    for part in family:
        kinds.setdefault(_renamed(codes_of(part.best.phrase.values)).tobytes(), []).append(part)
    return [_join(same) for same in kinds.values()]


def _renamed(codes: Codes) -> Codes:
    """Groups numbered in the order in which they first occur."""
    first = np.unique(codes, return_index=True)[1]
    return np.argsort(np.argsort(first))[codes]


def _join(parts: Sequence[_Part]) -> _Part:
    neurons = np.sort(np.concatenate([p.neurons for p in parts]))
    return replace(parts[0], neurons=neurons, written=np.sum([p.written for p in parts], axis=0))


def _drafted(work: Workbench, phrase: Phrase, counts: Mask) -> str | None:
    """The node that the phrase becomes, on offer; None when it is not what the phrase says it is."""
    draft = work.draft()
    node = phrase.write(draft)
    graph = draft.whole()
    values = work.known.values(graph, [node])[node][counts]
    if not np.allclose(values.astype(np.float64), phrase.values.astype(np.float64), atol=1e-5):
        return None
    work.graph = graph
    work.offer(node)
    return node


def _table(work: Workbench, node: str, part: _Part, counts: Mask) -> Table:
    """What the group writes as a function of its variable: a mean per value, or a line for real numbers."""
    values = work.known.values(work.graph, [node])[node]
    if work.graph[node].type.kind == "real":
        matrix = np.stack([values, np.ones(len(values))], 1).astype(np.float64)
        weights, *_ = np.linalg.lstsq(matrix[counts], part.written[counts], rcond=None)
        return Table(node, part.neurons, (), weights, matrix @ weights)
    values = values.astype(np.int64)
    kinds, codes = np.unique(values[counts], return_inverse=True)
    rows = np.zeros((len(kinds), part.written.shape[1]))
    np.add.at(rows, codes.reshape(-1), part.written[counts])
    rows /= np.bincount(codes.reshape(-1))[:, None]
    at = np.searchsorted(kinds, values).clip(max=len(kinds) - 1)
    written = np.where((kinds[at] == values)[:, None], rows[at], 0)
    return Table(node, part.neurons, tuple(int(k) for k in kinds), rows, written)


def _aside(table: Table, counting: Counting, before: Real) -> Table:
    """The table with what the network wrote at positions that do not count: one row per category that tells them."""
    if not counting.variable:
        return table
    means, written = counting.means(before), table.written.copy()
    for category, mean in means.items():
        written[counting.aside == category] = mean
    return replace(table, written=written, rest=(counting.variable, means))


def _locate(work: Workbench, mlp: Mlp, node: str, neurons: Neurons, width: int) -> None:
    """Notes that a variable lives in these neurons."""
    basis = np.eye(width, dtype=np.float32)[neurons]
    name = f"{node}.{mlp.layer}.neurons"
    label = f"{mlp.layer} neurons {_ranges(neurons)}"
    sites = [replace(s, basis=name, label=label) for s in work.graph[mlp.active].sites]
    work.locate(node, sites, {name: basis})


def _ranges(neurons: Neurons) -> str:
    """Ascending numbers, runs of them as ranges: `1–14, 20`."""
    runs = np.split(neurons, np.flatnonzero(np.diff(neurons) > 1) + 1)
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)
