"""The tensor level: operators of torch by name, and what a program from a file may not do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import Axis, Graph, GraphError, Node, Type
from exegesis.runtime import Executor

ROWS = Type("real", ("batch", "=3"))
AXES = {"batch": Axis("batch")}


def graph(op: str, *args: Any, inputs: int = 1, index: int | None = None, kind: Any = "real", **kwargs: Any) -> Graph:
    sources = tuple(Node(f"x{i}", "input.array", (), ROWS) for i in range(inputs))
    attrs: dict[str, Any] = {"args": list(args), "kwargs": kwargs}
    attrs |= {} if index is None else {"index": index}
    node = Node("out", f"tensor.{op}", tuple(n.id for n in sources), Type(kind, ("batch", "=3")), attrs)
    return Graph((*sources, node), ("out",), axes=AXES)


def give(made: Graph, *inputs: torch.Tensor, dtype: torch.dtype | None = None) -> Any:
    return Executor(made, dtype=dtype).run({f"x{i}": x for i, x in enumerate(inputs)})["out"]


X = torch.tensor([[3.0, 1, 2], [-1, 0, 5]])
INPUT = {"node": 0}


def test_operators_by_name_and_overload() -> None:
    assert torch.equal(give(graph("aten.relu.default", INPUT), X), X.relu())
    assert torch.equal(give(graph("aten.add.Tensor", INPUT, {"node": 1}, inputs=2, alpha=2), X, X), 3 * X)
    assert torch.equal(give(graph("aten.cat.default", [INPUT, INPUT], -1), X), torch.cat([X, X], -1))


def test_without_args_the_inputs_are_the_arguments() -> None:
    node = Node("out", "tensor.aten.mul.Tensor", ("x", "x"), ROWS)
    made = Graph((Node("x", "input.array", (), ROWS), node), ("out",), axes=AXES)
    assert torch.equal(Executor(made).run({"x": X})["out"], X * X)


def test_one_of_several_results() -> None:
    assert torch.equal(give(graph("aten.sort.default", INPUT, index=1, kind="int"), X), X.sort().indices)
    values = give(graph("aten.sort.default", INPUT, kind="tuple"), X)
    assert torch.equal(values[0], X.sort().values)


def test_sizes_and_builtins() -> None:
    size = Node("n", "tensor.aten.sym_size.int", ("x",), Type("symint"), {"args": [INPUT, 1]})
    more = Node("m", "tensor.builtin.add", ("n",), Type("symint"), {"args": [INPUT, 2]})
    full = Node("out", "tensor.aten.full.default", ("m",), Type("real"), {"args": [[INPUT], 1.5]})
    made = Graph((Node("x", "input.array", (), ROWS), size, more, full), ("out", "m"), axes=AXES)
    found = Executor(made).run({"x": X})
    assert found["m"] == 5
    assert torch.equal(found["out"], torch.full((5,), 1.5))


def test_getitem_takes_one_of_a_tuple() -> None:
    split = Node("s", "tensor.aten.split.Tensor", ("x",), Type("tuple"), {"args": [INPUT, 1, -1]})
    item = Node("out", "tensor.builtin.getitem", ("s",), ROWS, {"args": [INPUT, 2]})
    made = Graph((Node("x", "input.array", (), ROWS), split, item), ("out",), axes=AXES)
    assert torch.equal(Executor(made).run({"x": X})["out"], X[:, 2:])


def test_constants_are_tensors_of_the_graph() -> None:
    node = Node("out", "tensor.constant", (), ROWS, tensors={"value": "t"})
    made = Graph((node,), ("out",), {"t": np.arange(3.0)}, AXES)
    assert Executor(made).run({})["out"].tolist() == [0, 1, 2]


def test_dtypes_in_arguments_follow_the_executor() -> None:
    made = graph("aten._to_copy.default", INPUT, dtype={"dtype": "float32"})
    assert give(made, X.double()).dtype == torch.float32
    assert give(made, X.double(), dtype=torch.float64).dtype == torch.float64
    integers = graph("aten._to_copy.default", INPUT, dtype={"dtype": "int64"}, kind="int")
    assert give(integers, X, dtype=torch.float64).dtype == torch.int64


def test_devices_in_arguments_are_where_the_program_runs() -> None:
    made = graph("aten.arange.default", 3, inputs=0, kind="int", device={"device": "cuda:3"}, pin_memory=False)
    assert give(made).device == torch.device("cpu")


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("aten.no_such_thing.default", "which this version of torch does not have"),
        ("aten.add.NoOverload", "which this version of torch does not have"),
        ("aten.add_.Tensor", "is no pure operator"),
        ("aten.copy_.default", "is no pure operator"),
        ("aten.add.out", "is no pure operator"),
        ("aten.from_file.default", "is no pure operator"),
        ("aten.name.default", "which this version of torch does not have"),
        ("builtin.eval", "which is no builtin that a program may use"),
        ("builtin.__import__", "which is no builtin that a program may use"),
        ("builtin.open", "which is no builtin that a program may use"),
    ],
)
def test_what_a_program_may_not_call(op: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        give(graph(op, INPUT), X)


def test_a_program_cannot_touch_files(tmp_path: Path) -> None:
    target = tmp_path / "created"
    made = graph("aten.from_file.default", str(target), True, 4, inputs=0)
    with pytest.raises(GraphError, match="is no pure operator"):
        give(made)
    assert not target.exists()


def test_an_unknown_object_of_torch_is_refused() -> None:
    with pytest.raises(GraphError, match="'nn' is no dtype of torch"):
        give(graph("aten._to_copy.default", INPUT, dtype={"dtype": "nn"}), X)


def test_an_operator_that_fails_is_named_with_its_node() -> None:
    with pytest.raises(GraphError, match=r"'out' cannot be computed from shapes \(\[2, 3\], \[2, 2\]\)(.|\n)*aten.add"):
        give(graph("aten.add.Tensor", INPUT, {"node": 1}, inputs=2), X, X[:, :2])
    with pytest.raises(GraphError, match="cannot be computed"):
        give(graph("aten.relu.default", {"node": 3}), X)
