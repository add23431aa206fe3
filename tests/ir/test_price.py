"""Description lengths, against values worked out by hand, and the share that can be read."""

from dataclasses import replace
from math import log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.ir import Axis, Graph, GraphError, Node, Origin, Site, Type, legible_share, price
from exegesis.ir.levels import SPECS
from exegesis.ir.price import ATEN_OPERATORS, float_bits, integer_bits, structure_bits, tensor_bits, value_bits

BP = ("batch", "position")
TOKEN = Type("category", BP, "token")
BOOL = Type("bool", BP)
AXES = {a.name: a for a in (*map(Axis, BP), Axis("token", 3))}
LEVEL = log2(4)
SYMBOLIC = LEVEL + log2(sum(op.startswith("symbolic.") for op in SPECS))
COMPONENT = LEVEL + log2(sum(op.startswith("component.") for op in SPECS))
INPUT = LEVEL + log2(3)
DIGIT = log2(10)


@pytest.mark.parametrize(("n", "bits"), [(0, 1), (1, 3), (-1, 3), (3, 5), (7, 7), (-7, 7), (1023, 21)])
def test_integers(n: int, bits: float) -> None:
    assert integer_bits(n) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("x", "digits", "exponent"),
    [(0.0, 1, 0), (2.0, 1, 0), (0.5, 1, -1), (-0.25, 2, -2), (1e-5, 1, -5), (1200.0, 2, 2), (0.1 + 0.2, 17, -17)],
)
def test_floats(x: float, digits: int, exponent: int) -> None:
    assert float_bits(x) == pytest.approx(1 + digits * DIGIT + integer_bits(exponent))


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (True, 1),
        (None, 1),
        (3, 5),
        (1.5, 1 + 2 * DIGIT + 3),
        ("ab", integer_bits(2) + 16),
        ("é", integer_bits(2) + 16),
        ([], 1),
        ([0, 0], integer_bits(2) + 2),
        ((1, [True]), integer_bits(2) + 3 + integer_bits(1) + 1),
        ({"a": 1}, integer_bits(1) + (integer_bits(1) + 8) + 3),
    ],
)
def test_values(value: Any, bits: float) -> None:
    assert value_bits(value) == pytest.approx(bits)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), {1, 2}])
def test_what_is_no_json_has_no_price(value: Any) -> None:
    with pytest.raises(GraphError, match="has no price"):
        value_bits(value)


def test_only_finite_numbers_have_digits() -> None:
    with pytest.raises(GraphError, match="inf has no price: it is not finite"):
        float_bits(float("inf"))


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("float32", 32), ("float64", 32), ("float16", 16), ("int8", 8), ("uint8", 8), ("bool", 1)],
)
def test_entries_of_tensors(dtype: str, bits: int) -> None:
    entries = np.arange(15).reshape(3, 5) * (0.37 if "float" in dtype else 17)
    given = np.array([[1, 0], [0, 1], [1, 0]], dtype=bool) if dtype == "bool" else entries.astype(dtype)
    assert tensor_bits(given) == given.size * bits


def test_a_sparse_tensor_pays_for_its_other_numbers_and_for_where_they_are() -> None:
    sparse = np.zeros(1000, np.float32)
    sparse[[3, 500, 777]] = 0.25
    where = log2(1000 * 999 * 998 / 6)
    assert tensor_bits(sparse) == pytest.approx(1 + integer_bits(2) + 2 * 32 + log2(1001) + where)


def test_few_whole_numbers_pay_for_their_entropy() -> None:
    rng = np.random.default_rng(0)
    codes = rng.choice([-2, -1, 0, 1, 2], p=[0.02, 0.1, 0.7, 0.15, 0.03], size=(300, 200)).astype(np.int8)
    shares = np.unique(codes, return_counts=True)[1] / codes.size
    entropy = float(-(shares * np.log2(shares)).sum())
    found = tensor_bits(codes)
    assert codes.size * entropy - 100 < found < codes.size * entropy + 150
    assert tensor_bits(codes.astype(np.float32)) == pytest.approx(found, abs=200)


def test_whole_numbers_of_which_nearly_each_is_another_pay_for_their_size() -> None:
    """Written out as bits: the last k as they are, the rest as so many ones and a zero."""
    whole = np.array([0, 5, -3, 40, -120, 77, 9, -61])
    numbers = [0, 9, 6, 79, 240, 153, 17, 122]
    written = {k: sum(len("1" * (n >> k) + "0") + k for n in numbers) + integer_bits(k) for k in range(9)}
    assert tensor_bits(whole) == 2 + min(written.values())
    assert tensor_bits(whole) < tensor_bits(whole.astype(np.float32))


def test_many_whole_numbers_of_a_bell_pay_little_more_than_their_entropy() -> None:
    whole = np.rint(np.random.default_rng(0).normal(size=2000) * 150).astype(np.int16)
    entropy = log2(150 * (2 * np.pi * np.e) ** 0.5)
    assert whole.size * entropy - 100 < tensor_bits(whole) < whole.size * (entropy + 0.5)


def test_an_empty_tensor_costs_nothing() -> None:
    assert tensor_bits(np.zeros((0, 3), np.float32)) == 0


def program(**more: Any) -> Graph:
    nodes = (
        Node("tokens", "input.tokens", (), TOKEN),
        Node("is_a", "symbolic.is_in", ("tokens",), BOOL, {"values": [0]}),
        Node("even", "symbolic.mod", ("tokens",), TOKEN, {"period": 2}),
        Node("high", "symbolic.compare", ("even",), BOOL, {"is": ">", "to": 0.5}),
        Node("both", "symbolic.and", ("is_a", "high"), BOOL),
        Node("x", "component.embed", ("tokens",), Type("real", (*BP, "=4")), tensors={"weight": "W"}),
    )
    return Graph(nodes, ("both", "x"), {"W": np.arange(12, dtype=np.float32).reshape(3, 4)}, AXES, **more)


def test_a_program_worked_out_by_hand() -> None:
    by_hand = {
        "tokens": INPUT,
        "is_a": SYMBOLIC + log2(1) + integer_bits(1) + 1,
        "even": SYMBOLIC + log2(2) + 1 + integer_bits(2),  # one bit says that `plus` is left out
        "high": SYMBOLIC + log2(3) + log2(6) + (1 + DIGIT + integer_bits(-1)),  # one of six relations
        "both": SYMBOLIC + 2 * log2(4) + integer_bits(2),  # takes any number of inputs, so their number is said
    }
    found = price(program())
    for name, bits in by_hand.items():
        assert found.by_node[name].symbolic == pytest.approx(bits), name
        assert found.by_node[name].opaque == 0
    assert found.by_node["x"].opaque == pytest.approx(12 * 32 + COMPONENT + log2(5) + 1)  # one says: no step
    assert found.by_node["x"].symbolic == 0
    assert found.symbolic_bits == pytest.approx(sum(by_hand.values()))
    assert found.opaque_bits == pytest.approx(found.by_node["x"].total)
    assert found.total_bits == pytest.approx(found.opaque_bits + found.symbolic_bits)


def test_the_structure_of_a_tensor_level_node() -> None:
    node = Node("n", "tensor.aten.mul.Scalar", ("x",), Type("real", BP), {"args": [{"node": 0}, 3]})
    args = integer_bits(2) + (integer_bits(1) + (integer_bits(4) + 32) + 1) + 5
    optional = 3  # args, kwargs and index may each be left out
    expected = LEVEL + log2(ATEN_OPERATORS) + log2(8) + integer_bits(1) + optional + args
    assert structure_bits(node, before=8) == pytest.approx(expected)


def test_a_tensor_that_two_nodes_read_is_paid_once() -> None:
    graph = program()
    twice = graph.with_nodes([*graph.nodes, replace(graph["x"], id="y")], outputs=("both", "x", "y"))
    assert price(twice).by_node["y"].opaque == pytest.approx(COMPONENT + log2(6) + 1)


def test_a_symbolic_node_pays_for_its_table_as_opaque() -> None:
    tensors = {"T": np.arange(9.0).reshape(3, 3)}
    selector = Type("selector", ("batch", "position", "position"))
    node = Node("s", "symbolic.attend", ("tokens", "tokens"), selector, {"causal": True}, {"table": "T"})
    bits = price(Graph((Node("tokens", "input.tokens", (), TOKEN), node), ("s",), tensors, AXES)).by_node["s"]
    assert (bits.opaque, bits.symbolic) == (9 * 32, pytest.approx(SYMBOLIC + 2 * log2(1) + 1))


def test_names_docs_provenance_and_alignments_are_free() -> None:
    graph = program()
    site = Site("add", BP, basis="W")
    told = [replace(n, name=f"a_{n.id}", doc="Long.", origin=Origin("x", why="y"), sites=(site,)) for n in graph.nodes]
    assert price(graph.with_nodes(told)) == price(graph)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True), st.integers(51, 10_000))
def test_longer_tables_and_larger_numbers_cost_more(values: list[int], more: int) -> None:
    def bits(given: list[int]) -> float:
        return structure_bits(Node("n", "symbolic.is_in", ("t",), BOOL, {"values": given}), 1)

    assert bits([*values, more]) > bits([*values, 0]) > bits(values)


def test_the_legible_share() -> None:
    opaque = price(program()).opaque_bits
    assert legible_share(program(meta={"lifted_bits": 4 * opaque})) == pytest.approx(0.75)
    assert legible_share(program(meta={"lifted_bits": opaque})) == pytest.approx(0)
    assert legible_share(program(meta={"lifted_bits": opaque / 2})) == pytest.approx(-1), "nothing is hidden"
    assert legible_share(replace(program(meta={"lifted_bits": 10}), nodes=program().nodes[:5])) == 1


def test_a_program_that_nobody_raised_is_not_legible_at_all() -> None:
    node = Node("x", "component.embed", ("tokens",), Type("real", (*BP, "=4")), tensors={"weight": "W"})
    lifted = Graph((program()["tokens"], node), ("x",), program().tensors, AXES)
    assert legible_share(replace(lifted, meta={"lifted_bits": price(lifted).opaque_bits})) == 0


def test_rounding_makes_shorter_and_no_clearer_except_where_it_leaves_zeros() -> None:
    """A hundred reals, written as ninety whole numbers of steps and ten zeros."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(20, 5)).astype(np.float32)
    counts = np.where(np.arange(100).reshape(20, 5) < 10, 0, np.clip(np.rint(4 * real), 1, 7)).astype(np.int8)
    node = Node("x", "component.embed", ("tokens",), Type("real", (*BP, "=5")), tensors={"weight": "W"})
    lifted = Graph((program()["tokens"], node), ("x",), {"W": real}, AXES)
    lifted = replace(lifted, meta={"lifted_bits": price(lifted).opaque_bits})
    steps = replace(node, attrs={"step": 0.25})
    rounded = replace(lifted, nodes=(program()["tokens"], steps), tensors={"W": counts})
    cost = price(rounded)
    structure = structure_bits(steps, 1)
    assert cost.unread_bits == pytest.approx(90 * 32 + structure)
    assert cost.opaque_bits < 100 * 3 + 60 + structure
    assert 0.05 < legible_share(rounded) < 0.1


@pytest.mark.parametrize("bits", [None, 0, -1, float("nan"), float("inf"), True, "100"])
def test_without_the_bits_of_the_lifted_program_there_is_no_share(bits: Any) -> None:
    with pytest.raises(GraphError, match="lifted_bits"):
        legible_share(program(meta={} if bits is None else {"lifted_bits": bits}))


def test_unknown_ops_and_tensors_have_no_price() -> None:
    with pytest.raises(GraphError, match="which the language does not have"):
        price(Graph((Node("n", "symbolic.magic", (), TOKEN),), ("n",), axes=AXES))
    with pytest.raises(GraphError, match="names tensor 'W'"):
        price(replace(program(), tensors={}))
