"""The specification: a graph that passes, and for every guard a planted fault that trips it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Axis, Function, Graph, GraphError, Node, Site, Type, check, describe
from exegesis.ir.component import COMPONENT_OPS
from exegesis.ir.levels import SPECS, tensor_spec
from exegesis.ir.recurrent import AUTOMATA, RECURRENT, roles
from exegesis.ir.spec import axis_size, flag, number, one_of, positive, whole, wholes
from exegesis.ir.symbolic import SYMBOLIC_OPS

BP = ("batch", "position")
TOKEN = Type("category", BP, "token")
STREAM = Type("real", (*BP, "d_model"))
SHARE = Type("real", (*BP, "token"))
SELECTOR = Type("selector", ("batch", "query", "key"))
BOOL = Type("bool", BP)
NUMBER = Type("real", BP)

TENSORS = {"W_E": np.zeros((3, 4)), "scale": np.ones(4), "shift": np.zeros(4), "W": np.zeros((4, 2))}
TENSORS |= {"U": np.zeros((2, 2)), "two": np.zeros(2)}
AXES = {a.name: a for a in (*map(Axis, (*BP, "query", "key")), Axis("token", 3, ("a", "b", "c")), Axis("d_model", 4))}


def graph(*nodes: Node, **more: Any) -> Graph:
    """Tokens, a stream, a selector, a share and a condition, then these nodes, the last of which is the output."""
    common = (
        Node("tokens", "input.tokens", (), TOKEN),
        Node("stream", "component.embed", ("tokens",), STREAM, tensors={"weight": "W_E"}),
        Node("all", "symbolic.everywhere", ("tokens",), SELECTOR, {"causal": True}),
        Node("share", "symbolic.share", ("all", "tokens"), SHARE),
        Node("is_a", "symbolic.is_in", ("tokens",), BOOL, {"values": [0]}),
    )
    parts: dict[str, Any] = {"tensors": TENSORS, "axes": AXES, **more}
    return Graph(nodes=(*common, *nodes), outputs=((*common, *nodes)[-1].id,), **parts)


def norm(**more: Any) -> Node:
    given: dict[str, Any] = {
        "attrs": {"kind": "layer", "eps": 1e-5},
        "tensors": {"weight": "scale", "bias": "shift"},
        **more,
    }
    return Node("norm", "component.norm", ("stream",), STREAM, **given)


def recurrent(without: str = "", steps: Mapping[str, float] | None = None, **changed: str) -> Node:
    """A GRU of two units over the stream."""
    named = {r: "W" if "from_input" in r else "U" if "from_state" in r else "two" for r in roles("gru") if r != without}
    attrs = {"kind": "gru"} | ({"steps": steps} if steps else {})
    return Node("new", "component.recurrent", ("stream",), Type("real", (*BP, "=2")), attrs, {**named, **changed})


def automaton(transitions: list[list[int]]) -> Node:
    return symbolic("automaton", ("tokens",), {"start": 0, "transitions": transitions}, TOKEN)


def symbolic(op: str, inputs: tuple[str, ...], attrs: Mapping[str, Any], type: Type = NUMBER) -> Node:
    return Node("new", f"symbolic.{op}", inputs, type, attrs)


def test_a_sound_graph_passes() -> None:
    check(graph(norm()))
    check(graph(recurrent()))
    check(graph(automaton([[0, 1, 1], [1, 1, 0]])))


FAULTS: list[tuple[str, Graph, str]] = [
    ("unknown op", graph(Node("n", "component.magic", ("stream",), STREAM)), "has an op that the specification"),
    ("unknown prefix", graph(Node("n", "odd.add", ("stream",), STREAM)), "whose prefix is no level"),
    ("not aten", graph(Node("n", "tensor.numpy.add", ("stream",), STREAM)), "neither aten nor builtin"),
    ("a gate too few", graph(recurrent(without="candidate_bias")), r"tensors \['candidate_bias'\] too many or missing"),
    ("a gate of another size", graph(recurrent(update_bias="scale")), "has 4 columns in update_bias, but its axis"),
    ("a step for what is no map", graph(recurrent(steps={"reset_bias": 0.5})), "a step for 'reset_bias', which is no"),
    ("a step for reals", graph(recurrent(steps={"reset_from_input": 0.5})), "no step for them, or a step and reals"),
    ("states that stay", graph(automaton([[0, 1, 0]])), "transitions = .*, which its op does not allow"),
    (
        "two ways to go on",
        graph(automaton([[0, 1, 1], [0, 1, 2]])),
        "transitions = .*, which its op does not allow",
    ),
    ("no transitions", graph(automaton([[0, 1]])), "transitions = .*, which its op does not allow"),
    (
        "too few inputs",
        graph(Node("n", "component.gate", ("stream",), STREAM)),
        r"takes 1 inputs where its op takes \(a, b\)",
    ),
    ("too many inputs", graph(Node("n", "component.softmax", ("all", "all"), SELECTOR)), "takes 2 inputs"),
    (
        "input kind",
        graph(Node("n", "component.embed", ("stream",), STREAM, tensors={"weight": "W_E"})),
        "as its ids, which is real",
    ),
    ("repeated input kind", graph(symbolic("and", ("is_a", "tokens"), {}, BOOL)), "as its a, which is category"),
    (
        "result kind",
        graph(symbolic("is_in", ("tokens",), {"values": [1]}, TOKEN)),
        "typed category where its op gives bool",
    ),
    ("missing attribute", graph(norm(attrs={"kind": "rms"})), "lacks attribute 'eps'"),
    (
        "extra attribute",
        graph(norm(attrs={"kind": "layer", "eps": 1e-5, "p": 1})),
        "has attribute 'p', which its op does not know",
    ),
    (
        "attribute value",
        graph(norm(attrs={"kind": "group", "eps": 1e-5})),
        "kind = 'group', which its op does not allow",
    ),
    ("attribute not finite", graph(norm(attrs={"kind": "layer", "eps": float("nan")})), "eps = nan"),
    ("missing tensor role", graph(Node("n", "component.embed", ("tokens",), STREAM)), "lacks tensor 'weight'"),
    ("extra tensor role", graph(norm(tensors={"gain": "scale"})), "has tensor 'gain'"),
    ("unknown tensor", graph(norm(tensors={"weight": "ghost"})), "names tensor 'ghost'"),
    ("tensor rank", graph(norm(tensors={"weight": "W"})), "a weight of rank 2 where its op wants 1"),
    (
        "tensor not finite",
        graph(norm(), tensors={**TENSORS, "scale": np.full(4, np.inf)}),
        "values that are not finite",
    ),
    ("biased rms norm", graph(norm(attrs={"kind": "rms", "eps": 0.1})), "is an RMS norm with a bias"),
    (
        "steps of reals",
        graph(Node("n", "component.linear", ("stream",), STREAM, {"step": 0.5}, {"weight": "W"})),
        "has a step, but a weight of reals",
    ),
    (
        "no step",
        graph(
            Node("n", "component.linear", ("stream",), STREAM, {}, {"weight": "W"}),
            tensors={**TENSORS, "W": np.ones((4, 4), np.int8)},
        ),
        "has a weight of integers, but no step",
    ),
    (
        "steps of real rows",
        graph(Node("n", "component.embed", ("tokens",), STREAM, {"step": 0.5}, {"weight": "W_E"})),
        "has a step, but a weight of reals",
    ),
    (
        "heads without a step",
        graph(
            Node(
                "n",
                "component.heads",
                ("stream",),
                Type("real", ("batch", "=1", "position", "=2")),
                {},
                {"weight": "i"},
            ),
            tensors={**TENSORS, "i": np.ones((1, 4, 2), np.int8)},
        ),
        "has a weight of integers, but no step",
    ),
    (
        "what heads write without a step",
        graph(
            Node("n", "component.write", ("stream",), STREAM, {}, {"weight": "i"}),
            tensors={**TENSORS, "i": np.ones((1, 2, 4), np.int8)},
        ),
        "has a weight of integers, but no step",
    ),
    (
        "mask of numbers",
        graph(Node("n", "component.keep", ("stream",), STREAM, {"axis": 2}, {"mask": "scale"})),
        "keeps by a mask of float",
    ),
    (
        "mask too small",
        graph(
            Node("n", "component.keep", ("stream",), STREAM, {"axis": 2}, {"mask": "m"}),
            tensors={**TENSORS, "m": np.array([True, False, True, False])},
        ),
        "keeps 2 entries, but its axis 'd_model' has 4",
    ),
    (
        "keeps examples",
        graph(
            Node("n", "component.keep", ("stream",), STREAM, {"axis": 0}, {"mask": "m"}),
            tensors={**TENSORS, "m": np.ones(4, bool)},
        ),
        "keeps along axis 0",
    ),
    (
        "joins examples",
        graph(Node("n", "component.join", ("stream",), STREAM, {"axis": 0})),
        "joins along axis 0",
    ),
    (
        "joins too much",
        graph(Node("n", "component.join", ("stream", "stream"), STREAM, {"axis": 2})),
        "joins 8 entries, but its axis 'd_model' has 4",
    ),
    (
        "joins other axes",
        graph(Node("n", "component.join", ("stream",), NUMBER, {"axis": 1})),
        "joins 'stream' with axes",
    ),
    ("added axes", graph(Node("n", "component.add", ("stream",), NUMBER)), "adds 'stream' with axes"),
    ("unknown axis", graph(replace(norm(), type=Type("real", ("ghost",)))), "uses axis 'ghost'"),
    ("axis is no size", graph(replace(norm(), type=Type("real", ("=many",)))), "'=many', which is no size"),
    (
        "unknown category",
        graph(Node("n", "symbolic.always", ("tokens",), Type("category", BP, "ghost"), {"value": 1})),
        "'ghost'",
    ),
    (
        "row length",
        graph(symbolic("lookup", ("tokens",), {"rows": [[0, 1, 2]], "other": 0}, TOKEN)),
        "a row whose length",
    ),
    (
        "row twice",
        graph(symbolic("lookup", ("tokens",), {"rows": [[0, 1], [0, 2]], "other": 0}, TOKEN)),
        r"two rows for \[0\]",
    ),
    ("table no pairs", graph(symbolic("relabel", ("tokens",), {"table": [[1, 0, 2]]}, TOKEN)), "has attribute table"),
    ("table order", graph(symbolic("relabel", ("tokens",), {"table": [[1, 0], [0, 1]]}, TOKEN)), "has attribute table"),
    (
        "weights no pairs",
        graph(symbolic("weigh", ("all", "tokens"), {"weights": [3], "other": 0}, SELECTOR)),
        "weights",
    ),
    (
        "weight twice",
        graph(symbolic("weigh", ("all", "tokens"), {"weights": [[0, 1], [0, 2]], "other": 0}, SELECTOR)),
        "weights",
    ),
    (
        "pair weighed twice",
        graph(
            symbolic(
                "weigh_pairs",
                ("all", "tokens", "tokens"),
                {"weights": [[0, 1, 1], [0, 1, 2]], "other": 0},
                SELECTOR,
            )
        ),
        "weights",
    ),
    (
        "bound not whole",
        graph(
            Node("n", "symbolic.width", ("all",), Type("int", BP)),
            symbolic("bound", ("n",), {"which": "smaller", "to": 0.5}, Type("int", BP)),
        ),
        "may be a number that is not whole",
    ),
    (
        "pairs order",
        graph(symbolic("related", ("tokens", "tokens"), {"pairs": [[1, 0], [0, 1]], "causal": False}, SELECTOR)),
        "has attribute pairs",
    ),
    ("term no triple", graph(symbolic("form", ("share",), {"terms": [1], "plus": 0})), "has attribute terms"),
    ("term source", graph(symbolic("form", ("share",), {"terms": [[1, 1, 0]], "plus": 0})), "a term over input 1 of 1"),
    ("term source below 0", graph(symbolic("form", ("share",), {"terms": [[1, -1, 0]], "plus": 0})), "input -1 of 1"),
    (
        "term class missing",
        graph(symbolic("form", ("tokens",), {"terms": [[1, 0, None]], "plus": 0})),
        "without saying which class",
    ),
    (
        "term class range",
        graph(symbolic("form", ("share",), {"terms": [[1, 0, 3]], "plus": 0})),
        "class 3 of 'share', whose last axis has size 3",
    ),
    ("period", graph(symbolic("mod", ("tokens",), {"period": 0}, TOKEN)), "period = 0"),
    (
        "results",
        graph(symbolic("choose", ("is_a",), {"gives": [1, 2], "other": 0}, TOKEN)),
        "2 results for 1 conditions",
    ),
    ("no condition", graph(symbolic("choose", (), {"gives": [], "other": 0}, TOKEN)), "takes 0 inputs"),
    (
        "allowed",
        graph(symbolic("allow", ("tokens", "is_a"), {"gives": [], "always": []}, Type("bool", (*BP, "token")))),
        "0 results for 1",
    ),
    ("subspace", graph(norm(sites=(Site("add", BP, basis="ghost"),))), "lives in the subspace 'ghost'"),
    (
        "site index",
        graph(norm(sites=(Site("add", BP, index=(("head", 1),)),))),
        "index of axis 'head', which 'add' does not have",
    ),
    ("two ids", graph(norm(), norm()), "Two nodes share the id 'norm'"),
    ("order", replace(graph(norm()), nodes=graph(norm()).nodes[::-1]), "before it is computed"),
    ("output", replace(graph(norm()), outputs=("ghost",)), "gives 'ghost', which it does not compute"),
    ("axis name", graph(norm(), axes={**AXES, "other": Axis("d_model", 4)}), "Axis 'other' is called 'd_model' itself"),
    ("axis called a size", graph(norm(), axes={**AXES, "=4": Axis("=4", 4)}), "a name that stands for a size"),
    ("axis labels", graph(norm(), axes={**AXES, "token": Axis("token", 2, ("a", "b", "c"))}), "3 labels and size 2"),
    (
        "function node",
        graph(norm(), functions=(Function("f", ("ghost",)),)),
        "holds node 'ghost', which does not exist",
    ),
    (
        "function twice",
        graph(norm(), functions=(Function("f", ()), Function("f", ()))),
        "Two functions share the name 'f'",
    ),
    (
        "function overlap",
        graph(norm(), functions=(Function("f", ("norm",)), Function("g", ("norm",)))),
        "'f' and 'g' both hold",
    ),
    (
        "function parent",
        graph(norm(), functions=(Function("f", ("norm",), parent="g"),)),
        "inside 'g', which does not exist",
    ),
    (
        "function inside itself",
        graph(norm(), functions=(Function("f", (), parent="g"), Function("g", (), parent="f"))),
        "is inside itself",
    ),
]


@pytest.mark.parametrize(("broken", "message"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_found_and_named(broken: Graph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check(broken)


def test_the_error_shows_op_types_sources_and_attributes() -> None:
    broken = norm(attrs={"kind": "group", "eps": 1e-5})
    with pytest.raises(GraphError) as error:
        check(graph(broken))
    for part in ("'norm'", "component.norm", "stream: real[batch, position, d_model]", "'group'"):
        assert part in str(error.value)


def test_a_description_stays_readable_with_a_large_table_and_missing_sources() -> None:
    rows = [[i, i] for i in range(5000)]
    text = describe(Node("n", "symbolic.lookup", ("ghost",), TOKEN, {"rows": rows, "other": 0}), graph())
    assert "ghost: missing" in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("test", "yes", "no"),
    [
        (number, [0, 1.5, -3, 10**400], [True, float("inf"), float("nan"), "1", None]),
        (whole, [0, -3], [True, 1.0, "1"]),
        (positive, [1, 7], [0, -1, True, 1.0]),
        (flag, [True, False], [0, 1, None]),
        (wholes, [[], [1, 2], (3,)], [1, [1.5], [True], "12"]),
        (one_of("a", "b"), ["a", "b"], ["c", "", None, ["a"]]),
    ],
)
def test_predicates_on_values(test: Any, yes: list[Any], no: list[Any]) -> None:
    assert all(test(value) for value in yes)
    assert not any(test(value) for value in no)


def test_sizes_of_axes() -> None:
    assert axis_size("=64", graph()) == 64
    assert axis_size("token", graph()) == 3
    assert axis_size("batch", graph()) is None
    assert axis_size("ghost", graph()) is None


@pytest.mark.parametrize("spec", [*COMPONENT_OPS, *RECURRENT, *SYMBOLIC_OPS, *AUTOMATA], ids=lambda s: s.op)
def test_every_op_is_documented_and_listed_once(spec: Any) -> None:
    assert spec.doc.endswith(".")
    assert SPECS[spec.op] is spec
    plain = [r for r in spec.inputs if r[-1] not in "?*"]
    assert list(spec.inputs[: len(plain)]) == plain, "optional inputs come last"
    assert set(spec.kinds) <= {r.rstrip("?*") for r in spec.inputs}


def test_tensor_level_ops_and_constants() -> None:
    assert tensor_spec("tensor.constant").tensors == {"value": None}
    good = Node("n", "tensor.aten.relu.default", ("stream",), STREAM, {"args": [{"node": 0}]})
    check(graph(good))
