"""Angles and motions in torch, against the primitives of emitted programs, on random values with nones among them."""

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
N, FREQUENCIES = 9, [2, 0, 4]
WEIGHTS: list[list[Any]] = [[2, 1.5], [0, -1], [4, 3]]
AXES = {a.name: a for a in (*map(Axis, (*BP, "query", "key")), Axis("token", 30))}
CATEGORY, SELECTOR = Type("category", BP, "token"), Type("selector", ("batch", "query", "key"))
RNG = np.random.default_rng(5)
TOKENS = RNG.integers(-1, 2 * N, (3, 8))


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
    result: np.ndarray = found.numpy()
    return result


def each(function: Any, *values: np.ndarray) -> np.ndarray:
    """A primitive, row by row of a batch."""
    return np.stack([function(*rows) for rows in zip(*values, strict=True)])


def test_waves_and_motions() -> None:
    attrs = {"frequencies": FREQUENCIES, "period": N}
    expected = each(lambda v: p.wave(v, FREQUENCIES, N), TOKENS)
    np.testing.assert_allclose(give("wave", [(CATEGORY, TOKENS)], attrs, wide(6)), expected, atol=1e-12)
    expected = each(lambda v: p.motion(v, FREQUENCIES, N), TOKENS)
    np.testing.assert_allclose(give("motion", [(CATEGORY, TOKENS)], attrs, wide(12)), expected, atol=1e-12)
    beyond = np.full((1, 2), 2 * N + 1)
    np.testing.assert_allclose(
        give("motion", [(CATEGORY, beyond)], attrs, wide(12)), p.motion(beyond, FREQUENCIES, N), atol=1e-12
    )


def test_total_of_vectors_and_of_numbers() -> None:
    selector, value = RNG.integers(0, 3, (2, 4, 4)) / 2, RNG.normal(size=(2, 4, 6))
    expected = each(p.total, selector, value)
    np.testing.assert_allclose(give("total", [(SELECTOR, selector), (wide(6), value)], {}, wide(6)), expected)
    plain = give("total", [(SELECTOR, selector), (Type("real", BP), value[..., 0])], {}, Type("real", BP))
    np.testing.assert_allclose(plain, expected[..., 0])


def test_angles() -> None:
    a, b = RNG.normal(size=(2, 4, 6)), RNG.normal(size=(2, 4, 6))
    a[0, 0, :2] = 0
    added = give("add_angles", [(wide(6), a), (wide(6), b)], {}, wide(6))
    np.testing.assert_allclose(added, each(p.add_angles, a, b))
    np.testing.assert_allclose(give("double_angles", [(wide(6), a)], {}, wide(6)), each(p.double_angles, a))
    wider = np.concatenate([a, b], axis=-1)
    less = give("double_angles", [(wide(12), wider)], {"less": 0.5}, wide(6))
    np.testing.assert_allclose(less, each(lambda v: p.double_angles(v, less=0.5), wider))
    votes = give("votes", [(wide(6), a)], {"weights": WEIGHTS, "period": N}, wide(N))
    expected = each(lambda v: p.votes(v, dict(WEIGHTS), N), a)
    np.testing.assert_allclose(votes, expected, atol=1e-12)


DIRECTIONS: list[dict[str, Any]] = [
    {},
    {"between": [None, 30, 90]},
    {"left": [10, None, 0], "right": [None, None, 5.5]},
]


@pytest.mark.parametrize("attrs", DIRECTIONS)
def test_products_of_motions(attrs: dict[str, Any]) -> None:
    a, b = RNG.normal(size=(2, 4, 12)), RNG.normal(size=(2, 4, 12))
    found = give("compose", [(wide(12), a), (wide(12), b)], attrs, wide(12))
    np.testing.assert_allclose(found, each(lambda x, y: p.compose(x, y, **attrs), a, b), atol=1e-12)
    votes = give("motion_votes", [(wide(12), a)], {"weights": WEIGHTS, "period": N}, wide(2 * N))
    np.testing.assert_allclose(votes, each(lambda v: p.motion_votes(v, dict(WEIGHTS), N), a), atol=1e-12)


FAULTS = [
    ("wave", [CATEGORY], {"frequencies": [], "period": 5}, wide(0), "frequencies"),
    ("wave", [CATEGORY], {"frequencies": [1], "period": 0}, wide(2), "period"),
    ("wave", [CATEGORY], {"frequencies": [1, 2], "period": 5}, wide(2), "gives 4 numbers"),
    ("motion", [CATEGORY], {"frequencies": [1], "period": 5}, wide(2), "gives 4 numbers"),
    ("total", [SELECTOR, wide(4)], {}, wide(2), "gives 4 numbers"),
    ("add_angles", [wide(4), wide(2)], {}, wide(4), "needs 4 numbers"),
    ("double_angles", [wide(3)], {}, wide(3), "holds pairs"),
    ("double_angles", [wide(4)], {"less": 1}, wide(4), "needs 8 numbers"),
    ("votes", [wide(4)], {"weights": [[1, 2]], "period": 5}, wide(5), "needs 2 numbers"),
    ("votes", [wide(2)], {"weights": [[1, 2]], "period": 5}, wide(4), "gives 5 numbers"),
    ("votes", [wide(2)], {"weights": [[1, 2], [1, 3]], "period": 5}, wide(5), "weights"),
    ("motion_votes", [wide(4)], {"weights": [[1, 2]], "period": 5}, wide(5), "gives 10 numbers"),
    ("compose", [wide(6), wide(6)], {}, wide(6), "holds matrices"),
    ("compose", [wide(8), wide(8)], {"between": [3]}, wide(8), "has 1 directions"),
    ("compose", [wide(8), wide(4)], {}, wide(8), "needs 8 numbers"),
]


@pytest.mark.parametrize(("op", "sources", "attrs", "type", "says"), FAULTS)
def test_the_specification_refuses(op: str, sources: list[Type], attrs: dict[str, Any], type: Type, says: str) -> None:
    made = graph(op, sources, attrs, type)
    wrong = check_node(made["out"], made, SPECS)
    assert wrong is not None
    assert says in wrong
