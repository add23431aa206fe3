"""The exact relation between a query variable and a key variable that decides where a hard head looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import comb, log2

import numpy as np
from numpy.typing import NDArray

from exegesis.ir import Axis, Type
from exegesis.ir.price import integer_bits
from exegesis.passes.draft import Draft
from exegesis.passes.raising.columns import Column, Mask
from exegesis.passes.raising.hard_heads import Pairs
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.phrases import REFER

Table = NDArray[np.int64]

_MOST_VALUES = 400
_MOST_PAIRS = 40
_PERIODS = range(2, 7)
_OTHER_AXIS = 4.0  # bits for comparing categories of different axes
_UNREAD = 5.0  # bits for a variable that the head's own queries or keys are no function of


@dataclass(frozen=True)
class Relation:
    """A selector that looks where a head does.

    Attributes:
        bits: what it costs to state.
        write: drafts it.
        ends: the variables of query and key that decide, where there are two.
    """

    bits: float
    write: Callable[[Draft], str]
    ends: tuple[Column, Column] | None = None


@dataclass(frozen=True)
class Site:
    """What is known of a head beside what it looks at.

    Attributes:
        like: a node with one value per position.
        place: the variable that holds the position itself.
        causal: whether the head is masked.
        asks: variables that decide what it asks for at a position: its query there is a function of them.
        shows: variables that decide what a position shows: its key there is a function of them.
    """

    like: str
    place: str
    causal: bool
    asks: frozenset[str] = frozenset()
    shows: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Seen:
    """Which pairs of values are looked at: values of query and key, tables [q, k] of how often seen and looked at."""

    query: Column
    key: Column
    queries: Table
    keys: Table
    seen: Table
    looked: Table

    @property
    def cells(self) -> tuple[Table, Table, Mask]:
        """Query value, key value and whether it is looked at, of every cell that occurs."""
        row, column = self.seen.nonzero()
        return self.queries[row], self.keys[column], self.looked[row, column] > 0


def relation(pairs: Pairs, columns: Sequence[Column], site: Site) -> Relation | None:
    """The cheapest relation that holds exactly where a head looks, or None.

    Args:
        pairs: what the head looks at.
        columns: variables of categories, truth values or whole numbers.
        site: what is known of the head.
    """
    if pairs.looked.all():
        return _everywhere(site)
    known = [c for c in columns if c.kind != "real" and c.cls is None and len(np.unique(c.values)) <= _MOST_VALUES]
    found = [r for c in known for r in _by_key(pairs, c, site)]
    for query in known:
        for key in known:
            table = _table(pairs, query, key)
            if not ((table.looked == 0) | (table.looked == table.seen)).all():
                continue
            odd = _UNREAD * ((query.node not in site.asks) + (key.node not in site.shows))
            found += [replace(r, bits=r.bits + odd, ends=(query, key)) for r in _between(table, site)]
    return min(found, key=lambda r: r.bits, default=None)


def _everywhere(site: Site) -> Relation:
    attrs = {"causal": site.causal}
    return Relation(REFER, lambda d: d.add("symbolic.everywhere", [site.like], SELECTOR, attrs, hint="everywhere"))


def _by_key(pairs: Pairs, key: Column, site: Site) -> Iterator[Relation]:
    """Looks at keys by their own category."""
    values = key.values[pairs.key]
    held, others = np.unique(values[pairs.looked]), np.unique(values[~pairs.looked])
    if len(np.intersect1d(held, others)):
        return
    negated = len(others) < len(held)
    listed = [int(v) for v in (others if negated else held)]
    size = len(held) + len(others)

    def write(draft: Draft) -> str:
        all_of_them = _everywhere(site).write(draft)
        attrs = {"values": listed, "negated": negated}
        return draft.add("symbolic.where", [all_of_them, key.node], SELECTOR, attrs, hint=f"where_{key.node}")

    yield Relation(3 * REFER + log2(size + 1) + log2(comb(size, len(listed)) + 1) + negated, write)


def _table(pairs: Pairs, query: Column, key: Column) -> _Seen:
    queries, keys = np.unique(query.values), np.unique(key.values)
    shape = (len(queries), len(keys))
    cell = query.codes[pairs.query] * len(keys) + key.codes[pairs.key]
    seen = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    looked = np.bincount(cell, pairs.looked, minlength=shape[0] * shape[1]).reshape(shape)
    return _Seen(query, key, queries, keys, seen, looked.astype(np.int64))


def _between(table: _Seen, site: Site) -> Iterator[Relation]:
    """Every relation of the known kinds that gives the table."""
    query, key = table.query, table.key
    alien = 0.0 if query.axis == key.axis and query.kind == key.kind else _OTHER_AXIS
    q, k, looked = table.cells
    apart = k.astype(np.int64) - q
    if looked.any() and not looked.all():
        yield from _equal(query, key, apart, looked, alien, site)
        yield from _ordered(query, key, apart, looked, alien, site)
        yield from _within(query, key, apart, looked, alien, site)
    if query.values.min() >= 0 and key.values.min() >= 0:
        yield from _same_remainder(query, key, apart, looked, alien, site.causal)
    yield from _same_class(table, alien, site.causal)
    yield from _listed(query, key, q[looked], k[looked], site.causal)


def _listed(query: Column, key: Column, asked: Table, given: Table, causal: bool) -> Iterator[Relation]:
    """One by one."""
    pairs = sorted({(int(q), int(k)) for q, k in zip(asked, given, strict=True)})
    if len(pairs) > _MOST_PAIRS:
        return
    attrs = {"pairs": [list(p) for p in pairs], "causal": causal}
    per_pair = log2(len(np.unique(query.values)) + 1) + log2(len(np.unique(key.values)) + 1)

    def write(draft: Draft) -> str:
        return draft.add(
            "symbolic.related", [query.node, key.node], SELECTOR, attrs, hint=f"{key.node}_for_{query.node}"
        )

    yield Relation(3 * REFER + len(pairs) * per_pair, write)


def _equal(query: Column, key: Column, apart: Table, looked: Mask, alien: float, site: Site) -> Iterator[Relation]:
    """key == query + by."""
    by, place = int(apart[looked][0]), site.place
    if not np.array_equal(apart == by, looked):
        return
    if query.node == key.node == place and by <= 0:
        yield Relation(
            REFER + integer_bits(by),
            lambda d: d.add("symbolic.back", [place], SELECTOR, {"by": -by}, hint=f"back_{-by}"),
        )
        return

    def match(draft: Draft) -> str:
        sought = _plus(draft, query, by)
        hint = f"{key.node}_is_{sought}"
        return draft.add("symbolic.match", [sought, key.node], SELECTOR, {"causal": site.causal}, hint=hint)

    yield Relation(3 * REFER + alien + (integer_bits(by) if by else 0), match)


def _ordered(query: Column, key: Column, apart: Table, looked: Mask, alien: float, site: Site) -> Iterator[Relation]:
    """key < query + by, and so on."""
    inside, outside = apart[looked], apart[~looked]
    for above in (True, False):
        if inside.min() <= outside.max() if above else inside.max() >= outside.min():
            continue
        bound = int(inside.min()) if above else int(inside.max())
        loose, strict = (">=", ">") if above else ("<=", "<")
        outer = int(outside.max()) if above else int(outside.min())
        by, sign = min(((bound, loose), (outer, strict)), key=lambda o: abs(o[0]))
        if query.node == key.node == site.place and (by, sign) == (0, "<="):
            yield _everywhere(replace(site, causal=True))
            continue

        def write(draft: Draft, by: int = by, sign: str = sign) -> str:
            than = _plus(draft, query, by)
            attrs = {"is": sign, "causal": site.causal}
            return draft.add("symbolic.ordered", [than, key.node], SELECTOR, attrs, hint=f"{key.node}_ordered")

        yield Relation(3 * REFER + 2 + alien + (integer_bits(by) if by else 0), write)


def _within(query: Column, key: Column, apart: Table, looked: Mask, alien: float, site: Site) -> Iterator[Relation]:
    """query + low <= key <= query + high."""
    low, high = int(apart[looked].min()), int(apart[looked].max())
    if low == high or not np.array_equal((apart >= low) & (apart <= high), looked):
        return

    def write(draft: Draft) -> str:
        sides = []
        for by, sign in ((low, ">="), (high, "<=")):
            attrs = {"is": sign, "causal": site.causal}
            than = _plus(draft, query, by)
            sides.append(draft.add("symbolic.ordered", [than, key.node], SELECTOR, attrs, hint=f"{key.node}_ordered"))
        return draft.add("symbolic.both", sides, SELECTOR, hint=f"{key.node}_near")

    yield Relation(6 * REFER + 4 + alien + integer_bits(low) + integer_bits(high), write)


def _same_remainder(
    query: Column, key: Column, apart: Table, looked: Mask, alien: float, causal: bool
) -> Iterator[Relation]:
    """key ≡ query + by, modulo a small period."""
    for period in _PERIODS:
        rest = np.mod(apart, period)
        held = np.unique(rest[looked])
        if len(held) != 1 or not np.array_equal(rest == held[0], looked) or query.kind == "bool":
            continue
        by = int(held[0])

        def write(draft: Draft, period: int = period, by: int = by) -> str:
            axis = f"mod_{period}"
            draft.axes[axis] = Axis(axis, period)
            type = Type("category", SEQUENCE, axis)
            attrs = {"period": period, **({"plus": by} if by else {})}
            asked = draft.add("symbolic.mod", [query.node], type, attrs, hint=f"{query.node}_mod_{period}")
            given = draft.add("symbolic.mod", [key.node], type, {"period": period}, hint=f"{key.node}_mod_{period}")
            return draft.add("symbolic.match", [asked, given], SELECTOR, {"causal": causal}, hint=f"{given}_is_{asked}")

        yield Relation(5 * REFER + alien + 2 * integer_bits(period), write)


def _same_class(table: _Seen, alien: float, causal: bool) -> Iterator[Relation]:
    """Queries and keys fall into classes, and each class of queries looks at one class of keys."""
    if not table.seen.all() or table.looked.shape[0] < 2:
        return
    looked = table.looked > 0
    rows, row = np.unique(looked, axis=0, return_inverse=True)
    if (rows.sum(0) > 1).any():
        return  # a key is looked at by queries of two classes
    row = row.reshape(-1)
    asked = [[int(q), int(c)] for q, c in zip(table.queries, row, strict=True) if rows[c].any()]
    given = [[int(k), int(rows[:, i].argmax())] for i, k in enumerate(table.keys) if rows[:, i].any()]
    classes = len(rows)

    def write(draft: Draft) -> str:
        axis = f"cases_{classes}"
        draft.axes[axis] = Axis(axis, classes)
        type = Type("category", SEQUENCE, axis)
        ends = [
            draft.add("symbolic.lookup", [c.node], type, {"rows": rows_, "other": -1}, hint=f"{c.node}_case")
            for c, rows_ in ((table.query, asked), (table.key, given))
        ]
        return draft.add("symbolic.match", ends, SELECTOR, {"causal": causal}, hint=f"{ends[1]}_is_{ends[0]}")

    per_row = log2(len(table.keys) + 1) + log2(classes + 1)
    yield Relation(5 * REFER + alien + (len(asked) + len(given)) * per_row, write)


def _plus(draft: Draft, variable: Column, by: int) -> str:
    """The variable plus a constant."""
    if not by:
        return variable.node
    type = draft[variable.node].type
    if variable.kind == "int":
        attrs = {"terms": [[1, 0, None]], "plus": by}
        return draft.add("symbolic.form", [variable.node], Type("int", SEQUENCE), attrs, hint=f"{variable.node}_plus")
    return draft.add(
        "symbolic.shift", [variable.node], Type("category", SEQUENCE, type.of), {"by": by}, hint=f"{variable.node}_plus"
    )
