"""The component level in torch, against torch's own modules and against sums written out."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exegesis import primitives
from exegesis.ir import Axis, Graph, GraphError, Node, Type
from exegesis.ir.component import ACTIVATIONS
from exegesis.ir.levels import SPECS
from exegesis.ir.spec import check_node
from exegesis.runtime import Executor
from exegesis.runtime.ops_component import COMPONENT

AXES = {name: Axis(name) for name in "bshgtevdxyc"}
B, S, D, H, E = 2, 5, 6, 4, 3


def give(
    op: str, inputs: list[Tensor], axes: str, attrs: dict[str, Any] | None = None, *, kinds: str = "", **tensors: Tensor
) -> Tensor:
    """Runs one op; `axes` are those of the result, `kinds` says which inputs are (i)ntegers or (b)ooleans."""
    names = {"i": "int", "b": "bool", "r": "real"}
    types = [Type(names[k], tuple("bshtev"[: x.ndim])) for x, k in zip(inputs, kinds or "r" * len(inputs), strict=True)]  # type: ignore[arg-type]
    sources = [Node(f"in{i}", "input.array", (), t) for i, t in enumerate(types)]
    kind = "int" if op == "arange" else "real"
    roles = {role: role for role in tensors}
    node = Node("out", f"component.{op}", tuple(n.id for n in sources), Type(kind, tuple(axes)), attrs or {}, roles)  # type: ignore[arg-type]
    graph = Graph((*sources, node), ("out",), {k: v.numpy() for k, v in tensors.items()}, AXES)
    assert check_node(node, graph, SPECS) is None
    values = {n.id: x for n, x in zip(sources, inputs, strict=True)}
    result = Executor(graph).run(values)["out"]
    assert isinstance(result, Tensor)
    # The meta device computes shapes alone, and refuses to mix with tensors that an op left on another device.
    elsewhere = Executor(graph, "meta").run(values)["out"]
    assert (elsewhere.device.type, elsewhere.shape) == ("meta", result.shape)
    return result


def same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=1e-5, atol=1e-6)


def test_every_op_of_the_language_has_its_function() -> None:
    assert set(COMPONENT) == {op for op in SPECS if op.startswith("component.")}


@pytest.mark.parametrize("axis", [1, 2])
def test_join_puts_values_one_after_another(axis: int) -> None:
    first, second = torch.randn(B, S, D), torch.randn(B, *((S + 1, D) if axis == 1 else (S, D + 2)))
    found = give("join", [first, second], "bsh", {"axis": axis})
    assert found.shape == (B, 2 * S + 1, D) if axis == 1 else (B, S, 2 * D + 2)
    same(found.select(axis, 0), first.select(axis, 0))
    same(found.select(axis, -1), second.select(axis, -1))


def test_arange_counts_positions() -> None:
    found = give("arange", [torch.zeros(B, S, D)], "bs", {"start": 2})
    assert found.tolist() == [[2, 3, 4, 5, 6]] * B


def test_embed_gives_zeros_for_none() -> None:
    weight = torch.randn(4, D)
    found = give("embed", [torch.tensor([[0, 3, -1]])], "bsd", kinds="i", weight=weight)
    same(found, torch.stack([weight[0], weight[3], torch.zeros(D)])[None])


@pytest.mark.parametrize(
    ("like", "axes", "shape"), [((B, S, D), "bsd", (B, S, D)), ((B, 7), "bd", (B, D)), ((B, S), "bshe", None)]
)
def test_a_constant_stands_at_every_position(like: tuple[int, ...], axes: str, shape: tuple[int, ...] | None) -> None:
    value = torch.randn(D) if shape else torch.randn(H, E)
    found = give("constant", [torch.zeros(like)], axes, value=value)
    same(found, value.expand(shape or (B, S, H, E)))


def test_add_sums_writers_of_fewer_axes_too() -> None:
    a, b, c = torch.randn(B, S, D), torch.randn(S, D), torch.randn(D)
    same(give("add", [a, b, c], "bsd"), a + b + c)
    same(give("add", [a], "bsd"), a)


@pytest.mark.parametrize("affine", [True, False])
def test_norms(affine: bool) -> None:
    x = torch.randn(B, S, D) * 3 + 1
    layer, rms = nn.LayerNorm(D, eps=0.1), nn.RMSNorm(D, eps=0.1)
    with torch.no_grad():
        for p in (*layer.parameters(), *rms.parameters()):
            p.copy_(torch.randn(D) if affine else (torch.ones(D) if p is not layer.bias else torch.zeros(D)))
        weights = {"weight": layer.weight.detach(), "bias": layer.bias.detach()} if affine else {}
        same(give("norm", [x], "bsd", {"kind": "layer", "eps": 0.1}, **weights), layer(x))
        weights = {"weight": rms.weight.detach()} if affine else {}
        same(give("norm", [x], "bsd", {"kind": "rms", "eps": 0.1}, **weights), rms(x))


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_in_parts_is_torchs_attention(groups: int, causal: bool) -> None:
    x = torch.randn(B, S, D)
    W_Q, b_Q = torch.randn(H, D, E), torch.randn(H, E)
    W_K, W_V = torch.randn(groups, D, E), torch.randn(groups, D, E)
    W_O = torch.randn(H, E, D)
    q = give("heads", [x], "bhse", weight=W_Q, bias=b_Q)
    k, v = (give("heads", [x], "bgse", weight=w) for w in (W_K, W_V))
    for h in range(H):
        same(q[:, h], x @ W_Q[h] + b_Q[h])
    scores = give("scores", [q, k], "bhst", {"scale": E**-0.5})
    masked = give("mask", [scores], "bhst", {"causal": causal, "fill": -1e30})
    z = give("mix", [give("softmax", [masked], "bhst"), v], "bhse")
    spread = (t.repeat_interleave(H // groups, 1) for t in (k, v))
    same(z, F.scaled_dot_product_attention(q, *spread, is_causal=causal))
    written = give("write", [z], "bsd", weight=W_O)
    same(written, sum((z[:, h] @ W_O[h] for h in range(H)), torch.zeros(B, S, D)))


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("adds", [True, False])
def test_masks_by_window_and_by_what_to_keep(rank: int, adds: bool) -> None:
    scores = torch.randn(B, H, S, S)
    keep = torch.rand((B, S) if rank == 2 else (B, S, S) if rank == 3 else (B, 1, 1, S)) > 0.4
    attrs = {"causal": True, "fill": -7.0, "window": 2, "add": adds}
    found = give("mask", [scores, keep], "bhst", attrs, kinds="rb")
    for b in range(B):
        for h in range(H):
            for q in range(S):
                for k in range(S):
                    kept = keep[b, k] if rank == 2 else keep[b, q, k] if rank == 3 else keep[b, 0, 0, k]
                    hidden = k > q or q - k > 2 or not kept
                    expected = (scores[b, h, q, k] + -7 if adds else -7.0) if hidden else scores[b, h, q, k]
                    assert found[b, h, q, k] == expected


def test_linear_layers() -> None:
    x, layer = torch.randn(B, S, D), nn.Linear(D, 7)
    weight, bias = layer.weight.detach().T.contiguous(), layer.bias.detach()
    same(give("linear", [x], "bsv", {"role": "unembed"}, weight=weight, bias=bias), layer(x).detach())
    same(give("linear", [x], "bsv", weight=weight), (layer(x) - layer.bias).detach())


def test_weights_that_count_steps() -> None:
    """Every op whose weight may be of integers, against itself with the weight of reals."""
    counts = {n: torch.randint(-90, 90, shape, dtype=torch.int8) for n, shape in SHAPES.items()}
    inputs = {
        "embed": (torch.tensor([[0, 3, -1]]), "bsd", "i"),
        "heads": (torch.randn(B, S, D), "bhse", "r"),
        "write": (torch.randn(B, H, S, E), "bsd", "r"),
        "linear": (torch.randn(B, S, D), "bsv", "r"),
    }
    for op, (x, axes, kinds) in inputs.items():
        found = give(op, [x], axes, {"step": 0.25}, kinds=kinds, weight=counts[op])
        same(found, give(op, [x], axes, kinds=kinds, weight=0.25 * counts[op]))
        assert found.abs().max() > 1


SHAPES = {"embed": (4, D), "heads": (H, D, E), "write": (H, E, D), "linear": (D, 7)}

REFERENCES = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "gelu": lambda x: np.array([v / 2 * (1 + torch.erf(torch.tensor(v / 2**0.5)).item()) for v in x]),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_against_their_formulas_and_the_primitives(kind: str) -> None:
    x = torch.linspace(-4, 4, 33)
    found = give("activation", [x], "b", {"kind": kind})
    same(found, torch.from_numpy(np.asarray(REFERENCES[kind](x.double().numpy()))))
    same(found, torch.from_numpy(primitives.activation(x.double().numpy(), kind)))


def test_slopes() -> None:
    x = torch.linspace(-4, 4, 33)
    same(give("activation", [x], "b", {"kind": "leaky_relu", "slope": 0.3}), F.leaky_relu(x, 0.3))
    same(give("activation", [x], "b", {"kind": "elu", "slope": 0.3}), F.elu(x, 0.3))


def test_gate_scale_flatten_and_pick() -> None:
    a, b = torch.randn(B, S, D), torch.randn(B, S, D)
    same(give("gate", [a, b], "bsd"), a * b)
    same(give("scale", [a], "bsd", {"by": -2, "plus": 0.5}), 0.5 - 2 * a)
    same(give("scale", [a], "bsd", {"by": 3}), 3 * a)
    same(give("flatten", [a], "bv"), a.reshape(B, S * D))
    same(give("pick", [a], "bd", {"axis": 1, "at": -1}), a[:, -1])


def test_convolutions_and_pools() -> None:
    x = torch.randn(B, 4, 9, 8)
    conv = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
    attrs = {"stride": [2, 1], "padding": [1, 0], "dilation": [1, 2], "groups": 2}
    same(give("conv2d", [x], "bcyx", attrs, weight=conv.weight.detach(), bias=conv.bias.detach()), conv(x).detach())  # type: ignore[union-attr]
    window = {"size": [3, 2], "stride": [2, 2], "padding": [1, 0]}
    same(give("pool2d", [x], "bcyx", {"kind": "max", **window}), nn.MaxPool2d((3, 2), 2, (1, 0))(x))
    same(give("pool2d", [x], "bcyx", {"kind": "mean", **window}), nn.AvgPool2d((3, 2), 2, (1, 0))(x))


def test_shapes_that_do_not_fit_are_said_with_the_node() -> None:
    with pytest.raises(
        GraphError, match=r"'out' cannot be computed from shapes \(\[2, 5, 6\]\)(.|\n)*component.linear"
    ):
        give("linear", [torch.randn(B, S, D)], "bsv", weight=torch.randn(D + 1, 2))
    with pytest.raises(GraphError, match="cannot be computed"):
        give("embed", [torch.tensor([[4]])], "bsd", kinds="i", weight=torch.randn(4, D))
