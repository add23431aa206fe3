"""What a hard head looks at when nothing is where it looks first: weaker preferences, read off its scores.

Softmax makes up for everything: where no key is sought, the next best is taken, however weak. Where a head then rests
on a position that contributes nothing, even the faint rest of its attention decides the answer, down to the rounding
errors that make one of two equal scores the larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from exegesis.passes.draft import Draft
from exegesis.passes.raising.hard_heads import Pairs, Rest
from exegesis.passes.raising.head_view import SELECTOR

if TYPE_CHECKING:
    from exegesis.passes.raising.raise_hard_heads import Looks
    from exegesis.passes.raising.workbench import Workbench

_APART = 2.0  # a preference: scores this far above the others, a factor of seven in attention
_LOOSE = 0.5  # scores of one pair of values that differ by more are decided by something else
_ROUNDING = 1e-6  # scores that differ by less are equal
_TIPPING = 1.001  # a weight that decides between equals, and nothing else

_FAINT = "Where nothing is found, the faint rest of the attention decides. It is spread over all others."
_EQUAL = "Rounding errors of the weights favour these a little; that decides between equals."
_LIFTED = "These get a little more than others."
_SECOND = "Where nothing is found, these get most of the faint rest of the attention."

Write = Callable[[Draft], tuple[str, str]]
Values = tuple[int, int]


@dataclass(frozen=True)
class _Faint:
    """Preferences beyond what is looked at, by pairs of values of query and key.

    Attributes:
        levels: pairs that are preferred to all others, strongest first.
        lifted: what attention to a pair is multiplied by among these others.
    """

    levels: tuple[tuple[Values, ...], ...] = ()
    lifted: Mapping[Values, float] = field(default_factory=dict)


def with_fallback(
    work: Workbench, looks: Looks, scores: Sequence[Tensor], pairs: Pairs, causal: bool
) -> Iterator[Write]:
    """Ways to write where a head looks, simplest first: as it is, then with what it looks at for want of that.

    Each returns the selector without, and the one with, a resting place that is always looked at.
    """
    yield lambda draft: _plain(work, draft, looks, pairs, causal)
    if looks.rest is not Rest.ELSE or looks.at_rest is None:
        return
    yield lambda draft: _falling_back(work, draft, looks, pairs, causal, _Faint())
    faint = _preferences(looks, scores, pairs)
    if faint.levels:
        yield lambda draft: _falling_back(work, draft, looks, pairs, causal, _Faint(faint.levels))
    if faint.lifted:
        alike = replace(faint, lifted=dict.fromkeys(faint.lifted, _TIPPING))
        yield lambda draft: _falling_back(work, draft, looks, pairs, causal, alike)
        yield lambda draft: _falling_back(work, draft, looks, pairs, causal, faint)


def _plain(work: Workbench, draft: Draft, looks: Looks, pairs: Pairs, causal: bool) -> tuple[str, str]:
    chosen = looks.relation.write(draft)
    if looks.place is None or looks.at_rest is None:
        return chosen, chosen
    if work.reaches(draft, chosen, pairs.query, looks.at_rest):
        chosen = _but_rest(draft, chosen, looks)
    if looks.rest is not Rest.ALWAYS:
        return chosen, chosen
    column, category = looks.place
    everywhere = _everywhere(work, draft, causal)
    attrs = {"values": [category], "negated": False}
    rest = draft.add("symbolic.where", [everywhere, column.node], SELECTOR, attrs, hint="rest")
    return chosen, draft.add("symbolic.either", [chosen, rest], SELECTOR, hint=f"{chosen}_or_rest")


def _falling_back(
    work: Workbench, draft: Draft, looks: Looks, pairs: Pairs, causal: bool, faint: _Faint
) -> tuple[str, str]:
    """The relation; for want of it, fainter ones; for want of these, everything but the resting place."""

    def related(values: Sequence[Values], name: str, why: str) -> str:
        assert looks.relation.ends is not None
        attrs = {"pairs": [list(v) for v in sorted(values)], "causal": causal}
        found = draft.add("symbolic.related", [e.node for e in looks.relation.ends], SELECTOR, attrs, hint=name)
        assert looks.at_rest is not None
        if work.reaches(draft, found, pairs.query, looks.at_rest):
            found = _but_rest(draft, found, looks)
        return _called(draft, found, name, why)

    found, _ = _plain(work, draft, looks, pairs, causal)
    last = _called(draft, _but_rest(draft, _everywhere(work, draft, causal), looks), "others", _FAINT)
    for weight in sorted(set(faint.lifted.values())):
        why = _EQUAL if weight == _TIPPING else _LIFTED
        lifted = related([v for v, w in faint.lifted.items() if w == weight], "favoured", why)
        attrs = {"weights": [], "other": weight}
        lifted = draft.add("symbolic.weigh", [lifted, work.tokens], SELECTOR, attrs, hint="weighed")
        last = draft.add("symbolic.either", [last, lifted], SELECTOR, hint="others")
    for level in reversed(faint.levels):
        last = draft.add(
            "symbolic.otherwise", [related(level, "second_best", _SECOND), last], SELECTOR, hint="otherwise"
        )
    found = draft.add("symbolic.otherwise", [found, last], SELECTOR, hint="otherwise")
    return found, found


def _called(draft: Draft, node: str, name: str, doc: str) -> str:
    """Gives a drafted node a name and a sentence, unless it has been there before; returns it."""
    if node in draft.nodes and draft.nodes[node].name is None:
        draft.nodes[node] = replace(draft.nodes[node], name=name, doc=doc)
    return node


def _but_rest(draft: Draft, selector: str, looks: Looks) -> str:
    assert looks.place is not None
    attrs = {"values": [looks.place[1]], "negated": True}
    return draft.add("symbolic.where", [selector, looks.place[0].node], SELECTOR, attrs, hint=f"{selector}_but_rest")


def _everywhere(work: Workbench, draft: Draft, causal: bool) -> str:
    return draft.add("symbolic.everywhere", [work.tokens], SELECTOR, {"causal": causal}, hint="everywhere")


def _preferences(looks: Looks, scores: Sequence[Tensor], pairs: Pairs) -> _Faint:
    """How pairs of values that are not looked at score above the lowest."""
    if looks.relation.ends is None or looks.at_rest is None:
        return _Faint()
    query, key = looks.relation.ends
    rested, score = looks.at_rest[pairs.key], _flat(scores, pairs)
    level = np.zeros(int(pairs.query.max()) + 1)
    level[pairs.query[rested]] = score[rested]
    asks, shows, above = pairs.query[~rested], pairs.key[~rested], (score - level[pairs.query])[~rested]
    cells, cell = np.unique(np.stack([query.values[asks], key.values[shows]], 1), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    most, least = np.full(len(cells), -np.inf), np.full(len(cells), np.inf)
    np.maximum.at(most, cell, above)
    np.minimum.at(least, cell, above)
    steady, asked = most - least <= _LOOSE, np.unique(cells[:, 0], return_inverse=True)[1].reshape(-1)
    lowest = np.full(len(cells), np.inf)
    np.minimum.at(lowest, asked, most)
    most = most - lowest[asked]
    steady &= (most - (least - lowest[asked])) <= np.maximum(_ROUNDING, 0.1 * most)
    steady[cell[pairs.looked[~rested]]] = False
    values = [(int(q), int(k)) for q, k in cells]
    strong = sorted((k for k in np.flatnonzero(steady & (most >= _APART))), key=lambda k: -most[k])
    levels: list[list[Values]] = []
    for before, k in zip([None, *strong], strong, strict=False):
        if before is None or most[before] - most[k] > _APART:
            levels.append([])
        levels[-1].append(values[k])
    weak = np.flatnonzero(steady & (most > _ROUNDING) & (most < _APART))
    lifted = {values[k]: float(f"{np.exp(most[k]):.7g}") for k in weak}
    return _Faint(tuple(tuple(level) for level in levels), lifted)


def _flat(scores: Sequence[Tensor], pairs: Pairs) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The score of each pair."""
    found = np.zeros(len(pairs.query))
    start = 0
    for score in scores:
        rows, length = score.shape[0], score.shape[1]
        here = (pairs.query >= start) & (pairs.query < start + rows * length)
        row, query = np.divmod(pairs.query[here] - start, length)
        found[here] = score.numpy()[row, query, (pairs.key[here] - start) % length]
        start += rows * length
    return found
