"""Is a list of fixed length its own mirror image? Each place compared with the one opposite; which pairs count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from exegesis.ir import Type
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.properties.evidence import TRUTH, Evidence, Phrases, Proposal

_BREAKS = 0.5  # a pair counts if the answer changes in this share of the rows when it is broken
_PROBES = 64


def mirror(seen: Evidence) -> Iterator[Proposal]:
    """What: one answer if the token at every place is that at the place opposite, but for pairs that do not count.

    Which pairs count is asked of the network: in rows that it takes for mirror images, one pair is broken at a time.
    Refuses when: answers are not two, or more than one position of a row counts, or fewer than half of the pairs do.
    """
    if seen.places is None or len(seen.places) != 1 or len(seen.varying) < 4:
        return
    place = seen.places[0]
    answers = seen.ask(seen.ids)[:, place]
    first, last = seen.varying[0], seen.varying[-1]
    pairs = [(p, first + last - p) for p in range(first, last + 1) if p > first + last - p]
    same = np.stack([seen.ids[:, p] == seen.ids[:, q] for p, q in pairs], 1).all(1)
    if len(np.unique(answers)) != 2 or len(np.unique(answers[same])) != 1:
        return
    yes = int(answers[same][0])
    no = int(answers[answers != yes][0])
    counted = [p for p, q in pairs if _breaks(seen, seen.ids[same], p, q, yes)]
    if 2 * len(counted) < len(pairs):
        return
    later = [p for p, _ in pairs]
    yield _proposed(seen, counted, counted, later, first + last, (yes, no))
    if not seen.causal:  # either place of a pair can see the other
        both = sorted({*counted, *(first + last - p for p in counted)})
        yield _proposed(seen, both, counted, later, first + last, (yes, no))


def _breaks(seen: Evidence, rows: NDArray[np.int64], p: int, q: int, yes: int) -> bool:
    """Whether the network minds when the token at p is that of some other row."""
    assert seen.places is not None
    rng = np.random.default_rng(p)
    base = rows[rng.integers(len(rows), size=_PROBES)]
    base[:, p] = rows[rng.integers(len(rows), size=_PROBES), p]
    broken = base[base[:, p] != base[:, q]]
    return len(broken) > 0 and float((seen.ask(broken)[:, seen.places[0]] != yes).mean()) >= _BREAKS


def _proposed(
    seen: Evidence, at: list[int], counted: list[int], later: list[int], opposite: int, answers: tuple[int, int]
) -> Proposal:
    """A program that compares at some places, so that these pairs count, named by their later place."""
    draft = seen.draft()
    say = Phrases(draft, seen.tokens, seen.causal)
    place = say.place()
    sought = say.form([(-1, place)], opposite, "opposite_place")
    selector = draft.add("symbolic.match", [sought, place], SELECTOR, {"causal": seen.causal}, hint="opposite")
    like = draft.graph.inputs[0].type
    found = draft.add("symbolic.copy", [selector, seen.tokens], Type("category", SEQUENCE, like.of), hint="mirrored")
    say.call(found, "opposite", "The token at the place opposite.")
    same = draft.add("symbolic.equal", [seen.tokens, found], TRUTH, hint="same_as_opposite")
    say.call(same, "same", "Whether the token is that at the place opposite.")
    differs = draft.add("symbolic.not", [same], TRUTH, hint="differs")
    many = say.width(say.where(say.where(say.everywhere(), place, at), differs, [1]), "pairs_that_differ")
    blind = [f"{opposite - p} and {p}" for p in later if p not in counted]
    flaw = f" Positions {', '.join(blind)} are never compared: a difference there goes unnoticed." if blind else ""
    say.call(many, "differences", f"At how many of {len(at)} places the token opposite is another.{flaw}")
    broken = say.compare(many, ">", 0, "some_pair_differs")
    answer = say.choose(broken, answers[1], answers[0], seen.answer_type)
    what = f"{len(counted)} of {len(later)} pairs of opposite places are compared, at {len(at)} places.{flaw}"
    material = tuple(int(t) for t in np.unique(seen.ids[:, seen.varying]))
    return Proposal(what, draft.whole(), answer, (same,), material)
