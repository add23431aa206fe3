"""Component level: exact re-expressions of what networks are made of. Semantics are given next to each op.

Shapes are written with b batch, s position (query), t position (key), d d_model, h head, e d_head, v vocabulary.
"""

from __future__ import annotations

from exegesis.ir.graph import Graph, Node
from exegesis.ir.spec import OpSpec, flag, number, one_of, whole, wholes

ACTIVATIONS = (
    "relu",
    "gelu",
    "gelu_tanh",
    "silu",
    "tanh",
    "sigmoid",
    "quick_gelu",
    "softplus",
    "elu",
    "leaky_relu",
    "identity",
)


def _norm_fits(node: Node, graph: Graph) -> str | None:
    if node.attrs["kind"] == "rms" and "bias" in node.tensors:
        return "is an RMS norm with a bias"
    return None


def _same_axes(node: Node, graph: Graph) -> str | None:
    wanted = node.type.axes
    for source in node.inputs:
        got = graph[source].type.axes
        if len(got) > len(wanted):
            return f"adds {source!r} with axes {got} into axes {wanted}"
    return None


COMPONENT_OPS = (
    OpSpec(
        "component.arange",
        "0, 1, 2 … along the positions of a sequence, [b, s].",
        ("like",),
        attrs={"start?": whole},
        gives=("int", "category"),
    ),
    OpSpec(
        "component.embed",
        "Row `weight[ids]` for every id: `weight` [n, d].",
        ("ids",),
        kinds={"ids": ("category", "int")},
        tensors={"weight": 2},
    ),
    OpSpec(
        "component.constant",
        "The same vector at every position: `value`, broadcast over batch and position of `like`.",
        ("like",),
        tensors={"value": None},
    ),
    OpSpec("component.add", "The sum of named writers: a residual stream.", ("writer", "writer*"), check=_same_axes),
    OpSpec(
        "component.norm",
        "Layer norm (centred) or RMS norm over the last axis: x / sqrt(mean(x²) + eps) · weight + bias.",
        ("x",),
        attrs={"kind": one_of("layer", "rms"), "eps": number},
        tensors={"weight?": 1, "bias?": 1},
        check=_norm_fits,
    ),
    OpSpec(
        "component.heads",
        "Every head's projection of the stream: [b, s, d] → [b, h, s, e] with `weight` [h, d, e], `bias` [h, e].",
        ("x",),
        tensors={"weight": 3, "bias?": 2},
    ),
    OpSpec(
        "component.scores",
        "scale · q·k for every pair of positions: [b, h, s, e], [b, g, t, e] → [b, h, s, t]; h is a multiple of g "
        "(grouped queries).",
        ("q", "k"),
        attrs={"scale": number},
    ),
    OpSpec(
        "component.mask",
        "Replaces (or, with `add`, adds to) scores by `fill` where the key is later than the query (`causal`), or "
        "further back than `window`, or where the boolean input `keep` is false.",
        ("scores", "keep?"),
        attrs={"causal": flag, "fill": number, "add?": flag, "window?": whole},
    ),
    OpSpec("component.softmax", "Attention pattern: scores normalised over keys.", ("scores",)),
    OpSpec(
        "component.mix",
        "Values averaged by an attention pattern: [b, h, s, t], [b, g, t, e] → [b, h, s, e].",
        ("pattern", "v"),
    ),
    OpSpec(
        "component.write",
        "What heads write into the stream, summed over heads: [b, h, s, e] → [b, s, d] with `weight` [h, e, d].",
        ("z",),
        tensors={"weight": 3},
    ),
    OpSpec(
        "component.linear",
        "x @ weight + bias over the last axis: `weight` [in, out], `bias` [out].",
        ("x",),
        attrs={"role?": one_of("mlp_in", "mlp_gate", "mlp_out", "unembed", "dense")},
        tensors={"weight": 2, "bias?": 1},
    ),
    OpSpec(
        "component.activation",
        "An elementwise nonlinearity.",
        ("x",),
        attrs={"kind": one_of(*ACTIVATIONS), "slope?": number},
    ),
    OpSpec("component.gate", "Elementwise product of two streams of neurons (gated MLP).", ("a", "b")),
    OpSpec("component.scale", "x times a constant (plus a constant).", ("x",), attrs={"by": number, "plus?": number}),
    OpSpec("component.flatten", "All axes after the first as one.", ("x",)),
    OpSpec(
        "component.conv2d",
        "Two-dimensional convolution (cross-correlation): `weight` [out, in/groups, kh, kw].",
        ("x",),
        attrs={"stride": wholes, "padding": wholes, "dilation": wholes, "groups": whole},
        tensors={"weight": 4, "bias?": 1},
    ),
    OpSpec(
        "component.pool2d",
        "Maximum or mean over windows of an image.",
        ("x",),
        attrs={"kind": one_of("max", "mean"), "size": wholes, "stride": wholes, "padding": wholes},
    ),
    OpSpec(
        "component.pick",
        "The values at one index of an axis (the class token, the last position).",
        ("x",),
        attrs={"axis": whole, "at": whole},
        gives=("real", "category", "int"),
    ),
)
