"""Where selectors look, in words."""

from __future__ import annotations

from typing import Any

import pytest

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.looks import looks

TOKEN = Type("category", SEQUENCE, "token")


@pytest.fixture
def draft() -> Draft:
    axes = {a: Axis(a) for a in (*SEQUENCE, "key")} | {"token": Axis("token", 3, ("a", "b", "<sep>"))}
    return Draft(Graph((Node("tokens", "input.tokens", (), TOKEN),), ("tokens",), axes=axes), "test")


def add(draft: Draft, op: str, inputs: list[str], type: Type = SELECTOR, **attrs: Any) -> str:
    return draft.add(f"symbolic.{op}", inputs, type, attrs, hint=op, doc="L0H0" if op == "copy" else "")


def test_a_sentence_for_each_kind(draft: Draft) -> None:
    everywhere = add(draft, "everywhere", ["tokens"], causal=True)
    back = add(draft, "back", ["tokens"], by=1)
    there = add(draft, "where", [everywhere, "tokens"], values=[2], negated=False)
    asks = add(draft, "is_in", ["tokens"], Type("bool", SEQUENCE), values=[0, 1])
    copied = add(draft, "copy", [back, "tokens"], TOKEN)
    sought = add(draft, "relabel", ["tokens"], TOKEN, table=[[2, 0]])
    told = {
        everywhere: "everything so far",
        back: "the position before",
        add(draft, "at", ["tokens"], index=0, causal=True): "the first position",
        add(draft, "otherwise", [there, back]): "everything so far where the token is <sep>, for want of that at the "
        "position before",
        add(draft, "when", [back, asks]): "the position before from the token a, b",
        add(draft, "match", [sought, copied], causal=True): "positions where the token that L0H0 copied is the token "
        "(<sep> as a) here",
        add(draft, "nearest", [there], which="latest"): "the latest of everything so far where the token is <sep>",
        add(draft, "weigh_pairs", [everywhere, "tokens", "tokens"], weights=[[0, 1, 2]], other=1): "everything so far, "
        "weighed by the token there and the token here",
    }
    assert {s: looks(draft, s) for s in told} == told
