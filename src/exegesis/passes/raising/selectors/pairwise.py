"""Looks everywhere, with a weight for each pair of what query and key hold."""

from __future__ import annotations

import torch

from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, HeadView

_MOST_PAIRS = 24
_UNEVEN = 0.01
_DIGITS = 3


def pairwise(head: HeadView, draft: Draft) -> list[str]:
    """What: keys by category, weighed differently for each token that asks. Why valid: log attention depends on the
    two categories; least squares give the weights. Refuses when: more than 24 pairs stand out, or weights depend on the
    query by less than a hundredth (then looking everywhere, or by the key, says the same).
    """
    found = []
    for key in head.variables:
        weights = _weights(head, head.tokens, key)
        if weights is None:
            continue
        everywhere = draft.add(
            "symbolic.everywhere", [head.tokens], SELECTOR, {"causal": head.causal}, hint="everywhere"
        )
        attrs = {"weights": weights, "other": 1}
        ends = [everywhere, head.tokens, key]
        found.append(draft.add("symbolic.weigh_pairs", ends, SELECTOR, attrs, hint=f"weighed_{key}"))
    return found


def _weights(head: HeadView, query: str, key: str) -> list[list[int | float]] | None:
    """Triples of the categories of query and key and their weight, relative to the commonest key."""
    if head.sizes[query] * head.sizes[key] > _MOST_PAIRS**2:
        return None
    strength, seen = head.preference_by_pair(query, key)
    strength, seen = strength.double(), seen * (((seen > 0).sum(1) > 1)[:, None])  # who sees one category has no choice
    pairs = (seen > 0).nonzero()
    asked = torch.tensor(sorted(set(pairs[:, 0].tolist())))
    if len(asked) < 2:
        return None
    usual = int((seen.sum(0) * (seen[asked] > 0).all(0)).argmax())
    strength = strength - strength[:, usual : usual + 1]
    alike = [strength[asked, k][seen[asked, k] > 0] for k in sorted(set(pairs[:, 1].tolist()))]
    if max(float(a.max() - a.min()) for a in alike) < _UNEVEN:
        return None
    rounded = [(int(q), int(k), float(f"{float(strength[q, k].exp()):.{_DIGITS}g}")) for q, k in pairs]
    listed = [[q - 1, k - 1, int(w) if w.is_integer() else w] for q, k, w in rounded if w != 1]
    return listed if 0 < len(listed) <= _MOST_PAIRS else None
