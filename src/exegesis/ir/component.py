"""Component level: exact re-expressions of what networks are made of. Semantics are given next to each op.

Shapes are written with b batch, s position (query), t position (key), d d_model, h head, e d_head, v vocabulary.
"""

from __future__ import annotations

from exegesis.ir.graph import Graph, Node
from exegesis.ir.spec import OpSpec, axis_size, flag, number, one_of, whole, wholes

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


def _steps_fit(node: Node, graph: Graph) -> str | None:
    weight = graph.tensors.get(node.tensors["weight"])
    whole_numbers = weight is not None and weight.dtype.kind in "iu"
    if weight is not None and whole_numbers != ("step" in node.attrs):
        return "has a step, but a weight of reals" if "step" in node.attrs else "has a weight of integers, but no step"
    return None


def _mask_fits(node: Node, graph: Graph) -> str | None:
    mask = graph.tensors.get(node.tensors["mask"])
    if mask is not None and mask.dtype.kind != "b":
        return f"keeps by a mask of {mask.dtype}, which is no boolean one"
    axes, at = node.type.axes, node.attrs["axis"]
    if not 1 <= at < len(axes):
        return f"keeps along axis {at}, but has axes 1 to {len(axes) - 1}"
    size, kept = axis_size(axes[at], graph), None if mask is None else int(mask.sum())
    if None not in (size, kept) and size != kept:
        return f"keeps {kept} entries, but its axis {axes[at]!r} has {size}"
    return None


def _parts_fit(node: Node, graph: Graph) -> str | None:
    axes, at = node.type.axes, node.attrs["axis"]
    if not 1 <= at < len(axes):
        return f"joins along axis {at}, but has axes 1 to {len(axes) - 1}"
    for source in node.inputs:
        got = graph[source].type.axes
        if (*got[:at], *got[at + 1 :]) != (*axes[:at], *axes[at + 1 :]):
            return f"joins {source!r} with axes {got} into axes {axes}"
    sizes = [axis_size(graph[source].type.axes[at], graph) for source in node.inputs]
    known, whole_size = [s for s in sizes if s is not None], axis_size(axes[at], graph)
    if len(known) == len(sizes) and whole_size not in (None, sum(known)):
        return f"joins {sum(known)} entries, but its axis {axes[at]!r} has {whole_size}"
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
        "Row `weight[ids]` for every id: `weight` [n, d]. With `step`, the weight counts steps.",
        ("ids",),
        kinds={"ids": ("category", "int")},
        attrs={"step?": number},
        tensors={"weight": 2},
        check=_steps_fit,
    ),
    OpSpec(
        "component.constant",
        "The same vector at every position: `value`, broadcast over batch and position of `like`.",
        ("like",),
        tensors={"value": None},
    ),
    OpSpec(
        "component.add",
        "The sum of named writers: a residual stream. `state` says which recurrent state it is a step of.",
        ("writer", "writer*"),
        attrs={"state?": whole},
        check=_same_axes,
    ),
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
        "Every head's projection of the stream: [b, s, d] → [b, h, s, e] with `weight` [h, d, e], `bias` [h, e]. With "
        "`step`, the weight counts steps.",
        ("x",),
        attrs={"step?": number},
        tensors={"weight": 3, "bias?": 2},
        check=_steps_fit,
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
        "What heads write into the stream, summed over heads: [b, h, s, e] → [b, s, d] with `weight` [h, e, d]. With "
        "`step`, the weight counts steps.",
        ("z",),
        attrs={"step?": number},
        tensors={"weight": 3},
        check=_steps_fit,
    ),
    OpSpec(
        "component.linear",
        "x @ weight + bias over the last axis: `weight` [in, out], `bias` [out]. With `step`, the weight counts steps.",
        ("x",),
        attrs={"role?": one_of("mlp_in", "mlp_gate", "mlp_out", "unembed", "dense"), "step?": number},
        tensors={"weight": 2, "bias?": 1},
        check=_steps_fit,
    ),
    OpSpec(
        "component.activation",
        "An elementwise nonlinearity. `state` says which recurrent state it is a step of.",
        ("x",),
        attrs={"kind": one_of(*ACTIVATIONS), "slope?": number, "state?": whole},
    ),
    OpSpec(
        "component.gate",
        "Elementwise product of two streams of neurons (gated MLP, gates of recurrent cells). `state` says which "
        "recurrent state it is a step of.",
        ("a", "b"),
        attrs={"state?": whole},
    ),
    OpSpec("component.scale", "x times a constant (plus a constant).", ("x",), attrs={"by": number, "plus?": number}),
    OpSpec("component.flatten", "All axes after the first as one.", ("x",)),
    OpSpec(
        "component.conv2d",
        "Two-dimensional convolution (cross-correlation): `weight` [out, in/groups, kh, kw]. With `step`, the weight "
        "counts steps.",
        ("x",),
        attrs={"stride": wholes, "padding": wholes, "dilation": wholes, "groups": whole, "step?": number},
        tensors={"weight": 4, "bias?": 1},
        check=_steps_fit,
    ),
    OpSpec(
        "component.pool2d",
        "Maximum or mean over windows of an image.",
        ("x",),
        attrs={"kind": one_of("max", "mean"), "size": wholes, "stride": wholes, "padding": wholes},
    ),
    OpSpec(
        "component.keep",
        "The entries of an axis at which `mask` is true.",
        ("x",),
        attrs={"axis": whole},
        tensors={"mask": 1},
        check=_mask_fits,
    ),
    OpSpec(
        "component.join",
        "Values one after another along an axis: what parts of a layer give, together again.",
        ("part", "part*"),
        attrs={"axis": whole},
        check=_parts_fit,
    ),
    OpSpec(
        "component.pick",
        "The values at one index of an axis (the class token, the last position).",
        ("x",),
        attrs={"axis": whole, "at": whole},
        gives=("real", "category", "int"),
    ),
)
