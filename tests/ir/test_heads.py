"""What two programs tell of the same heads."""

from __future__ import annotations

from typing import Any

import pytest

from exegesis.ir import Graph, Node, Type, diff
from exegesis.ir.heads import heads_told


def program(**heads: Any) -> Graph:
    node = Node("x", "input.array", (), Type("real", ("batch",)))
    return Graph((node,), ("x",), meta={"heads": heads} if heads else {})


def head(looks: str | None, share: float | None, replaced: bool = False) -> dict[str, Any]:
    return {"looks at": looks, "share": share, "replaced": replaced}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (head(None, None), head("itself", 0.9), "H begins to look at itself (90.0 %)"),
        (head("itself", 0.9), head(None, None), "H no longer looks at itself (90.0 % before)"),
        (head("itself", 0.9), head("all", 0.8), "H now looks at all (80.0 %), before at itself (90.0 %)"),
        (
            head("itself", 0.7),
            head("itself", 0.9, replaced=True),
            "H looks more clearly at itself: 90.0 % of its attention, 70.0 % before; is replaced by that",
        ),
        (head("itself", 0.9, replaced=True), head("itself", 0.9), "H is not replaced any more"),
        (head("itself", 0.901), head("itself", 0.905), None),
        (head(None, None), head(None, None), None),
    ],
)
def test_what_a_head_does_otherwise(before: Any, after: Any, told: str | None) -> None:
    a, b = program(H=before), program(H=after)
    assert heads_told(a, b) == ((told,) if told else ())
    assert bool(diff(a, b)) == (told is not None)
    assert str(diff(a, b)) == (f"* {told}" if told else "no difference")


def test_programs_without_notes_say_nothing() -> None:
    assert heads_told(program(), program(H=head("itself", 0.9))) == ()
    assert "meta heads" in str(diff(program(), program(H=head("itself", 0.9))))
