"""Differences of programs: each kind is found, printed, and nothing else is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Axis, Function, Graph, Node, Origin, Type, diff

ROW = Type("real", ("batch",))
AXES = {"batch": Axis("batch")}


def scale(name: str, source: str, by: float = 2, **more: Any) -> Node:
    return Node(name, "component.scale", (source,), ROW, {"by": by}, **more)


def graph(*nodes: Node, outputs: tuple[str, ...] = ("c",), **more: Any) -> Graph:
    made = nodes or (scale("a", "x"), scale("b", "a", 3), scale("c", "b", 4))
    return Graph((Node("x", "input.array", (), ROW), *made), outputs, axes=AXES, **more)


def test_a_program_does_not_differ_from_itself() -> None:
    same = diff(graph(), graph())
    assert not same
    assert str(same) == "no difference"


def test_tuples_and_lists_and_the_order_of_keys_are_no_difference() -> None:
    one = graph(Node("c", "tensor.aten.f", ("x",), ROW, {"args": (1, (2,)), "kwargs": {"p": 1, "q": 2}}))
    two = graph(Node("c", "tensor.aten.f", ("x",), ROW, {"kwargs": {"q": 2, "p": 1}, "args": [1, [2]]}))
    assert not diff(one, two)


def test_added_and_removed_nodes() -> None:
    found = diff(graph(), graph(scale("a", "x"), scale("d", "a", 9), scale("c", "d", 4)))
    assert [n.id for n in found.removed] == ["b"]
    assert [n.id for n in found.added] == ["d"]
    assert [(c.field, c.before, c.after) for c in found.changed["c"]] == [("inputs", ["b"], ["d"])]
    assert "- b = component.scale(a, by=3): real[batch]" in str(found)
    assert "+ d = component.scale(a, by=9): real[batch]" in str(found)
    assert "~ c.inputs: ['b'] → ['d']" in str(found)


def test_a_renamed_node_is_recognised_by_what_it_computes_and_its_readers_have_not_changed() -> None:
    found = diff(graph(), graph(scale("a2", "x"), scale("b2", "a2", 3), scale("c", "b2", 4)))
    assert found.renamed == (("a", "a2"), ("b", "b2"))
    assert (found.added, found.removed, found.changed) == ((), (), {})
    assert "> a is now a2" in str(found)


def test_equal_nodes_pair_one_to_one() -> None:
    found = diff(
        graph(scale("a", "x"), scale("b", "x"), outputs=("a", "b")),
        graph(scale("a1", "x"), scale("b1", "x"), outputs=("a1", "b1")),
    )
    assert found.renamed == (("a", "a1"), ("b", "b1"))
    assert not found.program


def test_inputs_of_the_program_are_what_they_are_called() -> None:
    one = Graph((Node("x", "input.array", (), ROW),), ("x",), axes=AXES)
    two = Graph((Node("y", "input.array", (), ROW),), ("y",), axes=AXES)
    found = diff(one, two)
    assert not found.renamed
    assert [n.id for n in found.added] == ["y"]


def test_a_renamed_node_is_recognised_by_the_content_of_its_tensors() -> None:
    def program(name: str, tensor: str, value: float) -> Graph:
        node = Node(name, "tensor.constant", (), ROW, tensors={"value": tensor})
        return Graph((node,), (name,), {tensor: np.full(2, value)}, AXES)

    assert diff(program("a", "t", 1.0), program("b", "t2", 1.0)).renamed == (("a", "b"),)
    assert not diff(program("a", "t", 1.0), program("b", "t2", 2.0)).renamed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("op", "component.gate"),
        ("type", Type("real", ("batch", "=2"))),
        ("attrs", {"by": 5}),
        ("name", "doubled"),
        ("doc", "Twice."),
        ("origin", Origin("fold")),
        ("tensors", {"weight": "W"}),
    ],
)
def test_a_changed_field_is_named(field: str, value: Any) -> None:
    found = diff(graph(), graph(replace(scale("a", "x"), **{field: value}), scale("b", "a", 3), scale("c", "b", 4)))
    assert [c.field for c in found.changed["a"]] == [field]
    assert f"~ a.{field}: " in str(found)


def test_tensors() -> None:
    one = graph(tensors={"gone": np.zeros(1), "w": np.array([1.0, 2.0]), "v": np.zeros(2), "u": np.ones(1)})
    two = graph(tensors={"new": np.zeros(1), "w": np.array([1.0, 2.5]), "v": np.zeros((1, 2)), "u": np.ones(1)})
    found = diff(one, two)
    assert found.tensors_removed == ("gone",)
    assert found.tensors_added == ("new",)
    assert [(c.name, c.largest) for c in found.tensors_changed] == [("v", None), ("w", 0.5)]
    assert "~ tensor v: float64[2] → float64[1, 2]" in str(found)
    assert "~ tensor w: float64[2], entries differ by up to 0.5" in str(found)


def test_functions_are_compared_under_new_names() -> None:
    one = graph(functions=(Function("f", ("a", "b")), Function("old", ("c",))))
    renamed = graph(scale("a2", "x"), scale("b", "a2", 3), scale("c", "b", 4))
    same = replace(renamed, functions=(Function("f", ("a2", "b")), Function("old", ("c",))))
    assert (diff(one, same).functions_changed, diff(one, same).functions_added) == ({}, ())
    found = diff(one, replace(renamed, functions=(Function("f", ("a2",), doc="Scales."), Function("g", ("c",)))))
    assert [c.field for c in found.functions_changed["f"]] == ["nodes", "doc"]
    assert (found.functions_added, found.functions_removed) == (("g",), ("old",))


def test_outputs_axes_and_meta() -> None:
    one = graph(meta={"seed": 0, "kept": [1]})
    two = replace(graph(meta={"kept": (1,), "by": "hand"}, outputs=("b",)), axes={**AXES, "head": Axis("head", 2)})
    found = diff(one, two)
    assert [c.field for c in found.program] == ["outputs", "axis head", "meta by", "meta seed"]
    assert "~ meta seed: 0 → None" in str(found)


def test_long_values_are_cut_in_print() -> None:
    found = diff(graph(), graph(scale("a", "x", doc="x" * 500), scale("b", "a", 3), scale("c", "b", 4)))
    assert all(len(line) < 200 for line in str(found).splitlines())
