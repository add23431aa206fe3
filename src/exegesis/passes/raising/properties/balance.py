"""Do opening and closing tokens balance? Heights, and two questions about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from exegesis.passes.raising.properties.evidence import TRUTH, Evidence, Phrases, Proposal

UNBALANCED = "unbalanced"
_USUAL = 0.5  # tokens that stand in this share of the rows may open or close
_MOST_TOKENS = 6
_FIT = 0.98


def balance(seen: Evidence) -> Iterator[Proposal]:
    """What: one answer if every opening token is closed and none is closed before it was opened, else another.

    The height (opened so far, less closed so far) is never below zero; and either the same holds read from the end, or
    the last height is zero. Refuses when: answers are not two, or more than one position of a row counts, or no two
    tokens give nearly all answers.
    """
    if seen.places is None or len(seen.places) != 1:
        return
    answers = seen.ask(seen.ids)[:, seen.places[0]]
    values = np.unique(answers)
    if len(values) != 2:
        return
    present = [(seen.ids == t).any(1).mean() for t in range(seen.vocabulary)]
    material = [t for t, share in enumerate(present) if share > _USUAL]
    fixed = [t for t in material if ((seen.ids == t).sum(1) == 1).all()]
    material = [t for t in material if t not in fixed][:_MOST_TOKENS]
    for opens, closes in permutations(material, 2):
        balanced = _balanced(seen.ids, opens, closes)
        for yes, no in permutations(values.tolist()):
            if (np.where(balanced, yes, no) == answers).mean() >= _FIT:
                for unclosed in (True, False):
                    yield _proposed(seen, opens, closes, yes, no, unclosed=unclosed)
                both = _proposed(seen, opens, closes, yes, no, unclosed=False)
                yield replace(both, what=f"{both.what}, as one", variables=(UNBALANCED,), coarse=True)


def _balanced(ids: NDArray[np.int64], opens: int, closes: int) -> NDArray[np.bool_]:
    height = ((ids == opens).astype(np.int64) - (ids == closes)).cumsum(1)
    balanced: NDArray[np.bool_] = (height.min(1) >= 0) & (height[:, -1] == 0)
    return balanced


def _proposed(seen: Evidence, opens: int, closes: int, yes: int, no: int, *, unclosed: bool) -> Proposal:
    draft = seen.draft()
    say = Phrases(draft, seen.tokens, seen.causal)

    labels = seen.graph.axes[seen.graph.inputs[0].type.of or ""].labels or ()
    signs = [repr(labels[t]) if t < len(labels) else f"token {t}" for t in (opens, closes)]

    def height(hint: str, *, causal: bool) -> str:
        sides = [
            say.width(say.where(say.everywhere(causal=causal), seen.tokens, [t]), f"{hint}_{t}")
            for t in (opens, closes)
        ]
        where, suffix = ("so far", "") if causal else ("in all", "_in_all")
        for side, verb, sign in zip(sides, ("opened", "closed"), signs, strict=True):
            say.call(side, f"{verb}{suffix}", f"How many {sign} there are {where}.")
        return say.form([(1, sides[0]), (-1, sides[1])], 0, hint)

    so_far, last = height("height", causal=True), height("last_height", causal=False)
    say.call(so_far, "height", f"How many {signs[0]} are open so far; negative where more {signs[1]} came.")
    say.call(last, "last_height", f"How many {signs[0]} stay open; negative where there are more {signs[1]}.")

    def anywhere(condition: str, hint: str) -> str:
        return say.compare(say.width(say.where(say.everywhere(), condition, [1]), f"{hint}_at"), ">", 0, hint)

    early = f"Whether a {signs[1]} comes before the {signs[0]} that it would close."
    dips = anywhere(say.compare(so_far, "<", 0, "below_zero"), "closed_too_early")
    if unclosed:
        later = say.form([(1, last), (-1, so_far)], 0, "opened_later")
        other = anywhere(say.compare(later, ">", 0, "more_opened_later"), "left_open")
        say.call(other, "left_open", f"Whether a {signs[0]} is never closed by a later {signs[1]}.")
    else:
        other = say.compare(last, "!=", 0, "ends_uneven")
        say.call(other, "ends_uneven", f"Whether there are more {signs[0]} than {signs[1]}, or fewer.")
    say.call(dips, "closed_too_early", early)
    either = draft.add("symbolic.or", [dips, other], TRUTH, hint=UNBALANCED)
    say.call(either, "unbalanced", f"Whether any {signs[0]} or {signs[1]} has no partner.")
    answer = say.choose(either, no, yes, seen.answer_type)
    how = "none is left open" if unclosed else "the last height is zero"
    return Proposal(f"none is closed too early, and {how}", draft.whole(), answer, (dips, other), (opens, closes))
