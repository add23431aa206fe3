"""Permutations in torch, against the primitives of emitted programs; and what the specification refuses."""

from typing import Any

import numpy as np
import pytest
import torch

from exegesis import primitives as p
from exegesis.ir import Axis, Graph, Node, Type
from exegesis.ir.levels import SPECS
from exegesis.ir.spec import check_node
from exegesis.runtime import Executor

BP = ("batch", "position")
AXES = {a.name: a for a in (*map(Axis, BP), Axis("token", 30), Axis("element", 24))}
CATEGORY, FITS = Type("category", BP, "token"), Type("real", (*BP, "element"))
PARTITIONS = [[3, 1], [2, 2], [1, 1, 1, 1]]
RNG = np.random.default_rng(2)


def wide(size: int) -> Type:
    return Type("real", (*BP, f"={size}"))


def graph(op: str, sources: list[Type], attrs: dict[str, Any], type: Type) -> Graph:
    inputs = [Node(f"in{i}", "input.array", (), t) for i, t in enumerate(sources)]
    node = Node("out", f"symbolic.{op}", tuple(n.id for n in inputs), type, attrs)
    return Graph((*inputs, node), ("out",), {}, AXES)


def give(op: str, inputs: list[tuple[Type, np.ndarray]], attrs: dict[str, Any], type: Type) -> np.ndarray:
    made = graph(op, [t for t, _ in inputs], attrs, type)
    assert check_node(made["out"], made, SPECS) is None
    values = {f"in{i}": torch.from_numpy(v) for i, (_, v) in enumerate(inputs)}
    found = Executor(made, dtype=torch.float64).run(values)["out"]
    assert Executor(made, "meta", torch.float64).run(values)["out"].shape == found.shape
    return np.asarray(found)


@pytest.mark.parametrize("even", [False, True])
def test_matrices_products_and_votes(even: bool) -> None:
    tokens = RNG.integers(-1, 30, (2, 5))
    partitions = [tuple(q) for q in PARTITIONS]
    attrs = {"even": True} if even else {}
    held = give("representation", [(CATEGORY, tokens)], {"partitions": PARTITIONS, **attrs}, wide(14))
    np.testing.assert_allclose(held, p.representation(tokens, partitions, even=even), atol=1e-12)
    other = RNG.normal(size=held.shape)
    for between in (None, [[1, 0, 2], None, [1]]):
        given = {"partitions": PARTITIONS} | ({} if between is None else {"between": between})
        made = give("matrix_product", [(wide(14), held), (wide(14), other)], given, wide(14))
        np.testing.assert_allclose(made, p.matrix_product(held, other, partitions, between=between), atol=1e-12)
    weights: list[list[Any]] = [[q, k + 0.5] for k, q in enumerate(PARTITIONS)]
    votes = give("representation_votes", [(wide(14), other)], {"weights": weights, **attrs}, FITS)
    expected = p.representation_votes(other, {tuple(q): w for q, w in weights}, even=even)
    np.testing.assert_allclose(votes, expected, atol=1e-12)


FAULTS: list[tuple[str, list[Type], dict[str, Any], Type, str]] = [
    ("representation", [CATEGORY], {"partitions": [[1, 2]]}, wide(4), "partitions"),
    ("representation", [CATEGORY], {"partitions": [[2, 1], [2]]}, wide(5), "partitions"),
    ("representation", [CATEGORY], {"partitions": [[2, 1], [2, 1]]}, wide(8), "partitions"),
    ("representation", [CATEGORY], {"partitions": [[4, 3]]}, wide(4), "partitions"),
    ("representation", [CATEGORY], {"partitions": [[2, 1]]}, wide(3), "last axis of size 3"),
    ("matrix_product", [wide(4), wide(3)], {"partitions": [[2, 1]]}, wide(4), "last axis of size 3"),
    ("matrix_product", [wide(4), wide(4)], {"partitions": [[2, 1]], "between": [[1]]}, wide(4), "directions"),
    ("matrix_product", [wide(4), wide(4)], {"partitions": [[2, 1]], "between": [[0, 0]]}, wide(4), "between"),
    ("representation_votes", [wide(4)], {"weights": [[[2, 1], 1], [[3], 2]]}, FITS, "last axis of size 4"),
    ("representation_votes", [wide(4)], {"weights": [[[2, 1], "a"]]}, FITS, "weights"),
]


@pytest.mark.parametrize(("op", "sources", "attrs", "type", "says"), FAULTS)
def test_the_specification_refuses(op: str, sources: list[Type], attrs: dict[str, Any], type: Type, says: str) -> None:
    made = graph(op, sources, attrs, type)
    wrong = check_node(made["out"], made, SPECS)
    assert wrong is not None
    assert says in wrong
