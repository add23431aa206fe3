"""Interventions change exactly the part they name, by the amount they name, or they are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from exegesis.ir import Axis, Graph, Node, Type
from exegesis.runtime import Ablate, Executor, Intervention, InterventionError, Patch, Set, coordinates

AXES = {a.name: a for a in map(Axis, ("batch", "head", "position", "d_head"))}
NAMES = ("batch", "head", "position", "d_head")
SHAPE = (3, 2, 4, 5)
Z = Node("z", "input.array", (), Type("real", NAMES))
GRAPH = Graph((Z, Node("out", "component.scale", ("z",), Z.type, {"by": 1})), ("out",), axes=AXES)


def value(seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=SHAPE))


def after(*interventions: Intervention, x: Tensor | None = None) -> Tensor:
    """The value of z after interventions on it."""
    before = value() if x is None else x
    kept = before.clone()
    found = Executor(GRAPH).run({"z": before}, interventions=interventions)["out"]
    assert torch.equal(before, kept), "the value that was given is as it was"
    assert isinstance(found, Tensor)
    return found


def part(index: dict[str, list[int]]) -> np.ndarray:
    """Which entries an index chooses, by the definition: all of its choices hold."""
    chosen = np.ones(SHAPE, dtype=bool)
    for place in np.ndindex(*SHAPE):
        for axis, allowed in index.items():
            size = SHAPE[NAMES.index(axis)]
            chosen[place] &= place[NAMES.index(axis)] in [a % size for a in allowed]
    return chosen


INDEX = st.fixed_dictionaries(
    {},
    optional={
        n: st.lists(st.integers(-size, size - 1), min_size=1, max_size=3) for n, size in zip(NAMES, SHAPE, strict=True)
    },
)


@settings(max_examples=40)
@given(INDEX, st.sampled_from(["set", "zero", "mean", "patch"]))
def test_the_chosen_part_changes_and_nothing_else(index: dict[str, list[int]], kind: str) -> None:
    other = value(1)
    change, new = {
        "set": (Set("z", torch.tensor(7.0), index), torch.full(SHAPE, 7.0).double()),
        "zero": (Ablate("z", index=index), torch.zeros(SHAPE).double()),
        "mean": (Ablate("z", "mean", other.mean(0), index=index), other.mean(0).expand(SHAPE)),
        "patch": (Patch("z", other, index), other),
    }[kind]
    expected = torch.where(torch.from_numpy(part(index)), new, value())
    torch.testing.assert_close(after(change), expected)


def test_one_index_and_a_list_of_one_are_the_same() -> None:
    assert torch.equal(after(Ablate("z", index={"head": 1})), after(Ablate("z", index={"head": [1]})))
    assert torch.equal(after(Ablate("z", index={"position": -1})), after(Ablate("z", index={"position": 3})))


def test_a_set_value_may_have_the_shape_of_the_part() -> None:
    new = torch.arange(2.0 * 5).reshape(1, 1, 2, 5).double()
    found = after(Set("z", new, {"position": (1, 3)}))
    assert torch.equal(found[:, :, [1, 3]], new.expand(3, 2, 2, 5))
    assert torch.equal(found[:, :, [0, 2]], value()[:, :, [0, 2]])


def test_interventions_on_one_node_apply_in_order() -> None:
    found = after(
        Set("z", torch.tensor(1.0)), Ablate("z", index={"head": 0}), Set("z", torch.tensor(2.0), {"batch": 2})
    )
    assert found[0].unique().tolist() == [0, 1]
    assert found[2].unique().tolist() == [2]


def test_resampling_gives_everyone_the_value_of_another_example() -> None:
    x = torch.arange(6.0)[:, None, None, None].expand(6, 2, 4, 5)
    seen = set()
    for seed in range(8):
        found = after(Ablate("z", "resample", seed=seed), x=x)
        order = found[:, 0, 0, 0].long().tolist()
        assert sorted(order) == list(range(6))
        assert all(i != j for i, j in enumerate(order))
        assert torch.equal(found, x[order])
        assert torch.equal(found, after(Ablate("z", "resample", seed=seed), x=x))
        seen.add(tuple(order))
    assert len(seen) > 1


# Subspaces


def spanned(rows: int, seed: int = 0, width: int = 5) -> Tensor:
    """Rows that are neither orthogonal nor of unit length."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, width)) * 3)


def projector(basis: Tensor) -> np.ndarray:
    """Onto the span of the rows, by Gram–Schmidt rather than by a pseudoinverse."""
    orthonormal, _ = np.linalg.qr(basis.numpy().T)
    return orthonormal @ orthonormal.T


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("index", [{}, {"head": 1, "position": (0, 2)}])
def test_only_the_component_in_the_subspace_changes(rows: int, index: dict[str, Any]) -> None:
    basis, other, x = spanned(rows), value(1), value()
    inside = torch.from_numpy(projector(basis))
    chosen = torch.from_numpy(part({k: [v] if isinstance(v, int) else list(v) for k, v in index.items()}))
    for change, new in (
        (Ablate("z", index=index, basis=basis), torch.zeros(SHAPE).double()),
        (Patch("z", other, index, basis), other),
    ):
        expected = torch.where(chosen, x - x @ inside + new @ inside, x)
        torch.testing.assert_close(after(change), expected)


def test_a_set_value_in_a_subspace_is_its_coordinates() -> None:
    basis, wanted = spanned(2), torch.tensor([1.5, -2.0]).double()
    found = after(Set("z", wanted, basis=basis))
    torch.testing.assert_close(coordinates(found, basis), wanted.expand(3, 2, 4, 2))
    outside = torch.eye(5).double() - torch.from_numpy(projector(basis))
    torch.testing.assert_close(found @ outside, value() @ outside)


def test_coordinates_times_basis_is_the_projection() -> None:
    basis = spanned(3)
    torch.testing.assert_close(coordinates(value(), basis) @ basis, value() @ torch.from_numpy(projector(basis)))


def test_patching_the_whole_space_is_patching() -> None:
    torch.testing.assert_close(after(Patch("z", value(1), basis=spanned(5))), value(1))


# Kinds of values


def run_on(kind: Any, x: Tensor, change: Intervention) -> Tensor:
    source = Node("z", "input.array", (), Type(kind, ("batch", "position")))
    found = Executor(Graph((source,), ("z",), axes=AXES)).run({"z": x}, interventions=[change])["z"]
    assert isinstance(found, Tensor)
    return found


def test_categories_stay_integers_and_booleans_stay_booleans() -> None:
    x = torch.tensor([[1, 2], [3, 4]])
    found = run_on("category", x, Set("z", torch.tensor(9), {"position": 1}))
    assert found.tolist() == [[1, 9], [3, 9]]
    assert found.dtype == torch.int64
    flags = run_on("bool", x > 2, Ablate("z", index={"batch": 1}))
    assert flags.tolist() == [[False, False], [False, False]]
    assert flags.dtype == torch.bool


def test_the_mean_of_booleans_does_not_become_a_boolean() -> None:
    found = run_on("bool", torch.tensor([[True, False]]), Ablate("z", "mean", torch.tensor(0.25)))
    assert found.tolist() == [[0.25, 0.25]]


def test_axes_count_from_the_last_where_the_batch_is_not_named() -> None:
    source = Node("z", "input.array", (), Type("real", ("position",)))
    found = Executor(Graph((source,), ("z",), axes=AXES)).run(
        {"z": torch.ones(2, 3)}, interventions=[Ablate("z", index={"position": 0})]
    )["z"]
    assert found.tolist() == [[0, 1, 1], [0, 1, 1]]


# Refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Ablate("z", index={"head": []}), "changes nothing: it picks nothing along 'head'"),
        (Ablate("z", index={"head": 2}), "no index 2 along 'head', which has size 2"),
        (Ablate("z", index={"position": (0, -5)}), "no index -5 along 'position'"),
        (Ablate("z", index={"neuron": 0}), "of which 'neuron' is none"),
        (Set("z", torch.zeros(7)), r"shape \[7\] does not fit what it replaces in 'z', which has shape \[3, 2, 4, 5\]"),
        (Set("z", torch.zeros(4, 5), {"position": (0, 1)}), "does not fit what it replaces"),
        (Set("z", torch.zeros(3), basis=spanned(2)), r"shape \[3\] does not fit"),
        (Patch("z", torch.zeros(2, 2, 4, 5)), r"needs a value of shape \[3, 2, 4, 5\], not \[2, 2, 4, 5\]"),
        (Ablate("z", "mean"), "by mean takes a value"),
        (Ablate("z", "zero", torch.zeros(())), "by zero takes no value"),
        (Ablate("z", "resample", torch.zeros(())), "by resample takes no value"),
        (Ablate("z", "mean", torch.zeros(9)), "does not fit"),
        (Ablate("z", basis=spanned(2, width=4)), r"needs the shape \[k, 5\] with k > 0, not \[2, 4\]"),
        (Ablate("z", basis=torch.zeros(0, 5)), r"not \[0, 5\]"),
        (Ablate("z", basis=torch.zeros(5)), r"not \[5\]"),
        (Ablate("z", basis=torch.ones(2, 5)), "must not depend on each other"),
        (Ablate("z", index={"d_head": 1}, basis=spanned(2)), "cannot both choose along 'd_head'"),
    ],
)
def test_what_would_change_nothing_or_does_not_fit_is_refused(change: Intervention, message: str) -> None:
    with pytest.raises(InterventionError, match=message):
        after(change)


def test_resampling_needs_another_example() -> None:
    with pytest.raises(InterventionError, match="a batch of at least two examples"):
        after(Ablate("z", "resample"), x=value()[:1])


def test_an_empty_batch_is_nothing_to_change() -> None:
    with pytest.raises(InterventionError, match="changes nothing"):
        after(Ablate("z"), x=value()[:0])


def test_an_axis_that_stands_twice_is_no_name() -> None:
    source = Node("z", "input.array", (), Type("real", ("position", "position")))
    with pytest.raises(InterventionError, match="'position' is not one alone"):
        Executor(Graph((source,), ("z",), axes=AXES)).run(
            {"z": torch.ones(2, 2)}, interventions=[Ablate("z", index={"position": 0})]
        )


def test_integers_have_no_subspaces() -> None:
    with pytest.raises(InterventionError, match="holds category values, which have no subspaces"):
        run_on("category", torch.ones(2, 5).long(), Ablate("z", basis=spanned(1)))


def test_sizes_cannot_be_intervened_on() -> None:
    size = Node("n", "tensor.aten.sym_size.int", ("z",), Type("symint"), {"args": [{"node": 0}, 0]})
    with pytest.raises(InterventionError, match="is no tensor"):
        Executor(Graph((Z, size), ("n",), axes=AXES)).run({"z": value()}, interventions=[Set("n", torch.tensor(1))])
