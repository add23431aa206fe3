"""ONNX files against the reference evaluator of the onnx package, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import InputError
from exegesis.lift import lift
from exegesis.runtime import load

onnx = pytest.importorskip("onnx")
helper, reference = onnx.helper, pytest.importorskip("onnx.reference")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _numbers_do_not_depend_on_the_order_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.RNG", np.random.default_rng(0))


def model(
    nodes: list[Any], shape: tuple[int | str, ...], out: tuple[int | str, ...], opset: int = 18, **held: np.ndarray
) -> Any:
    """A model whose input is x and whose output is y."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, out)],
        [onnx.numpy_helper.from_array(v, k) for k, v in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def check_equal(made: Any, path: Path, *shape: int) -> set[str]:
    """Loads and lifts; both must say what the reference evaluator says. Returns the ops of the program."""
    onnx.save(made, str(path))
    network = load(path)
    x = RNG.normal(size=(3, *shape)).astype(np.float32)
    expected = reference.ReferenceEvaluator(made).run(None, {"x": x})[0]
    np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), expected, atol=1e-4, rtol=1e-4)
    lifted = lift(network.module, (torch.from_numpy(x),))
    assert lifted.certificate.worst("float32") < 1e-4
    return {n.op for n in lifted.graph.nodes}


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def test_a_convolutional_network(tmp_path: Path) -> None:
    n = helper.make_node
    nodes = [
        n("Conv", ["x", "w1", "b1"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
        n("BatchNormalization", ["a", "s", "t", "m", "v"], ["b"]),
        n("Relu", ["b"], ["c"]),
        n("Conv", ["c", "w2"], ["d"], kernel_shape=[3, 3], group=2, auto_pad="SAME_UPPER"),
        n("LeakyRelu", ["d"], ["e"], alpha=0.2),
        n("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]),
        n("Flatten", ["f"], ["g"]),
        n("Gemm", ["g", "w3", "b3"], ["h"], transB=1),
        n("Softmax", ["h"], ["y"], axis=-1),
    ]
    held = {
        "w1": numbers(4, 2, 3, 3),
        "b1": numbers(4),
        "w2": numbers(6, 2, 3, 3),
        "w3": numbers(3, 24),
        "b3": numbers(3),
    }
    held |= {"s": numbers(4), "t": numbers(4), "m": numbers(4), "v": np.abs(numbers(4)) + 0.5}
    ops = check_equal(model(nodes, ("n", 2, 8, 8), ("n", 3), **held), tmp_path / "net.onnx", 2, 8, 8)
    assert {"component.conv2d", "component.pool2d", "component.linear", "component.activation"} <= ops
    assert not any("batch_norm" in op for op in ops)


def test_a_dense_network_with_everything_elementwise(tmp_path: Path) -> None:
    n = helper.make_node
    nodes = [
        n("MatMul", ["x", "w1"], ["a"]),
        n("Add", ["a", "b1"], ["b"]),
        n("Gelu", ["b"], ["c"], approximate="tanh"),
        n("LayerNormalization", ["c", "s", "t"], ["d"]),
        n("Constant", [], ["two"], value=onnx.numpy_helper.from_array(np.array(2.0, np.float32))),
        n("Mul", ["d", "two"], ["e"]),
        n("Clip", ["e", "zero"], ["f"]),
        n("Unsqueeze", ["f", "axes"], ["g"]),
        n("ReduceMean", ["g", "axes"], ["h"], keepdims=0),
        n("Reshape", ["h", "sizes"], ["i"]),
        n("Tanh", ["i"], ["j"]),
        n("Concat", ["i", "j"], ["k"], axis=1),
        n("Gemm", ["k", "w2"], ["y"], alpha=0.5),
    ]
    held = {"w1": numbers(5, 6), "b1": numbers(6), "s": numbers(6), "t": numbers(6), "w2": numbers(12, 3)}
    held |= {"zero": np.array(0, np.float32), "axes": np.array([1]), "sizes": np.array([0, -1])}
    made = model(nodes, ("n", 5), ("n", 3), opset=20, **held)
    ops = check_equal(made, tmp_path / "net.onnx", 5)
    assert {"component.linear", "component.norm", "component.activation"} <= ops


def test_uneven_padding_and_pooling(tmp_path: Path) -> None:
    n = helper.make_node
    nodes = [
        n("Conv", ["x", "w"], ["a"], kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
        n("AveragePool", ["a"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], count_include_pad=1),
        n("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
        n("GlobalAveragePool", ["c"], ["d"]),
        n("Squeeze", ["d", "axes"], ["y"]),
    ]
    made = model(nodes, ("n", 1, 6, 6), ("n", 3), w=numbers(3, 1, 2, 2), axes=np.array([2, 3]))
    check_equal(made, tmp_path / "net.onnx", 1, 6, 6)


def test_a_maximum_over_uneven_padding_is_that_of_the_image(tmp_path: Path) -> None:
    """By hand: the reference evaluator gives such pictures the wrong size."""
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    onnx.save(model([node], ("n", 1, 6, 6), ("n", 1, 6, 6)), str(tmp_path / "net.onnx"))
    x = -np.abs(numbers(2, 1, 6, 6))
    padded = np.pad(x, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=-np.inf)
    expected = np.maximum.reduce([padded[..., i : i + 6, j : j + 6] for i in (0, 1) for j in (0, 1)])
    found = load(tmp_path / "net.onnx")(torch.from_numpy(x)).numpy()
    assert (found == expected).all()


def recurrent(kind: str, ways: int, *, start: bool = False, **attrs: object) -> tuple[list[Any], dict[str, np.ndarray]]:
    """A recurrent operator over rows of the input, whose last state and first of all states decide."""
    n, gates = helper.make_node, {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    held = {"w": numbers(ways, gates * 4, 3), "r": numbers(ways, gates * 4, 4), "b": numbers(ways, gates * 8)}
    held |= {"v": numbers(ways * 4, 2), "axis": np.array([0])}
    held |= {"wide": np.array([-1, ways * 4])} | ({"h": np.zeros((ways, 1, 4), np.float32)} if start else {})
    given = ["s", "w", "r", "b", *(["", "h"] if start else [])]
    nodes = [
        n("Transpose", ["x"], ["s"], perm=[1, 0, 2]),
        n(kind, given, ["all", "last"], hidden_size=4, **attrs),
        n("Transpose", ["last"], ["t"], perm=[1, 0, 2]),
        n("Reshape", ["t", "wide"], ["u"]),
        n("MatMul", ["u", "v"], ["m"]),
        n("Gather", ["all", "axis"], ["first"], axis=0),
        n("Squeeze", ["first", "axis"], ["f"]),
        n("Transpose", ["f"], ["g"], perm=[1, 0, 2]),
        n("Reshape", ["g", "wide"], ["k"]),
        n("MatMul", ["k", "v"], ["o"]),
        n("Add", ["m", "o"], ["y"]),
    ]
    return nodes, held


@pytest.mark.parametrize(
    ("kind", "ways", "attrs"),
    [
        ("RNN", 1, {}),
        ("GRU", 1, {"linear_before_reset": 1}),
        ("GRU", 1, {"linear_before_reset": 1, "start": True}),
        ("LSTM", 1, {}),
    ],
)
def test_recurrent_operators(kind: str, ways: int, attrs: dict[str, Any], tmp_path: Path) -> None:
    nodes, held = recurrent(kind, ways, **attrs)
    made = model(nodes, ("n", 5, 3), ("n", 2), **held)
    if attrs.get("start"):  # the evaluator wants a start for every input
        plain, _ = recurrent(kind, ways, linear_before_reset=1)
        same = {k: v for k, v in held.items() if k != "h"}
        onnx.save(made, str(tmp_path / "start.onnx"))
        x = torch.from_numpy(numbers(3, 5, 3))
        expected = reference.ReferenceEvaluator(model(plain, ("n", 5, 3), ("n", 2), **same)).run(None, {"x": x.numpy()})
        np.testing.assert_allclose(load(tmp_path / "start.onnx")(x).numpy(), expected[0], atol=1e-4, rtol=1e-4)
        return
    ops = check_equal(made, tmp_path / "net.onnx", 5, 3)
    assert "component.linear" in ops
    assert not any(f".{kind.lower()}" in op for op in ops)


@pytest.mark.parametrize(("kind", "layer"), [("GRU", torch.nn.GRU), ("LSTM", torch.nn.LSTM), ("RNN", torch.nn.RNN)])
def test_both_directions_against_torchs_layers(kind: str, layer: Any, tmp_path: Path) -> None:
    """The evaluator of the onnx package reads in one direction alone."""
    torch.manual_seed(0)
    theirs = layer(3, 4, batch_first=True, bidirectional=True)
    order = {"GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2], "RNN": [0]}[kind]

    def held(name: str) -> np.ndarray:
        ways = [getattr(theirs, name + back).detach().chunk(len(order)) for back in ("", "_reverse")]
        return np.stack([torch.cat([gates[i] for i in order]).numpy() for gates in ways])

    nodes, given = recurrent(
        kind, 2, direction="bidirectional", **({"linear_before_reset": 1} if kind == "GRU" else {})
    )
    given |= {"w": held("weight_ih_l0"), "r": held("weight_hh_l0")}
    given["b"] = np.concatenate([held("bias_ih_l0"), held("bias_hh_l0")], 1)
    onnx.save(model(nodes, ("n", 5, 3), ("n", 2), **given), str(tmp_path / "net.onnx"))
    network, x = load(tmp_path / "net.onnx"), torch.from_numpy(numbers(3, 5, 3))
    with torch.no_grad():
        states, last = theirs(x)
        last = last[0] if isinstance(last, tuple) else last
        both = torch.cat([last[0], last[1]], -1) + states[:, 0]
    np.testing.assert_allclose(network(x).numpy(), (both @ torch.from_numpy(given["v"])).numpy(), atol=1e-5)
    assert lift(network.module, (x,)).certificate.worst("float32") < 1e-4


@pytest.mark.parametrize(
    ("kind", "attrs", "why"),
    [
        ("GRU", {}, "linear_before_reset=0"),
        ("LSTM", {"clip": 3.0}, "clipped or coupled gates"),
        ("RNN", {"activations": ["Softsign"]}, "activations Softsign"),
    ],
)
def test_recurrent_operators_that_torch_has_no_layer_for(
    kind: str, attrs: dict[str, Any], why: str, tmp_path: Path
) -> None:
    nodes, held = recurrent(kind, 1, **attrs)
    onnx.save(model(nodes, ("n", 5, 3), ("n", 2), **held), str(tmp_path / "net.onnx"))
    with pytest.raises(InputError, match=why) as error:
        load(tmp_path / "net.onnx")(torch.zeros(1, 5, 3))
    assert str(error.value).count("\n") == 0


def test_refusals_are_one_clear_sentence(tmp_path: Path) -> None:
    path, n = tmp_path / "net.onnx", helper.make_node

    def refused(made: Any, message: str) -> None:
        onnx.save(made, str(path))
        with pytest.raises(InputError, match=message):
            load(path)

    with pytest.raises(InputError, match="There is no file"):
        load(tmp_path / "none.onnx")
    refused(
        model([n("Hardmax", ["x"], ["y"])], ("n", 3), ("n", 3)), "uses the operator Hardmax, which is not supported"
    )
    refused(model([n("Relu", ["x"], ["y"])], ("n", 3), ("n", 3), opset=11), "uses opset 11; opset 13 or later")
    nan = np.full((3, 3), np.nan, np.float32)
    refused(model([n("MatMul", ["x", "w"], ["y"])], ("n", 3), ("n", 3), w=nan), "NaN or infinite")
    two = model([n("Relu", ["x"], ["y"])], ("n", 3), ("n", 3))
    two.graph.input.append(helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ("n", 3)))
    refused(two, "has 2 inputs and 1 outputs")
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="no ONNX model that can be read"):
        load(path)
    training = model(
        [n("BatchNormalization", ["x", "s", "s", "s", "s"], ["y"], training_mode=1)], ("n", 3), ("n", 3), s=numbers(3)
    )
    training.graph.node[0].output.extend(["m", "v"])
    onnx.save(training, str(path))
    with pytest.raises(InputError, match="is in training mode"):
        load(path)(torch.ones(2, 3))


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'exegesis\[onnx\]'"):
        load(path)
