"""Two numbers added digit by digit: sums of digits, what is carried, and the digit that is left."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from exegesis.ir import Type
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.properties.evidence import TRUTH, WHOLE, Evidence, Phrases, Proposal

_FIT = 0.95
Digits = NDArray[np.int64]


def carried(seen: Evidence) -> Iterator[Proposal]:
    """What: the digits of the sum of two numbers with equally many digits, least significant first or last.

    Something is carried to a digit if the nearest less significant place whose digits do not sum to base − 1 has a sum
    above that. Refuses when: the varying places are no two runs of the same length, tokens there are not 0, 1, 2 …, or
    the answers at as many places (or one more) are not the digits of the sum.
    """
    places, varying = seen.places, seen.varying
    count = len(varying) // 2
    if places is None or count < 2 or len(varying) % 2 or len(places) not in (count, count + 1):
        return
    first, second = varying[:count], varying[count:]
    if any(np.ptp(run) != len(run) - 1 for run in (first, second, places)) or places[0] <= second[-1]:
        return
    digits = np.unique(seen.ids[:, varying])
    base = len(digits)
    if base < 2 or not np.array_equal(digits, np.arange(base)):
        return
    answers = seen.ask(seen.ids)[:, places]
    for least_first in (True, False):
        said = _added(seen.ids[:, first], seen.ids[:, second], base, len(places), least_first=least_first)
        if (said == answers).mean() >= _FIT:
            yield _proposed(seen, first, second, places, base, least_first=least_first)


def _added(a: Digits, b: Digits, base: int, places: int, *, least_first: bool) -> Digits:
    """Digits of the sums, in the order of the places."""
    step = 1 if least_first else -1
    sums = np.zeros((len(a), places), np.int64)
    sums[:, : a.shape[1]] = (a + b)[:, ::step]
    for k in range(places - 1):
        sums[:, k + 1] += sums[:, k] // base
    said: Digits = (sums % base)[:, ::step]
    return said


def _proposed(
    seen: Evidence, first: list[int], second: list[int], places: list[int], base: int, *, least_first: bool
) -> Proposal:
    draft = seen.draft()
    say = Phrases(draft, seen.tokens, seen.causal)
    place, like = say.place(), draft.graph.inputs[0].type.of
    skip = 0 if least_first else len(places) - len(first)  # the most significant answer has no digits of its own
    found = []
    for number, run in (("first", first), ("second", second)):
        back = draft.add("symbolic.back", [seen.tokens], SELECTOR, {"by": places[skip] - run[0]}, hint="back")
        there = say.where(back, place, run)
        found.append(draft.add("symbolic.copy", [there, seen.tokens], Type("category", SEQUENCE, like), hint=number))
    attrs = {"terms": [[d, k, d] for k in range(2) for d in range(1, base)], "plus": 0}
    digits = draft.add("symbolic.form", found, WHOLE, attrs, hint="digit_sum")
    say.call(digits, "digit_sum", "The sum of the two digits that belong to this place.")
    full = say.compare(digits, ">=", base, "is_full")
    sign, nearest = ("<", "latest") if least_first else (">", "first")
    lower = draft.add(
        "symbolic.ordered", [place, place], SELECTOR, {"is": sign, "causal": seen.causal and least_first}, hint="lower"
    )
    decides = say.where(say.where(lower, place, places), digits, [base - 1], negated=True)
    nearest_one = draft.add("symbolic.nearest", [decides], SELECTOR, {"which": nearest}, hint="nearest")
    truth = Type("category", SEQUENCE, "truth")
    passed = draft.add("symbolic.copy", [nearest_one, full], truth, hint="passed_on")
    carry = draft.add("symbolic.compare", [passed], TRUTH, {"is": "==", "to": 1}, hint="carry")
    say.call(carry, "carry", f"The nearest lower place whose digits do not sum to {base - 1} has a larger sum.")
    total = say.form([(1, digits), (1, carry)], 0, "total")
    answer = draft.add("symbolic.mod", [total], seen.answer_type, {"period": base}, hint="answer")
    what = f"two numbers of {len(first)} digits are added, with carries"
    return Proposal(what, draft.whole(), answer, (digits,), tuple(range(base)))
