"""The graph type: order, reachability and rewriting, against definitions written out in full."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.ir import Axis, Function, Graph, GraphError, Level, Node, Site, Type
from exegesis.ir.graph import sort_nodes

REAL = Type("real", ("batch",))
AXES = {"batch": Axis("batch")}


def node(name: str, *inputs: str, **more: object) -> Node:
    op = "component.add" if inputs else "input.array"
    return Node(name, op, inputs, REAL, **more)  # type: ignore[arg-type]


def chain(*nodes: Node, outputs: tuple[str, ...], **more: object) -> Graph:
    return Graph(nodes=nodes, outputs=outputs, axes=AXES, **more)  # type: ignore[arg-type]


@st.composite
def reads(draw: st.DrawFn) -> list[list[int]]:
    """For each node, which of those before it it reads. Nodes are made in the tests: checked calls draw at random."""
    return [draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else [] for i in range(draw(st.integers(1, 9)))]


def dag(sources: list[list[int]]) -> list[Node]:
    """Nodes n0 … in topological order."""
    return [node(f"n{i}", *(f"n{k}" for k in read)) for i, read in enumerate(sources)]


def reaches(nodes: list[Node]) -> np.ndarray:
    """reaches[i, j]: node j depends on node i, by repeated products of the adjacency matrix."""
    at = {n.id: k for k, n in enumerate(nodes)}
    step = np.eye(len(nodes), dtype=int)
    for n in nodes:
        for i in n.inputs:
            step[at[i], at[n.id]] = 1
    return np.linalg.matrix_power(step, len(nodes)) > 0


@given(reads(), st.integers(0, 2**32))
def test_sorting_puts_every_input_first_and_keeps_what_is_sorted(sources: list[list[int]], seed: int) -> None:
    nodes = dag(sources)
    shuffled = [nodes[k] for k in np.random.default_rng(seed).permutation(len(nodes))]
    done: set[str] = set()
    for n in sort_nodes(shuffled):
        assert set(n.inputs) <= done
        done.add(n.id)
    assert done == {n.id for n in nodes}
    assert sort_nodes(nodes) == tuple(nodes)


@given(reads(), st.integers(0, 8))
def test_reachability_is_the_transitive_closure(sources: list[list[int]], start: int) -> None:
    nodes = dag(sources)
    graph = chain(*nodes, outputs=(nodes[-1].id,))
    start %= len(nodes)
    closure = reaches(nodes)
    assert graph.downstream([f"n{start}"]) == {f"n{j}" for j in np.flatnonzero(closure[start])}
    assert graph.upstream([f"n{start}"]) == {f"n{i}" for i in np.flatnonzero(closure[:, start])}
    assert [n.id for n in graph.users(f"n{start}")] == [n.id for n in nodes if f"n{start}" in n.inputs]


@given(reads())
def test_pruning_keeps_what_outputs_need_and_the_inputs(sources: list[list[int]]) -> None:
    nodes = dag(sources)
    graph = chain(*nodes, outputs=(nodes[-1].id,)).pruned()
    needed = {f"n{i}" for i in np.flatnonzero(reaches(nodes)[:, -1])}
    assert [n.id for n in graph.nodes] == [n.id for n in nodes if n.id in needed or n.level is Level.INPUT]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("a"), node("a")], "Two nodes share the id 'a'"),
        ([node("a", "b")], "reads 'b', which does not exist"),
        ([node("a", "a")], "'a' and 'a' depend on each other"),
        ([node("a", "c"), node("b", "a"), node("c", "b")], "depend on each other"),
    ],
)
def test_what_cannot_be_sorted_is_refused(nodes: list[Node], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        sort_nodes(nodes)


def test_a_long_chain_does_not_exhaust_the_stack() -> None:
    nodes = [node("n0"), *(node(f"n{i}", f"n{i - 1}") for i in range(1, 5000))]
    assert len(sort_nodes(reversed(nodes))) == 5000


def test_replacing_rewires_readers_but_not_the_substitute() -> None:
    graph = chain(node("x"), node("a", "x"), node("b", "a"), outputs=("b",))
    wrapped = graph.replacing({"a": "twice"}, [node("twice", "a", "a")])
    assert wrapped["b"].inputs == ("twice",)
    assert wrapped["twice"].inputs == ("a", "a")
    assert [n.id for n in wrapped.nodes] == ["x", "a", "twice", "b"]
    assert graph["b"].inputs == ("a",), "the graph before is as it was"


def test_replacing_an_output_gives_the_substitute_and_drops_the_unused() -> None:
    graph = chain(node("x"), node("a", "x"), node("b", "a"), outputs=("b",))
    replaced = graph.replacing({"b": "c"}, [node("c", "x")])
    assert replaced.outputs == ("c",)
    assert set(replaced.by_id) == {"x", "c"}


def test_replacing_an_unknown_node_is_refused() -> None:
    graph = chain(node("x"), node("a", "x"), outputs=("a",))
    with pytest.raises(GraphError, match="no node 'ghost' that could be replaced"):
        graph.replacing({"ghost": "x"})


def test_pruning_drops_tensors_that_nothing_names_but_keeps_those_of_alignments() -> None:
    tensors = {name: np.zeros((1, 2)) for name in ("weight", "basis", "unused")}
    site = Site("add", ("batch",), basis="basis")
    read = Node("a", "component.embed", ("x",), REAL, tensors={"weight": "weight"}, sites=(site,))
    graph = chain(node("x"), read, outputs=("a",), tensors=tensors).pruned()
    assert set(graph.tensors) == {"weight", "basis"}


def test_pruning_keeps_a_function_for_the_sake_of_those_inside_it() -> None:
    functions = (
        Function("outer", ("dead",)),
        Function("inner", ("a", "dead2"), parent="outer"),
        Function("gone", ("dead3",), parent="outer"),
    )
    dead = [node(name, "x") for name in ("dead", "dead2", "dead3")]
    graph = chain(node("x"), node("a", "x"), *dead, outputs=("a",), functions=functions).pruned()
    assert [(f.name, f.nodes, f.parent) for f in graph.functions] == [("outer", (), None), ("inner", ("a",), "outer")]


def test_with_nodes_adds_tensors_and_axes_and_sorts() -> None:
    graph = chain(node("x"), outputs=("x",), tensors={"old": np.zeros(1)})
    changed = graph.with_nodes(
        [node("a", "x"), node("x")], outputs=("a",), tensors={"new": np.ones(1)}, axes={"head": Axis("head", 2)}
    )
    assert [n.id for n in changed.nodes] == ["x", "a"]
    assert set(changed.tensors) == {"old", "new"}
    assert set(changed.axes) == {"batch", "head"}


def test_an_unknown_node_is_named() -> None:
    with pytest.raises(GraphError, match="no node 'y'"):
        chain(node("x"), outputs=("x",))["y"]


def test_an_op_without_a_level_is_refused() -> None:
    with pytest.raises(GraphError, match=r"'magic\.add', whose prefix is no level"):
        _ = Node("m", "magic.add", (), REAL).level


def test_graphs_never_change_themselves() -> None:
    graph = chain(node("x"), outputs=("x",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.outputs = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        graph.by_id["y"] = node("y")  # type: ignore[index]


def test_equality_of_graphs_is_identity_even_with_tensors() -> None:
    graph = chain(node("x"), outputs=("x",), tensors={"t": np.zeros(3)})
    assert graph == graph
    assert graph != dataclasses.replace(graph, tensors={"t": np.zeros(3)})


def test_types_print_as_they_are_read() -> None:
    assert str(Type("category", ("batch", "position"), "token")) == "category of token[batch, position]"
    assert str(Type("real")) == "real[]"
