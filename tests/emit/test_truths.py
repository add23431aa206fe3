"""Truths that are read off other positions: written as such where nobody reads more of them, and only there."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Readout, Value
from exegesis.emit import About, emit_program
from exegesis.ir import Axis, Graph, Node, Type, check
from exegesis.runtime import Executor

S = ("batch", "position")
SELECTOR, BOOL, REAL = Type("selector", ("batch", "query", "key")), Type("bool", S), Type("real", S)
TOKEN, TRUTH, COUNT = Type("category", S, "token"), Type("category", S, "truth"), Type("int", S)
LABELS = ("0", "1", "(", "-5", "<bos>")
ROWS = ([4, 0, 1, 1], [4, 4, 2, 0, 0, 1], [1], [0, 0], [3, 1, 2, 0, 1, 1, 4])


def graph(*nodes: Node) -> Graph:
    tokens = Node("tokens", "input.tokens", (), TOKEN)
    axes = {n: Axis(n) for n in ("batch", "position", "query", "key")}
    axes |= {"token": Axis("token", 5, LABELS), "truth": Axis("truth", 2, ("False", "True"))}
    made = Graph((tokens, *nodes), (nodes[-1].id,), axes=axes)
    check(made)
    return made


def one(**attrs: Any) -> tuple[Node, ...]:
    """Whether the token is a one, and everything before the position."""
    return (
        Node("is_one", "symbolic.is_in", ("tokens",), BOOL, {"values": [1]}),
        Node("far", "symbolic.everywhere", ("tokens",), SELECTOR, {"causal": True}),
        Node("before", "symbolic.where", ("far", "tokens"), SELECTOR, {"values": [4], "negated": True, **attrs}),
    )


def copied(reader: str, **attrs: Any) -> Graph:
    """A readout of the copied truth."""
    return graph(
        *one(),
        Node("held", "symbolic.copy", ("before", "is_one"), TRUTH),
        Node("asked", f"symbolic.{reader}", ("held",), BOOL, attrs),
        Node("answer", "symbolic.choose", ("asked",), TOKEN, {"gives": [1], "other": 0}),
    )


def shared(cls: int) -> Graph:
    kind = Type("real", (*S, "truth"))
    return graph(
        *one(),
        Node("held", "symbolic.share", ("before", "is_one"), kind),
        Node("answer", "symbolic.form", ("held",), REAL, {"terms": [[1, 0, cls]], "plus": 0}),
    )


def counted(relation: str, to: int) -> Graph:
    return graph(
        *one(),
        Node("ones", "symbolic.where", ("before", "is_one"), SELECTOR, {"values": [1], "negated": False}),
        Node("held", "symbolic.width", ("ones",), COUNT),
        Node("asked", "symbolic.compare", ("held",), BOOL, {"is": relation, "to": to}),
        Node("answer", "symbolic.choose", ("asked",), TOKEN, {"gives": [0], "other": 1}),
    )


@pytest.mark.parametrize(
    ("made", "said", "unsaid"),
    [
        (copied("is_in", values=[1]), "holds_at(", "copy("),
        (copied("compare", **{"is": "==", "to": 1}), "holds_at(", "copy("),
        (copied("compare", **{"is": "<=", "to": 0}), "(~holds).astype(int)", "copy("),
        (copied("is_in", values=[0]), "copy(", "holds_at("),  # none is neither: what is not true need not be false
        (copied("compare", **{"is": "==", "to": 0}), "copy(", "holds_at("),
        (shared(1), "fraction(", "share("),
        (shared(0), "share(", "fraction("),
        (counted(">", 0), "~exists(", "width("),
        (counted("==", 0), "exists(", "width("),
        (counted(">", 1), "width(", "exists("),
    ],
)
def test_a_truth_is_written_as_one_where_nobody_reads_more(
    made: Graph, said: str, unsaid: str, imports: Callable[[str, dict[str, np.ndarray]], ModuleType]
) -> None:
    real = made[made.outputs[0]].type == REAL
    readout: Readout = Value(0.1) if real else Argmax()
    source = emit_program(made, about=About("A program."), readout=readout)
    assert said in source
    assert unsaid not in source.replace("import copy", "")
    run = imports(source, {}).run
    for row in ROWS:
        meant = Executor(made, dtype=torch.float64).run({"tokens": torch.tensor([row])})[made.outputs[0]][0].tolist()
        assert run(row) == (pytest.approx(meant) if real else meant), source


def test_conditions_of_one_place_stand_together() -> None:
    source = emit_program(counted(">", 1), about=About("A program."), readout=Argmax())
    assert "where(everywhere(tokens, causal=True), (tokens != BOS) & (tokens == 1))" in source
    assert "(width(looked_at) <= 1).astype(int)" in source


def test_words_for_labels() -> None:
    from exegesis.emit.words import constant_name

    assert [constant_name(label, 7) for label in ("-5", "(", "<bos>", "12", "---")] == [
        "MINUS_5",
        "LEFT_PARENTHESIS",
        "BOS",
        "N_12",
        "TOKEN_7",
    ]
