"""The executor: what is computed, how long it is kept, what is reused, and what is refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exegesis.ir import Axis, Graph, GraphError, InputError, Node, Type
from exegesis.runtime import Ablate, Executor, InterventionError, Set

ROWS = Type("real", ("batch", "=3"))
AXES = {"batch": Axis("batch")}
X = torch.tensor([[1.0, 2, 3], [4, 5, 6]])


def node(name: str, *inputs: str) -> Node:
    return Node(name, "component.add" if inputs else "input.array", inputs, ROWS)


def graph(*nodes: Node, outputs: tuple[str, ...]) -> Graph:
    return Graph(nodes, outputs, axes=AXES)


DIAMOND = graph(
    node("x"), node("y"), node("a", "x", "y"), node("b", "a"), node("c", "a", "x"), node("d", "b", "c"), outputs=("d",)
)


class Watched(Executor):
    """Records which nodes are computed, and how many values are held at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.computed: list[str] = []
        self.most_held = 0

    def _compute(self, node: Node, inputs: Mapping[str, Tensor], values: Mapping[str, Any]) -> Any:
        self.computed.append(node.id)
        self.most_held = max(self.most_held, len(values))
        return super()._compute(node, inputs, values)


def test_only_what_is_wanted_is_computed() -> None:
    executor = Watched(DIAMOND)
    found = executor.run({"x": X, "y": X}, ["b", "a"])
    assert list(found) == ["b", "a"]
    assert executor.computed == ["x", "y", "a", "b"]
    assert torch.equal(found["b"], 2 * X)


def test_inputs_that_nobody_needs_may_be_missing() -> None:
    assert torch.equal(Executor(DIAMOND).run({"x": X}, ["x"])["x"], X)


def test_nothing_upstream_of_what_is_given_is_computed() -> None:
    executor = Watched(DIAMOND)
    found = executor.run({"x": X}, given={"a": 10 * X})
    assert executor.computed == ["x", "b", "c", "d"]
    assert torch.equal(found["d"], 21 * X)


def test_values_are_let_go_when_nobody_is_left_to_read_them() -> None:
    chain = graph(node("n0"), *(node(f"n{i}", f"n{i - 1}", f"n{i - 1}") for i in range(1, 60)), outputs=("n59",))
    executor = Watched(chain)
    found = executor.run({"n0": X})
    assert executor.most_held == 1
    assert torch.equal(found["n59"], X * 2.0**59)
    executor.run({"n0": X}, ["n1", "n59"])
    assert executor.most_held == 2


def test_a_node_wanted_twice_comes_once() -> None:
    assert list(Executor(DIAMOND).run({"x": X, "y": X}, ["d", "d"])) == ["d"]


def test_dtype_and_device_of_everything_real() -> None:
    embed = Node("e", "component.embed", ("t",), ROWS, tensors={"weight": "W"})
    tokens = Node("t", "input.tokens", (), Type("category", ("batch",)))
    made = Graph((tokens, embed), ("e",), {"W": np.ones((4, 3), dtype=np.float32)}, AXES)
    ids = {"t": torch.tensor([[0, 1]])}
    assert Executor(made).run(ids)["e"].dtype == torch.float32
    assert Executor(made, dtype=torch.float64).run(ids)["e"].dtype == torch.float64
    assert Executor(DIAMOND, "cpu", torch.float64).run({"x": X, "y": X})["d"].dtype == torch.float64


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3).T, np.arange(3.0)[::-1], np.arange(3, dtype=">f4")])
def test_tensors_of_any_layout(array: np.ndarray) -> None:
    array.flags.writeable = False
    made = Graph((Node("c", "tensor.constant", (), ROWS, tensors={"value": "t"}),), ("c",), {"t": array}, AXES)
    np.testing.assert_array_equal(Executor(made).run({})["c"].numpy(), array)


def test_tensors_share_memory_with_the_graph_where_they_can() -> None:
    array = np.zeros(3, dtype=np.float32)
    made = Graph((Node("c", "tensor.constant", (), ROWS, tensors={"value": "t"}),), ("c",), {"t": array}, AXES)
    array[0] = 5
    assert Executor(made).run({})["c"][0] == 5


def test_gradients_flow_when_asked_for() -> None:
    value = torch.ones(3, requires_grad=True)
    executor = Executor(DIAMOND)
    inputs = {"x": X, "y": X}
    assert not executor.run(inputs, interventions=[Set("a", value)])["d"].requires_grad
    executor.run(inputs, interventions=[Set("a", value)], gradients=True)["d"].sum().backward()
    assert value.grad is not None
    assert value.grad.tolist() == [4, 4, 4]


# Reuse


def test_a_prefix_holds_what_a_change_does_not_touch_and_no_more() -> None:
    executor = Watched(DIAMOND)
    inputs = {"x": X, "y": X}
    kept = executor.prefix(inputs, ["b"])
    assert set(kept) == {"b", "c"}
    executor.computed.clear()
    found = executor.run(inputs, interventions=[Ablate("b")], given=kept)
    assert executor.computed == ["d"]
    assert torch.equal(found["d"], 3 * X)


def test_a_sweep_computes_the_untouched_part_once() -> None:
    executor = Watched(DIAMOND)
    inputs = {"x": X, "y": X}
    changes = [[Ablate("b")], [Ablate("c")], [Ablate("b"), Ablate("c")], []]
    results = list(executor.sweep(inputs, changes))
    assert [r["d"].sum() / X.sum() for r in results] == [3, 2, 0, 5]
    assert executor.computed == ["x", "y", "a", "b", "c", "d", "d", "d", "d"]


def test_of_two_changes_in_a_row_the_second_sees_the_first() -> None:
    executor = Executor(DIAMOND)
    inputs = {"x": X, "y": X}
    changes = [Set("a", torch.tensor(1.0)), Ablate("c")]
    (found,) = executor.sweep(inputs, [changes])
    assert torch.equal(found["d"], torch.ones_like(X))
    assert torch.equal(found["d"], executor.run(inputs, interventions=changes)["d"])


@st.composite
def reads(draw: st.DrawFn) -> list[list[int]]:
    """For each node after the two inputs, which earlier ones it reads (at least one)."""
    size = draw(st.integers(1, 7))
    return [draw(st.lists(st.integers(0, i + 1), min_size=1, max_size=3)) for i in range(size)]


@settings(max_examples=60)
@given(reads(), st.lists(st.lists(st.integers(0, 8), max_size=3, unique=True), max_size=4), st.integers(0, 8))
def test_sweeps_equal_separate_runs(sources: list[list[int]], changed: list[list[int]], want: int) -> None:
    names = [f"n{i}" for i in range(len(sources) + 2)]
    nodes = [
        node("n0"),
        node("n1"),
        *(node(n, *(names[k] for k in r)) for n, r in zip(names[2:], sources, strict=True)),
    ]
    target = names[want % len(names)]
    made = graph(*nodes, outputs=(names[-1], target))
    needed = sorted(made.upstream(made.outputs))
    sets = [[Set(needed[k % len(needed)], torch.tensor(float(k))) for k in ks] for ks in changed]
    inputs = {"n0": X, "n1": 10 * X}
    executor = Executor(made)
    for found, changes in zip(executor.sweep(inputs, sets), sets, strict=True):
        direct = executor.run(inputs, interventions=changes)
        assert all(torch.equal(found[name], direct[name]) for name in made.outputs)


# Refusals


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda e: e.run({"x": X}), InputError, "needs its input 'y', which was not given"),
        (lambda e: e.run({"x": X, "z": X}), InputError, "has no input 'z'; it takes 'x', 'y'"),
        (lambda e: e.run({"a": X}), InputError, "has no input 'a'"),
        (lambda e: e.run({}, ["ghost"]), GraphError, "has no node 'ghost'"),
        (lambda e: e.run({}, given={"ghost": X}), GraphError, "given for 'ghost'"),
        (lambda e: e.run({"x": X, "y": X}, interventions=[Ablate("ghost")]), InterventionError, "'ghost' never fires"),
        (lambda e: e.run({"x": X, "y": X}, ["b"], [Ablate("c")]), InterventionError, "'c' never fires"),
        (lambda e: e.run({"x": X}, interventions=[Ablate("y")], given={"a": X}), InterventionError, "'y' never fires"),
        (lambda e: e.prefix({"x": X, "y": X}, ["ghost"]), InterventionError, "'ghost' never fires"),
        (lambda e: list(e.sweep({"x": X, "y": X}, [[Ablate("ghost")]])), InterventionError, "'ghost' never fires"),
        (lambda e: list(e.sweep({"x": X, "y": X}, [[Ablate("c")]], ["b"])), InterventionError, "'c' never fires"),
        (lambda e: e.tensor("ghost"), GraphError, "holds no tensor 'ghost'"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(Executor(DIAMOND))


def test_an_op_that_the_runtime_does_not_know_hurts_only_who_wants_it() -> None:
    made = graph(node("x"), Node("odd", "symbolic.magic", ("x",), ROWS), outputs=("x",))
    assert torch.equal(Executor(made).run({"x": X})["x"], X)
    with pytest.raises(GraphError, match=r"'odd' has op 'symbolic\.magic', which the runtime does not know"):
        Executor(made).run({"x": X}, ["odd"])
