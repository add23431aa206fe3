"""Phrases: what they say they are is what their nodes compute; thresholds and constants against brute force."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.ir.levels import SPECS
from exegesis.ir.spec import check_node
from exegesis.passes.draft import Draft
from exegesis.passes.raising import phrases as p
from exegesis.passes.raising.columns import Column
from exegesis.runtime import Executor

BP = ("batch", "pos")
LETTER, WHOLE = Type("category", BP, "letter"), Type("int", BP)
REAL, TRUTH, CLASSES = Type("real", BP), Type("bool", BP), Type("real", (*BP, "letter"))
TYPES = {"c": LETTER, "d": LETTER, "n": WHOLE, "m": WHOLE, "r": REAL, "b": TRUTH, "v": CLASSES}
RNG = np.random.default_rng(3)
VALUES = {
    "c": RNG.integers(0, 5, 80),
    "d": RNG.integers(0, 5, 80),
    "n": RNG.integers(0, 9, 80),
    "m": RNG.integers(0, 9, 80),
    "r": RNG.integers(-8, 8, 80) / 8,
    "b": RNG.integers(0, 2, 80).astype(bool),
    "v": RNG.integers(0, 4, (80, 5)) / 4,
}


def column(name: str, cls: int | None = None) -> Column:
    kind = TYPES[name].kind
    values = VALUES[name] if cls is None else VALUES[name][:, cls]
    assert kind != "selector"
    return Column(name, cls, kind, values, TYPES[name].of)  # type: ignore[arg-type]


def computed(phrase: p.Phrase) -> np.ndarray:
    """The values of the nodes that a phrase becomes."""
    axes = {a.name: a for a in (Axis("batch"), Axis("pos"), Axis("letter", 5))}
    sources = tuple(Node(n, "input.array", (), t) for n, t in TYPES.items())
    draft = Draft(Graph(sources, ("c",), axes=axes), "test")
    node = phrase.write(draft)
    graph = draft.whole()
    assert all(check_node(n, graph, SPECS) is None for n in draft.nodes.values())
    given = {n: torch.from_numpy(VALUES[n])[None] for n in TYPES}
    given = {n: t.float() if t.is_floating_point() else t for n, t in given.items()}
    value = Executor(graph).run(given, [node])[node][0]
    assert isinstance(value, torch.Tensor)
    return value.numpy()


PHRASES: dict[str, Callable[[], p.Phrase | None]] = {
    "itself": lambda: p.itself(column("c")),
    "one class": lambda: p.itself(column("v", 2)),
    "difference": lambda: p.total([(1, column("n")), (-1, column("m"))], 4),
    "of classes": lambda: p.total([(2, column("v", 0)), (-1, column("v", 3))], 0),
    "compared": lambda: p.compared(p.itself(column("r")), "<=", 0.25),
    "compared sum": lambda: p.compared(p.total([(2, column("n")), (-1, column("m"))], 0), ">", 3),
    "among few": lambda: p.among(column("c"), VALUES["c"] == 2),
    "among many": lambda: p.among(column("c"), VALUES["c"] != 2),
    "true": lambda: p.among(column("b"), VALUES["b"]),
    "false": lambda: p.among(column("b"), ~VALUES["b"]),
    "remainder": lambda: p.remainder(p.itself(column("n")), 3, 1),
    "equal": lambda: p.equal(column("c"), column("d")),
    "smaller": lambda: p.bounded("smaller", [column("n"), column("m")]),
    "at most": lambda: p.bounded("smaller", [column("n")], 4),
    "at least": lambda: p.bounded("larger", [column("n")], 4),
    "and": lambda: p.joined(p.itself(column("b")), p.compared(p.itself(column("n")), ">", 3), both=True),
    "or": lambda: p.joined(p.itself(column("b")), p.compared(p.itself(column("n")), ">", 3), both=False),
    "not": lambda: p.denied(p.itself(column("b"))),
    "table": lambda: p.table([column("c"), column("b")], (VALUES["c"] + VALUES["b"]) % 3),
    "table of truths": lambda: p.table([column("c")], (VALUES["c"] % 2).astype(np.int64), truth=True),
}


@pytest.mark.parametrize("name", PHRASES)
def test_a_phrase_is_what_its_nodes_compute(name: str) -> None:
    phrase = PHRASES[name]()
    assert phrase is not None
    np.testing.assert_allclose(computed(phrase).astype(float), np.asarray(phrase.values, float), atol=1e-6)
    assert phrase.bits > 0


def test_what_is_no_set_of_categories_is_refused() -> None:
    assert p.among(column("c"), RNG.random(80) < 0.5) is None
    assert p.among(column("c"), np.ones(80, bool)) is None


@given(
    st.lists(st.integers(-4, 4), min_size=2, max_size=12), st.integers(-4, 4), st.sampled_from(["<", ">=", "==", "!="])
)
def test_thresholds_hold_where_the_target_does(values: list[int], to: int, relation: str) -> None:
    numbers = np.array(values)
    target = {"<": numbers < to, ">=": numbers >= to, "==": numbers == to, "!=": numbers != to}[relation]
    assume(target.any())
    assume(not target.all())
    for kind, array in (("int", numbers), ("real", numbers / 8)):
        found = p.threshold(p.itself(Column("x", None, kind, array)), target)  # type: ignore[arg-type]
        assert found is not None
        assert (found.values == target).all()


def test_what_no_threshold_tells_apart_is_refused() -> None:
    of = p.itself(Column("x", None, "int", np.array([1, 2, 3, 4, 5])))
    assert p.threshold(of, np.array([True, False, True, False, True])) is None
    assert p.threshold(of, np.array([True, True, False, False, True])) is None
    third = p.itself(Column("x", None, "real", np.array([0.1, 1 / 3, 0.7])))
    assert p.threshold(third, np.array([False, True, False])) is None, "a third is no number that equality can test"


@given(st.floats(-50, 50), st.floats(1e-4, 10))
def test_the_simplest_number_lies_between(low: float, gap: float) -> None:
    found = p.simplest_between(low, low + gap)
    assert low < found < low + gap
    assert len(f"{abs(found):.12g}".replace(".", "").strip("0")) <= max(1, int(np.ceil(np.log10(50 / gap))) + 1)


def test_fewer_exceptions_cost_less() -> None:
    few, many = p.among(column("c"), VALUES["c"] == 2), p.among(column("c"), np.isin(VALUES["c"], [1, 2]))
    assert few is not None
    assert many is not None
    assert few.bits < many.bits
