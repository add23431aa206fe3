"""The symbolic level in torch, against one loop per definition in plain Python, over random variables and selectors."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exegesis.ir import Axis, Graph, GraphError, Node, Type, check
from exegesis.ir.levels import SPECS
from exegesis.ir.spec import check_node
from exegesis.runtime import Executor
from exegesis.runtime.ops_symbolic import SYMBOLIC

CLASSES = 4
BP = ("batch", "position")
AXES = {a.name: a for a in (*map(Axis, (*BP, "query", "key")), Axis("token", CLASSES))}
CATEGORY, BOOL, NUMBER = Type("category", BP, "token"), Type("bool", BP), Type("real", BP)
SHARE, SELECTOR = Type("real", (*BP, "token")), Type("selector", ("batch", "query", "key"))

DTYPES = {"category": torch.int64, "int": torch.int64, "bool": torch.bool}
WITHOUT_META = ("copy", "count", "lookup")  # their shapes may depend on values, which the meta device has not
# Quarters keep sums exact, so that float32 in torch and float64 here agree to the last bit and ties stay ties.
QUARTERS = [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]


def over(*strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Forty random cases: enough for shapes this small, and a test stays well under a second."""
    return lambda test: settings(max_examples=40)(given(*strategies)(test))


def give(
    op: str, inputs: list[tuple[Type, Any]], attrs: dict[str, Any], type: Type, **tensors: np.ndarray
) -> list[Any]:
    """Runs one op on values of its inputs, each with its type; its result as nested lists."""
    sources = [Node(f"in{i}", "input.array", (), t) for i, (t, _) in enumerate(inputs)]
    ids = tuple(n.id for n in sources)
    node = Node("out", f"symbolic.{op}", ids, type, attrs, tensors={name: name for name in tensors})
    graph = Graph((*sources, node), ("out",), tensors, AXES)
    assert check_node(node, graph, SPECS) is None
    values = {name: _tensor(t, value) for name, (t, value) in zip(ids, inputs, strict=True)}
    result = Executor(graph).run(values)["out"]
    if op not in WITHOUT_META:
        # The meta device computes shapes alone, and refuses to mix with tensors that an op left on another device.
        elsewhere = Executor(graph, "meta").run(values)["out"]
        assert (elsewhere.device.type, elsewhere.shape) == ("meta", result.shape)
    assert isinstance(result, Tensor)
    assert result.dtype == DTYPES.get(type.kind, torch.float32)
    return result.tolist()  # type: ignore[no-any-return]


def _tensor(type: Type, value: Any) -> Tensor:
    return torch.tensor(value, dtype=DTYPES.get(type.kind, torch.float32))


def rows(entry: st.SearchStrategy[Any], length: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.lists(entry, min_size=length, max_size=length), min_size=2, max_size=2)


@st.composite
def variables(draw: st.DrawFn, count: int = 1, low: int = -1) -> list[list[list[int]]]:
    """`count` category variables [2, s] of one length."""
    length = draw(st.integers(1, 5))
    return [draw(rows(st.integers(low, CLASSES - 1), length)) for _ in range(count)]


@st.composite
def selected(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """A selector [2, s, s] and a category variable [2, s]."""
    length = draw(st.integers(1, 5))
    weights = draw(rows(st.lists(st.sampled_from(QUARTERS), min_size=length, max_size=length), length))
    return weights, draw(rows(st.integers(-1, CLASSES - 1), length))


def pairs_where(value: list[list[Any]], look: Callable[[int, int, int], bool]) -> list[Any]:
    """The selector [b, s, s] of a rule on (example, query, key)."""
    return [[[float(look(b, q, k)) for k in range(len(r))] for q in range(len(r))] for b, r in enumerate(value)]


def everywhere_in(value: list[list[Any]], rule: Callable[[int, int], Any]) -> list[Any]:
    """The variable [b, s] of a rule on (example, position)."""
    return [[rule(b, s) for s in range(len(r))] for b, r in enumerate(value)]


# Selectors


@over(variables(), st.booleans())
def test_everywhere(drawn: list[Any], causal: bool) -> None:
    (x,) = drawn
    expected = pairs_where(x, lambda b, q, k: k <= q or not causal)
    assert give("everywhere", [(CATEGORY, x)], {"causal": causal}, SELECTOR) == expected


@over(variables(), st.integers(-2, 6))
def test_back(drawn: list[Any], by: int) -> None:
    (x,) = drawn
    assert give("back", [(CATEGORY, x)], {"by": by}, SELECTOR) == pairs_where(x, lambda b, q, k: k == q - by)


@over(variables(), st.integers(-1, 6), st.booleans())
def test_at(drawn: list[Any], index: int, causal: bool) -> None:
    (x,) = drawn
    expected = pairs_where(x, lambda b, q, k: k == index and (k <= q or not causal))
    assert give("at", [(CATEGORY, x)], {"index": index, "causal": causal}, SELECTOR) == expected


@over(variables(2), st.booleans())
def test_match_never_matches_none(drawn: list[Any], causal: bool) -> None:
    query, key = drawn
    expected = pairs_where(query, lambda b, q, k: query[b][q] == key[b][k] >= 0 and (k <= q or not causal))
    assert give("match", [(CATEGORY, query), (CATEGORY, key)], {"causal": causal}, SELECTOR) == expected


@over(variables(2), st.sampled_from(["<", "<=", ">", ">="]), st.booleans())
def test_ordered_never_looks_at_none(drawn: list[Any], relation: str, causal: bool) -> None:
    query, key = drawn
    holds = RELATIONS[relation]
    expected = pairs_where(
        query, lambda b, q, k: key[b][k] >= 0 and holds(key[b][k], query[b][q]) and (k <= q or not causal)
    )
    inputs = [(CATEGORY, query), (CATEGORY, key)]
    assert give("ordered", inputs, {"is": relation, "causal": causal}, SELECTOR) == expected


def test_match_compares_booleans_with_categories() -> None:
    found = give("match", [(BOOL, [[True, False]]), (CATEGORY, [[0, 1]])], {"causal": False}, SELECTOR)
    assert found == [[[0, 1], [1, 0]]]


@over(selected(), st.lists(st.integers(-1, CLASSES), max_size=3), st.booleans())
def test_where(drawn: Any, values: list[int], negated: bool) -> None:
    weights, key = drawn
    found = give("where", [(SELECTOR, weights), (CATEGORY, key)], {"values": values, "negated": negated}, SELECTOR)
    assert found == pairs_scaled(weights, key, lambda c: float((c in values) != negated))


def pairs_scaled(weights: list[Any], key: list[Any], scale: Callable[[int], float]) -> list[Any]:
    return [[[w * scale(c) for w, c in zip(q, key[b], strict=True)] for q in rows] for b, rows in enumerate(weights)]


@over(selected())
def test_when(drawn: Any) -> None:
    weights, key = drawn
    holds = [[c == 1 for c in keys] for keys in key]
    expected = [
        [[w if yes else 0.0 for w in row] for row, yes in zip(rows, flags, strict=True)]
        for rows, flags in zip(weights, holds, strict=True)
    ]
    assert give("when", [(SELECTOR, weights), (BOOL, holds)], {}, SELECTOR) == expected


@over(selected(), selected())
def test_both(one: Any, two: Any) -> None:
    a, b = one[0], [[list(reversed(q)) for q in rows] for rows in one[0]]
    expected = [
        [[x * y for x, y in zip(p, q, strict=True)] for p, q in zip(r, s, strict=True)]
        for r, s in zip(a, b, strict=True)
    ]
    assert give("both", [(SELECTOR, a), (SELECTOR, b)], {}, SELECTOR) == expected


@over(selected(), st.sampled_from(["smallest", "largest"]))
def test_extreme_keeps_all_of_equals_with_their_weights(drawn: Any, which: str) -> None:
    weights, key = drawn
    expected = []
    for b, example in enumerate(weights):
        chosen = []
        for query in example:
            looked = [c for w, c in zip(query, key[b], strict=True) if w > 0 and c >= 0]
            best = (min if which == "smallest" else max)(looked, default=None)
            chosen.append([w if w > 0 and c == best else 0.0 for w, c in zip(query, key[b], strict=True)])
        expected.append(chosen)
    assert give("extreme", [(SELECTOR, weights), (CATEGORY, key)], {"which": which}, SELECTOR) == expected


@over(selected())
def test_either_and_width(drawn: Any) -> None:
    a = drawn[0]
    b = [[list(reversed(q)) for q in example] for example in a]
    larger = [
        [[max(u, v) for u, v in zip(p, q, strict=True)] for p, q in zip(r, s, strict=True)]
        for r, s in zip(a, b, strict=True)
    ]
    assert give("either", [(SELECTOR, a), (SELECTOR, b)], {}, SELECTOR) == larger
    assert give("width", [(SELECTOR, a)], {}, NUMBER) == [[sum(w > 0 for w in q) for q in example] for example in a]


@over(selected())
def test_otherwise_asks_each_query(drawn: Any) -> None:
    a = drawn[0]
    b = [[list(reversed(q)) for q in example] for example in a]
    expected = [
        [p if any(w > 0 for w in p) else q for p, q in zip(r, s, strict=True)] for r, s in zip(a, b, strict=True)
    ]
    assert give("otherwise", [(SELECTOR, a), (SELECTOR, b)], {}, SELECTOR) == expected


@over(variables(2), st.booleans(), st.sets(st.tuples(st.integers(-1, 4), st.integers(-1, 4))))
def test_related(drawn: list[Any], causal: bool, pairs: set[tuple[int, int]]) -> None:
    query, key = drawn
    expected = pairs_where(query, lambda b, q, k: (query[b][q], key[b][k]) in pairs and (k <= q or not causal))
    attrs = {"pairs": [list(p) for p in sorted(pairs)], "causal": causal}
    assert give("related", [(CATEGORY, query), (CATEGORY, key)], attrs, SELECTOR) == expected


@over(selected(), st.sampled_from(["latest", "first"]))
def test_nearest_keeps_the_weight_of_one(drawn: Any, which: str) -> None:
    weights, _ = drawn
    expected = []
    for example in weights:
        chosen = []
        for query in example:
            looked = [k for k, w in enumerate(query) if w > 0]
            keep = (looked[-1] if which == "latest" else looked[0]) if looked else None
            chosen.append([w if k == keep else 0.0 for k, w in enumerate(query)])
        expected.append(chosen)
    assert give("nearest", [(SELECTOR, weights)], {"which": which}, SELECTOR) == expected


def test_nearest_does_not_take_a_negative_weight_for_a_look() -> None:
    found = give("nearest", [(SELECTOR, [[[-1.0, 0.0], [0.5, -1.0]]])], {"which": "latest"}, SELECTOR)
    assert found == [[[0, 0], [0.5, 0]]]


@over(
    selected(),
    st.dictionaries(st.integers(0, CLASSES - 1), st.sampled_from([-1.0, 0.5, 2.0])),
    st.sampled_from([0, 0.5]),
)
def test_weigh(drawn: Any, table: dict[int, float], other: float) -> None:
    weights, key = drawn
    attrs = {"weights": [list(p) for p in table.items()], "other": other}
    found = give("weigh", [(SELECTOR, weights), (CATEGORY, key)], attrs, SELECTOR)
    assert found == pairs_scaled(weights, key, lambda c: table.get(c, other))


@over(
    selected(),
    st.dictionaries(st.tuples(st.integers(-1, CLASSES - 1), st.integers(0, CLASSES - 1)), st.sampled_from([0.5, 2.0])),
    st.sampled_from([0, 0.5]),
)
def test_weigh_pairs(drawn: Any, table: dict[tuple[int, int], float], other: float) -> None:
    weights, key = drawn
    attrs = {"weights": [[*p, w] for p, w in table.items()], "other": other}
    found = give("weigh_pairs", [(SELECTOR, weights), (CATEGORY, key), (CATEGORY, key)], attrs, SELECTOR)
    expected = [
        [
            [w * table.get((c, d), other) for w, d in zip(row, keys, strict=True)]
            for row, c in zip(rows, keys, strict=True)
        ]
        for rows, keys in zip(weights, key, strict=True)
    ]
    assert found == expected


@over(variables(2), st.booleans(), st.integers(0, 99))
def test_attend_is_the_softmax_of_a_table(drawn: list[Any], causal: bool, seed: int) -> None:
    query, key = drawn
    table = np.random.default_rng(seed).normal(size=(CLASSES, CLASSES)).astype(np.float32)
    found = give("attend", [(CATEGORY, query), (CATEGORY, key)], {"causal": causal}, SELECTOR, table=table)
    for b, example in enumerate(found):
        for q, weights in enumerate(example):
            scores = [
                -np.inf if causal and k > q else table[query[b][q], c] if min(query[b][q], c) >= 0 else 0.0
                for k, c in enumerate(key[b])
            ]
            raised = np.exp(scores)
            np.testing.assert_allclose(weights, raised / raised.sum(), atol=1e-6)


# Variables


def mass(weights: list[float], key: list[int], category: int) -> float:
    return sum(w for w, c in zip(weights, key, strict=True) if c == category)


@over(selected())
def test_count_share_and_copy(drawn: Any) -> None:
    weights, key = drawn
    inputs = [(SELECTOR, weights), (CATEGORY, key)]
    count = [[[mass(q, key[b], c) for c in range(CLASSES)] for q in example] for b, example in enumerate(weights)]
    assert give("count", inputs, {}, SHARE) == count
    totals = [[sum(q) for q in example] for example in weights]
    share = give("share", inputs, {}, SHARE)
    copy = give("copy", inputs, {}, CATEGORY)
    for b, example in enumerate(count):
        for q, masses in enumerate(example):
            np.testing.assert_allclose(share[b][q], [m / (totals[b][q] or 1) for m in masses], rtol=1e-6)
            assert copy[b][q] == (masses.index(max(masses)) if max(masses) > 0 else -1)


def test_ties_go_to_the_smallest_category_and_nothing_gives_none() -> None:
    weights = [[[1.0, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]]]
    square = [[*weights[0], [0.0, 0, 0, 0]]]
    assert give("copy", [(SELECTOR, square), (CATEGORY, [[2, 1, 2, 1]])], {}, CATEGORY) == [[1, -1, 1, -1]]
    assert give("copy", [(SELECTOR, square), (CATEGORY, [[-1, -1, -1, -1]])], {}, CATEGORY) == [[-1, -1, -1, -1]]
    assert give("share", [(SELECTOR, square), (CATEGORY, [[0, -1, 0, -1]])], {}, SHARE)[0][0] == [0.5, 0, 0, 0]


def test_classes_without_a_known_number_are_as_many_as_occur() -> None:
    open_share = Type("real", (*BP, "position"))
    found = give("count", [(SELECTOR, [[[1.0, 1], [0, 1]]]), (Type("int", BP), [[3, 0]])], {}, open_share)
    assert found == [[[1, 0, 0, 1], [1, 0, 0, 0]]]


@over(variables(), st.dictionaries(st.integers(-1, CLASSES), st.integers(-1, 9)))
def test_relabel(drawn: list[Any], table: dict[int, int]) -> None:
    (x,) = drawn
    attrs = {"table": [list(p) for p in sorted(table.items())]}
    assert give("relabel", [(CATEGORY, x)], attrs, CATEGORY) == everywhere_in(
        x, lambda b, s: table.get(x[b][s], x[b][s])
    )


ROWS = st.dictionaries(st.tuples(*[st.integers(-1, CLASSES)] * 3), st.integers(-1, 3), max_size=12)


@over(variables(3), ROWS, st.integers(-1, 1))
def test_lookup(drawn: list[Any], table: dict[tuple[int, ...], int], other: int) -> None:
    inputs = [(CATEGORY, x) for x in drawn]
    attrs = {"rows": [[*key, result] for key, result in table.items()], "other": other}
    expected = everywhere_in(drawn[0], lambda b, s: table.get(tuple(x[b][s] for x in drawn), other))
    assert give("lookup", inputs, attrs, CATEGORY) == expected
    assert give("lookup", inputs, attrs, BOOL) == everywhere_in(expected, lambda b, s: expected[b][s] != 0)


def test_lookup_over_many_inputs_does_not_confuse_rows() -> None:
    generator = np.random.default_rng(0)
    keys = np.unique(generator.integers(0, 5, (200, 30)), axis=0)
    attrs = {"rows": [[*map(int, key), i] for i, key in enumerate(keys)], "other": -1}
    columns = [(CATEGORY, [keys[:, i].tolist(), ((keys[:, i] + 1) % 5).tolist()]) for i in range(30)]
    found = give("lookup", columns, attrs, CATEGORY)
    assert found[0] == list(range(len(keys)))
    assert set(found[1]) == {-1}


@over(variables(low=-3), st.integers(1, 5), st.integers(-4, 4))
def test_mod_and_shift_leave_none(drawn: list[Any], period: int, by: int) -> None:
    (x,) = drawn
    mod = everywhere_in(x, lambda b, s: (x[b][s] + by) % period if x[b][s] >= 0 else -1)
    assert give("mod", [(CATEGORY, x)], {"period": period, "plus": by}, CATEGORY) == mod
    shift = everywhere_in(x, lambda b, s: max(x[b][s] + by, -1) if x[b][s] >= 0 else -1)
    assert give("shift", [(CATEGORY, x)], {"by": by}, CATEGORY) == shift


def test_mod_of_numbers_rounds_the_remainder() -> None:
    assert give("mod", [(NUMBER, [[-1.0, 2.9, 5.0]])], {"period": 3}, CATEGORY) == [[2, 3, 2]]


@over(variables(), st.lists(st.tuples(st.sampled_from([-0.5, 2.0]), st.integers(0, CLASSES - 1)), max_size=3))
def test_form_over_classes(drawn: list[Any], terms: list[tuple[float, int]]) -> None:
    (x,) = drawn
    share = everywhere_in(x, lambda b, s: [float(c == x[b][s]) * 0.5 for c in range(CLASSES)])
    number = everywhere_in(x, lambda b, s: x[b][s] * 0.25)
    attrs = {
        "terms": [[w, 0, c] for w, c in terms] + [[w, 1, c] for w, c in terms] + [[1.5, 2, None], [1, 3, None]],
        "plus": 0.25,
    }
    flags = everywhere_in(x, lambda b, s: x[b][s] == 1)
    inputs = [(SHARE, share), (CATEGORY, x), (NUMBER, number), (BOOL, flags)]
    expected = everywhere_in(
        x,
        lambda b, s: (
            0.25 + sum(w * (share[b][s][c] + (x[b][s] == c)) for w, c in terms) + 1.5 * number[b][s] + flags[b][s]
        ),
    )
    assert give("form", inputs, attrs, NUMBER) == expected


@over(variables(2))
def test_equal(drawn: list[Any]) -> None:
    a, b = drawn
    expected = everywhere_in(a, lambda e, s: a[e][s] == b[e][s])
    assert give("equal", [(CATEGORY, a), (CATEGORY, b)], {}, BOOL) == expected


@over(variables(2), st.sampled_from(["smaller", "larger"]), st.none() | st.integers(-2, 4))
def test_bound(drawn: list[Any], which: str, to: int | None) -> None:
    a, b = drawn
    pick = min if which == "smaller" else max
    limit = [] if to is None else [to]
    expected = everywhere_in(a, lambda e, s: pick([a[e][s], b[e][s], *limit]))
    attrs = {"which": which} | ({} if to is None else {"to": to})
    whole = Type("int", BP)
    assert give("bound", [(whole, a), (whole, b)], attrs, whole) == expected
    halves = everywhere_in(a, lambda e, s: a[e][s] / 2)
    expected = everywhere_in(a, lambda e, s: pick([a[e][s] / 2, *limit]))
    assert give("bound", [(NUMBER, halves)], attrs, NUMBER) == expected


def test_widths_and_forms_may_be_whole_numbers() -> None:
    whole = Type("int", BP)
    assert give("width", [(SELECTOR, [[[0.5, 0, 2], [0, 0, 0], [1, 1, 1]]])], {}, whole) == [[2, 0, 3]]
    terms = {"terms": [[2, 0, None], [-1, 1, None], [1, 2, None]], "plus": -3}
    sources = [(whole, [[4, 0]]), (whole, [[1, 2]]), (BOOL, [[True, False]])]
    assert give("form", sources, terms, whole) == [[5, -5]]
    assert give("form", [(whole, [[4, 0]])], {"terms": [], "plus": 2}, whole) == [[2, 2]]


def test_form_keeps_a_class_axis_and_spreads_numbers_over_it() -> None:
    attrs = {"terms": [[2, 0, None], [1, 1, None]], "plus": 1}
    found = give("form", [(SHARE, [[[1.0, 0, 0, 0]]]), (NUMBER, [[0.5]])], attrs, SHARE)
    assert found == [[[3.5, 1.5, 1.5, 1.5]]]


def test_a_form_without_terms_is_its_constant_at_every_position() -> None:
    assert give("form", [(SHARE, [[[0.0] * 4] * 3])], {"terms": [], "plus": 2}, NUMBER) == [[2, 2, 2]]


RELATIONS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


@pytest.mark.parametrize("relation", RELATIONS)
def test_compare(relation: str) -> None:
    values = [[-1.0, 0.5, 0.75]]
    expected = [[RELATIONS[relation](v, 0.5) for v in values[0]]]
    assert give("compare", [(NUMBER, values)], {"is": relation, "to": 0.5}, BOOL) == expected


@over(variables(), st.lists(st.integers(-1, CLASSES), max_size=4))
def test_is_in_and_logic(drawn: list[Any], values: list[int]) -> None:
    (x,) = drawn
    member = everywhere_in(x, lambda b, s: x[b][s] in values)
    large = everywhere_in(x, lambda b, s: x[b][s] > 1)
    assert give("is_in", [(CATEGORY, x)], {"values": values}, BOOL) == member
    assert give("not", [(BOOL, member)], {}, BOOL) == everywhere_in(x, lambda b, s: not member[b][s])
    inputs = [(BOOL, member), (BOOL, large), (BOOL, member)]
    assert give("and", inputs, {}, BOOL) == everywhere_in(x, lambda b, s: member[b][s] and large[b][s])
    assert give("or", inputs, {}, BOOL) == everywhere_in(x, lambda b, s: member[b][s] or large[b][s])


@over(rows(st.lists(st.sampled_from(QUARTERS), min_size=CLASSES, max_size=CLASSES), 3), st.permutations(range(CLASSES)))
def test_largest_takes_the_first_of_equals(values: list[Any], order: list[int]) -> None:
    among = order[:2]
    expected = everywhere_in(values, lambda b, s: values[b][s].index(max(values[b][s])))
    assert give("largest", [(SHARE, values)], {}, CATEGORY) == expected
    expected = everywhere_in(values, lambda b, s: max(among, key=lambda c: values[b][s][c]))
    assert give("largest", [(SHARE, values)], {"among": among}, CATEGORY) == expected


# Answers


@over(variables(2))
def test_always_choose_and_prefer(drawn: list[Any]) -> None:
    one, two = drawn
    a, b = (everywhere_in(x, lambda i, s, x=x: x[i][s] > 0) for x in (one, two))
    assert give("always", [(CATEGORY, one)], {"value": 3}, CATEGORY) == everywhere_in(one, lambda i, s: 3)
    chosen = give("choose", [(BOOL, a), (BOOL, b)], {"gives": [7, 8], "other": 9}, CATEGORY)
    assert chosen == everywhere_in(one, lambda i, s: 7 if a[i][s] else 8 if b[i][s] else 9)
    preferred = give("prefer", [(BOOL, a), (CATEGORY, one), (CATEGORY, two)], {}, CATEGORY)
    assert preferred == everywhere_in(one, lambda i, s: one[i][s] if a[i][s] else two[i][s])


@over(variables(2))
def test_allow(drawn: list[Any]) -> None:
    one, two = drawn
    a, b = (everywhere_in(x, lambda i, s, x=x: x[i][s] > 0) for x in (one, two))
    sets = Type("bool", (*BP, "token"))
    attrs = {"gives": [2, 2], "always": [0]}
    found = give("allow", [(CATEGORY, one), (BOOL, a), (BOOL, b)], attrs, sets)
    assert found == everywhere_in(one, lambda i, s: [True, False, a[i][s] or b[i][s], False])
    open_sets = Type("bool", (*BP, "position"))
    assert give("allow", [(CATEGORY, [[0]])], {"gives": [], "always": [1]}, open_sets) == [[[False, True]]]


def test_forms_and_sets_over_arrays_have_no_position_axis() -> None:
    features, row = Type("real", ("batch", "=3")), Type("real", ("batch",))
    found = give("form", [(features, [[1.0, 2, 3], [4, 5, 6]])], {"terms": [[2, 0, 1]], "plus": 1}, row)
    assert found == [5, 11]
    high = Type("bool", ("batch",))
    found = give(
        "allow",
        [(features, [[1.0, 2, 3]] * 2), (high, [True, False])],
        {"gives": [1], "always": []},
        Type("bool", ("batch", "=2")),
    )
    assert found == [[False, True], [False, False]]


# The table as a whole


def test_every_op_of_the_language_has_its_function() -> None:
    assert set(SYMBOLIC) == {op for op in SPECS if op.startswith("symbolic.")}


@over(selected())
def test_half_precision_of_nothing_changes_categories(drawn: Any) -> None:
    """The dtype of real values is the executor's, and categories do not depend on it where sums are exact."""
    weights, key = drawn
    nodes = (
        Node("w", "tensor.constant", (), SELECTOR, tensors={"value": "w"}),
        Node("k", "input.tokens", (), CATEGORY),
        Node("share", "symbolic.share", ("w", "k"), SHARE),
        Node("most", "symbolic.copy", ("w", "k"), CATEGORY),
    )
    graph = Graph(nodes, ("share", "most"), {"w": np.array(weights)}, AXES)
    keys = {"k": torch.tensor(key)}
    single, double = (Executor(graph, dtype=d).run(keys) for d in (torch.float32, torch.float64))
    assert (single["share"].dtype, double["share"].dtype) == (torch.float32, torch.float64)
    assert torch.equal(single["most"], double["most"])


def test_a_class_axis_is_needed_where_an_op_gives_classes() -> None:
    node = Node("n", "symbolic.count", ("s", "k"), Type("real"), {})
    nodes = (Node("s", "input.array", (), SELECTOR), Node("k", "input.tokens", (), CATEGORY), node)
    with pytest.raises(GraphError, match="needs a class axis in its type"):
        Executor(Graph(nodes, ("n",), axes=AXES)).run(
            {"s": torch.ones(1, 2, 2), "k": torch.zeros(1, 2, dtype=torch.long)}
        )


def test_an_axis_that_nobody_declared_has_no_size() -> None:
    nodes = (
        Node("s", "input.array", (), SELECTOR),
        Node("k", "input.tokens", (), CATEGORY),
        Node("n", "symbolic.count", ("s", "k"), Type("real", (*BP, "ghost"))),
    )
    with pytest.raises(GraphError, match="'n' uses axis 'ghost', which the graph does not declare"):
        Executor(Graph(nodes, ("n",), axes=AXES)).run(
            {"s": torch.ones(1, 2, 2), "k": torch.zeros(1, 2, dtype=torch.long)}
        )


def test_the_whole_graph_of_a_small_program_passes_its_check() -> None:
    nodes = (
        Node("tokens", "input.tokens", (), CATEGORY),
        Node("seen", "symbolic.everywhere", ("tokens",), SELECTOR, {"causal": True}),
        Node("most", "symbolic.copy", ("seen", "tokens"), CATEGORY),
    )
    graph = Graph(nodes, ("most",), axes=AXES)
    check(graph)
    tokens = torch.tensor([[3, 1, 1, 3, 3]])
    assert Executor(graph).run({"tokens": tokens})["most"].tolist() == [[3, 1, 1, 1, 3]]
