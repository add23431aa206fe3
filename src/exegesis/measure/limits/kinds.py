"""What a network says where it is wrong, sorted by how that stands to the input and to the task's answer."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from exegesis.measure.limits.asked import NOTHING, Asked

_FEW = 8  # answers that are told apart by name


def kinds(asked: Asked) -> list[str]:
    """For every wrong answer, in order, half a sentence: what is said where what is expected."""
    at = np.flatnonzero(asked.wrong)
    if asked.said.ndim == 2:
        return [_sets(asked, i) for i in at]
    if asked.said.dtype.kind not in "iu":
        return ["says less" if asked.said[i] < asked.expected[i] else "says more" for i in at]
    few = len(np.union1d(asked.said, asked.expected)) <= _FEW
    return [_tokens(asked, int(i), few) for i in at]


def _sets(asked: Asked, i: Int[np.integer, ""] | int) -> str:
    said, expected = asked.said[i], asked.expected[i]
    extra, missing = np.flatnonzero(said & ~expected), np.flatnonzero(expected & ~said)
    parts = [f"allows {_labels(asked, extra)}"] if len(extra) else []
    parts += [f"forbids {_labels(asked, missing)}"] if len(missing) else []
    return " and ".join(parts)


def _labels(asked: Asked, tokens: Int[np.ndarray, " k"]) -> str:
    return ", ".join(_label(asked, int(t)) for t in tokens)


def _label(asked: Asked, token: int) -> str:
    return asked.vocabulary.label(token) if token < len(asked.vocabulary) else str(token)


def _tokens(asked: Asked, i: int, few: bool) -> str:
    said, expected = int(asked.said[i]), int(asked.expected[i])
    if few:
        return f"says {_label(asked, said)} where {_label(asked, expected)} is expected"
    special = asked.vocabulary.special
    wanted = _label(asked, expected) if expected in special else "a letter"
    return f"says {_said(asked, i, said, expected)} where {wanted} is expected"


def _said(asked: Asked, i: int, said: int, expected: int) -> str:
    """How a wrong token stands to the input."""
    if said in asked.vocabulary.special:
        return _label(asked, said)
    ids, at = asked.ids[asked.row[i]], int(asked.at[i])
    if said == ids[at]:
        return "the token itself again"
    before = ids[: at + 1]
    places = np.flatnonzero(before == expected)
    if len(places):
        behind = ids[np.minimum(places + 1, len(ids) - 1)]
        ahead = np.where(places > 0, ids[np.maximum(places - 1, 0)], NOTHING)
        if said in behind:
            return "the token after the right one"
        if said in ahead:
            return "the token before the right one"
    return "another token of the input" if said in before else "a token that did not occur"
