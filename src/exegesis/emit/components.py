"""Component operations as expressions: what stays opaque is still code that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exegesis.emit.code import Code, Term, call, chain, index, linear, list_of, literal, method, tuple_of
from exegesis.emit.symbolic import Build, Scene, tensor
from exegesis.ir import GraphError, Node


def _tensors(node: Node, *roles: str) -> dict[str, Code]:
    return {role: tensor(node, role) for role in roles if role in node.tensors}


def _text(value: str) -> Code:
    return Code(f'"{value}"')


def _pair(values: Sequence[int]) -> Code:
    return tuple_of(literal(v) for v in values)


def _plain(function: str, *roles: str) -> Build:
    """A call whose arguments are the inputs and then the tensors of these roles."""

    def build(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
        return call(function, *inputs, *_tensors(node, *roles).values())

    return build


def _arange(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    counted = call("np.arange", call("len", inputs[0]))
    return linear([Term(1, counted)], node.attrs.get("start", 0))


def _constant(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """The batch axis is gone here, so a value with as many axes as are left is written as it is."""
    value = scene.graph.tensors[node.tensors["value"]]
    if len(node.type.axes) - 1 <= value.ndim:
        return tensor(node, "value")
    return call("constant", inputs[0], tensor(node, "value"))


def _add(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return chain("+", inputs)


def _norm(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    kind, eps = _text(node.attrs["kind"]), literal(node.attrs["eps"])
    return call("norm", inputs[0], kind=kind, eps=eps, **_tensors(node, "weight", "bias"))


def _scores(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return call("scores", *inputs, scale=literal(node.attrs["scale"]))


def _mask(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    causal = Code(str(node.attrs["causal"]))
    extra = {"add": Code("True")} if node.attrs.get("add") else {}
    if node.attrs.get("window") is not None:
        extra["window"] = literal(node.attrs["window"])
    return call("mask", *inputs, causal=causal, fill=literal(node.attrs["fill"]), **extra)


def _activation(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    slope = {"slope": literal(node.attrs["slope"])} if "slope" in node.attrs else {}
    return call("activation", inputs[0], _text(node.attrs["kind"]), **slope)


def _gate(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return chain("*", inputs)


def _scale(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return linear([Term(node.attrs["by"], inputs[0])], node.attrs.get("plus", 0))


def _flatten(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    return method(inputs[0], "ravel")


def _weight(node: Node) -> Code:
    """The weight of a map: one of integers counts steps."""
    weight = tensor(node, "weight")
    return linear([Term(node.attrs["step"], weight)], 0) if "step" in node.attrs else weight


def _weighted(function: str) -> Build:
    """A call with a weight, which may count steps, and a bias where there is one."""

    def build(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
        return call(function, inputs[0], _weight(node), *_tensors(node, "bias").values())

    return build


def _conv2d(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    plain = {"stride": 1, "padding": 0, "dilation": 1}
    changed = {k: _pair(node.attrs[k]) for k, usual in plain.items() if any(v != usual for v in node.attrs[k])}
    groups = {"groups": literal(node.attrs["groups"])} if node.attrs["groups"] != 1 else {}
    return call("conv2d", inputs[0], _weight(node), *_tensors(node, "bias").values(), **changed, **groups)


def _pool2d(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    padding = {"padding": _pair(node.attrs["padding"])} if any(node.attrs["padding"]) else {}
    size, stride = _pair(node.attrs["size"]), _pair(node.attrs["stride"])
    return call("pool2d", inputs[0], kind=_text(node.attrs["kind"]), size=size, stride=stride, **padding)


def _keep(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """Axis 0 of the graph is the batch, which programs do not have."""
    mask = tensor(node, "mask")
    return index(inputs[0], ", ".join([":"] * (node.attrs["axis"] - 1) + [mask.text]), mask.uses)


def _join(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """Axis 0 of the graph is the batch, which programs do not have."""
    axis = node.attrs["axis"] - 1
    return call("np.concatenate", list_of(inputs), **({"axis": literal(axis)} if axis else {}))


def _pick(scene: Scene, node: Node, inputs: Sequence[Code]) -> Code:
    """Axis 0 of the graph is the batch, which programs do not have."""
    axis, at = node.attrs["axis"], node.attrs["at"]
    rank = len(scene.source(node).type.axes)
    axis = axis + rank if axis < 0 else axis
    if axis == 0:
        raise GraphError(f"Node {node.id!r} picks one input of a batch, which no program can say.")
    return index(inputs[0], ", ".join([":"] * (axis - 1) + [str(at)]))


_OPS: Mapping[str, Callable[[Scene, Node, Sequence[Code]], Code]] = {
    "arange": _arange,
    "embed": _weighted("embed"),
    "constant": _constant,
    "add": _add,
    "norm": _norm,
    "heads": _weighted("heads"),
    "scores": _scores,
    "mask": _mask,
    "softmax": _plain("softmax"),
    "mix": _plain("mix"),
    "write": _weighted("write"),
    "linear": _weighted("linear"),
    "activation": _activation,
    "gate": _gate,
    "scale": _scale,
    "flatten": _flatten,
    "conv2d": _conv2d,
    "pool2d": _pool2d,
    "keep": _keep,
    "join": _join,
    "pick": _pick,
}
COMPONENT: Mapping[str, Build] = {f"component.{name}": build for name, build in _OPS.items()}
