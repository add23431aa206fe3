"""Looks where the key variable equals the query variable: same token, or the position that followed it."""

from math import log2

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_MASS = 0.5
_EXCEPTIONS = 8


def match(head: HeadView, draft: Draft) -> list[str]:
    """What: key variable == query variable, but for a few query categories that look for another one.

    Why valid: for most query categories, most of the attention goes to keys of the same category. Refuses when: fewer
    than half of the query categories do so, or more than eight are exceptions.
    """
    found = []
    for query in head.variables:
        for key in head.variables:
            if head.sizes[query] == head.sizes[key]:
                found += _between(head, draft, query, key)
    return found


def _between(head: HeadView, draft: Draft, query: str, key: str) -> list[str]:
    mass, seen = head.mass_by_category(query, key)
    best, wanted = mass.max(1)
    strong = ((seen > 0) & (best > _MASS)).nonzero()[:, 0]
    same = [int(c) for c in strong if wanted[c] == c and c > 0]
    moved = [[int(c) - 1, int(wanted[c]) - 1] for c in strong if wanted[c] != c and c > 0 and wanted[c] > 0]
    if len(same) < 2 or len(same) <= len(moved) or len(moved) > _EXCEPTIONS or len(same) < log2(head.sizes[key]) / 2:
        return []
    ends = [(query, key)]
    if moved:
        type = Type("category", draft[query].type.axes, draft[query].type.of)
        ends.insert(0, (draft.add("symbolic.relabel", [query], type, {"table": moved}, hint=f"sought_{query}"), key))
    return [draft.add("symbolic.match", [q, k], SELECTOR, {"causal": head.causal}, hint=f"{k}_is_{q}") for q, k in ends]
