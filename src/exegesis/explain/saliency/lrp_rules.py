"""How relevance goes back through one op of the language: what each input of it gets of what its value has.

Four kinds cover every op that has a rule:

- *affine* ops (linear maps, convolutions, means, sums, attention by a fixed pattern, norms with a fixed scale): input i
  gets x_i · Jᵀ(R / z), constants get their share;
- *one-to-one* ops (activations, scaling by a constant): relevance passes as it is;
- *choices* (maxima): relevance goes where the value came from;
- *products* of two values: each gets half (Achtibat et al. 2024, arXiv 2402.05602).

Attention patterns and the spread in a norm are held fixed (Ali et al. 2022, arXiv 2202.07304): no relevance goes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from exegesis.explain.saliency.method import UndefinedMethodError
from exegesis.ir import Graph, Node
from exegesis.runtime import Executor

Compute = Callable[..., Tensor]

AFFINE = frozenset(
    f"component.{name}" for name in ("linear", "conv2d", "heads", "write", "add", "flatten", "pick", "constant")
)
_MOVES = (
    "view", "reshape", "_unsafe_view", "permute", "transpose", "t", "squeeze", "unsqueeze", "flatten", "unflatten",
    "expand", "slice", "select", "cat", "stack", "clone", "contiguous", "detach", "alias", "constant_pad_nd", "pad",
    "index_select", "narrow", "roll", "flip", "movedim", "dropout",
)  # fmt: skip
_SUMS = (
    "sum", "mean", "avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "linear", "addmm", "mm", "convolution",
    "conv2d", "conv1d", "upsample_nearest2d", "upsample_bilinear2d", "add", "sub", "neg",
    "batch_norm",
)  # fmt: skip
_ATEN_AFFINE = frozenset((*_MOVES, *_SUMS))
_ATEN_ONE_TO_ONE = frozenset((
    "relu", "relu_", "gelu", "silu", "tanh", "sigmoid", "leaky_relu", "elu", "softplus", "hardtanh", "relu6", "clamp",
    "clamp_min", "_native_batch_norm_legit_no_training", "native_batch_norm",
))  # fmt: skip
_ATEN_BY_CONSTANT = frozenset(("mul", "div"))
_ATEN_CHOICE = frozenset(("max_pool2d", "max_pool2d_with_indices", "amax"))
_ATEN_PRODUCT = frozenset(("mul", "matmul", "bmm"))


@dataclass(frozen=True, eq=False)
class Ledger:
    """Where relevance went.

    Args:
        inputs: at the inputs, [n, ...], or [n, s] at tokens.
        absorbed: at constants: biases, positions, what keeps sums from zero, [n].
        total: the explained number, [n].
    """

    inputs: Tensor
    absorbed: Tensor
    total: Tensor


@dataclass(eq=False)
class _Walk:
    """One way back through a program."""

    executor: Executor
    known: Mapping[str, Any]
    epsilon: float
    gamma: float
    varies: frozenset[str]
    absorbed: Tensor

    @property
    def graph(self) -> Graph:
        return self.executor.graph


def relevance_of_inputs(
    executor: Executor, known: Mapping[str, Any], seed: Tensor, total: Tensor, epsilon: float, gamma: float
) -> Ledger:
    """Send relevance from a program's first output back to its input.

    Args:
        executor: the program.
        known: the value of every node that the output needs.
        seed: relevance at the output, in its shape.
        total: the explained number, [n].
        epsilon: what keeps a sum from zero, relative to the mean size of the values it stands among.
        gamma: how much positive weights are favoured; 0 for not.

    Raises:
        UndefinedMethodError: an op without a rule (which one, and where).
    """
    graph = executor.graph
    source = _source(graph)
    varies = graph.downstream([source]) | {source}
    if graph.outputs[0] not in varies:
        raise UndefinedMethodError("The program's output does not depend on its input.")
    walk = _Walk(executor, known, epsilon, gamma, frozenset(varies), torch.zeros_like(total))
    relevance: dict[str, Tensor] = {graph.outputs[0]: seed}
    for node in reversed(graph.nodes):
        if node.id not in relevance or node.id == source:
            continue
        for name, share in _shares(walk, node, relevance.pop(node.id)).items():
            relevance[name] = relevance[name] + share if name in relevance else share
    found = relevance.get(source)
    if found is None:
        raise UndefinedMethodError("No relevance reaches the program's input.")
    return Ledger(found.sum(-1) if graph[source].op == "component.embed" else found, walk.absorbed, total)


def _source(graph: Graph) -> str:
    """Where relevance ends: the array that is read, or the embedding of the tokens."""
    arrays = [node.id for node in graph.inputs if node.op == "input.array"]
    tokens = {node.id for node in graph.inputs if node.op == "input.tokens"}
    embeddings = [n.id for n in graph.nodes if n.op == "component.embed" and n.inputs and n.inputs[0] in tokens]
    if len(arrays) + len(embeddings) != 1:
        raise UndefinedMethodError("LRP needs a program that reads one array, or embeds its tokens once.")
    return (arrays + embeddings)[0]


def _shares(walk: _Walk, node: Node, relevance: Tensor) -> dict[str, Tensor]:
    """What each varying input of a node gets; the rest is entered as absorbed."""
    varying = [name for name in node.inputs if name in walk.varies]
    if not varying:
        walk.absorbed += _per_row(relevance)
        return {}
    name = node.op.removeprefix("tensor.aten.").partition(".")[0] if node.op.startswith("tensor.aten.") else ""
    if node.op == "component.softmax" or node.op in ("component.scores", "component.mask"):
        raise UndefinedMethodError(f"LRP has no rule for attention scores that are values of their own ({node.id}).")
    if node.op == "component.mix":
        return _affine(walk, node, relevance, [node.inputs[1]])
    if node.op == "component.norm":
        return _affine(walk, node, relevance, varying, _fixed_norm(walk, node))
    alone = len(varying) == 1 and walk.known[varying[0]].shape == relevance.shape
    if node.op in ("component.activation", "component.scale") or name in _ATEN_ONE_TO_ONE:
        return {varying[0]: relevance}
    if name in _ATEN_BY_CONSTANT and alone:
        return {varying[0]: relevance}
    if node.op in AFFINE or name in _ATEN_AFFINE or (node.op == "component.pool2d" and node.attrs["kind"] == "mean"):
        return _affine(walk, node, relevance, varying)
    if node.op == "component.pool2d" or name in _ATEN_CHOICE:
        return _choice(walk, node, relevance)
    if name in _ATEN_PRODUCT and len(varying) == 1:
        return _affine(walk, node, relevance, varying)
    if (node.op == "component.gate" or name == "mul") and len(varying) == 2:
        return _product(walk, node, relevance)
    raise UndefinedMethodError(f"LRP has no rule for {node.op} ({node.id}).")


def _affine(
    walk: _Walk, node: Node, relevance: Tensor, through: list[str], compute: Compute | None = None
) -> dict[str, Tensor]:
    """x_i · Jᵀ(R / (z + ε)); constants and ε get the rest, each computed by itself."""
    values = {name: walk.known[name].detach().requires_grad_(True) for name in dict.fromkeys(through)}
    positive = walk.gamma > 0 and node.op in ("component.linear", "component.conv2d")
    favoured = positive and all(bool((v >= 0).all()) for v in values.values())
    runner = _favouring(walk, node) if favoured else (compute or _plain(walk, node))
    with torch.enable_grad():
        z = runner(values)
        none = runner({name: torch.zeros_like(v) for name, v in values.items()}).detach()
        scale = walk.epsilon * z.detach().abs().mean().clamp(min=1e-12)
        kept = torch.where(z.detach() >= 0, scale, -scale)
        ratio = relevance / (z.detach() + kept)
        slopes = torch.autograd.grad(z, list(values.values()), ratio)
    walk.absorbed += _per_row((none + kept) * ratio)
    return {name: value.detach() * slope for (name, value), slope in zip(values.items(), slopes, strict=True)}


def _choice(walk: _Walk, node: Node, relevance: Tensor) -> dict[str, Tensor]:
    """Relevance goes to the input that was chosen, as autograd knows which."""
    (name,) = dict.fromkeys(node.inputs)
    value = walk.known[name].detach().requires_grad_(True)
    with torch.enable_grad():
        chosen = _plain(walk, node)({name: value})
        (share,) = torch.autograd.grad(chosen, value, relevance)
    return {name: share}


def _product(walk: _Walk, node: Node, relevance: Tensor) -> dict[str, Tensor]:
    """Half to each factor, in the factor's own shape."""
    shares: dict[str, Tensor] = {}
    for name in node.inputs:
        half = (relevance / 2).sum_to_size(walk.known[name].shape)
        shares[name] = shares[name] + half if name in shares else half
    return shares


def _plain(walk: _Walk, node: Node) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The node's own function of some of its inputs, the others as they are."""

    def run(values: Mapping[str, Tensor]) -> Tensor:
        given = {name: values.get(name, walk.known[name]) for name in node.inputs}
        found: Tensor = walk.executor.run({}, [node.id], given=given, gradients=True)[node.id]
        return found

    return run


def _favouring(walk: _Walk, node: Node) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The node's function with w + γ max(w, 0) for every weight and bias."""
    tensors = walk.graph.tensors
    own = [node.tensors[role] for role in ("weight", "bias") if role in node.tensors]
    changed = {name: tensors[name] + walk.gamma * tensors[name].clip(min=0) for name in own}
    other = Executor(replace(walk.graph, tensors={**tensors, **changed}))

    def run(values: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = other.run({}, [node.id], given=dict(values), gradients=True)[node.id]
        return found

    return run


def _fixed_norm(walk: _Walk, node: Node) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The norm as an affine map: its spread is that of the value itself."""
    (name,) = node.inputs
    x = walk.known[name].detach()
    layer = node.attrs["kind"] == "layer"
    centred = x - x.mean(-1, keepdim=True) if layer else x
    rate = torch.rsqrt(centred.square().mean(-1, keepdim=True) + float(node.attrs["eps"]))
    weight = walk.executor.tensor(node.tensors["weight"]) if "weight" in node.tensors else torch.ones(())
    bias = walk.executor.tensor(node.tensors["bias"]) if "bias" in node.tensors else torch.zeros(())

    def run(values: Mapping[str, Tensor]) -> Tensor:
        at = values[name]
        return (at - at.mean(-1, keepdim=True) if layer else at) * rate * weight + bias

    return run


def _per_row(relevance: Tensor) -> Tensor:
    return relevance.detach().flatten(1).sum(1)
