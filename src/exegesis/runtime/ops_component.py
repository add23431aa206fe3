"""The component level in torch: `component.py` of the language says what each op means.

Shapes: b batch, s query position, t key position, d model width, h heads, g key/value heads, e head width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from exegesis.runtime.binding import Binding, Compute, Op
from exegesis.runtime.ops_recurrent import RECURRENT

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "softplus": F.softplus,
    "identity": lambda x: x,
}


def arange(at: Binding) -> Compute:
    """[b, s, …] → [b, s]."""
    start = at.attr("start", 0)

    def compute(like: Tensor) -> Tensor:
        rows, length = like.shape[:2]
        return torch.arange(start, start + length, device=like.device).expand(rows, length)

    return compute


def embed(at: Binding) -> Compute:
    """ids [b, s] → [b, s, d]; the id -1 (none) gives zeros."""
    weight = _weight(at)

    def compute(ids: Tensor) -> Tensor:
        ids = ids.long()
        return F.embedding(ids.clamp(min=0), weight).masked_fill((ids < 0)[..., None], 0)

    return compute


def constant(at: Binding) -> Compute:
    """The leading axes are those of `like`, as many as the node's type has beyond those of the value."""
    value = at.tensors["value"]
    leading = max(len(at.node.type.axes) - value.ndim, 0)
    return lambda like: value.expand(*like.shape[:leading], *value.shape)


def add(at: Binding) -> Compute:
    """Writers broadcast against each other, aligned at the last axis."""

    def compute(first: Tensor, *others: Tensor) -> Tensor:
        total = first
        for writer in others:
            total = total + writer
        return total

    return compute


def norm(at: Binding) -> Compute:
    """[…, d] → […, d]."""
    weight, bias, eps = at.tensors.get("weight"), at.tensors.get("bias"), float(at.attr("eps"))

    def layer(x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)

    def rms(x: Tensor) -> Tensor:
        normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        return normed if weight is None else normed * weight

    return layer if at.attr("kind") == "layer" else rms


def heads(at: Binding) -> Compute:
    """[b, s, d] → [b, h, s, e]."""
    weight, bias = _weight(at), at.tensors.get("bias")

    def compute(x: Tensor) -> Tensor:
        projected = torch.einsum("bsd,hde->bhse", x, weight)
        return projected if bias is None else projected + bias[:, None]

    return compute


def _grouped(x: Tensor, heads: int) -> Tensor:
    """[b, g, t, e] → [b, h, t, e]: each key/value head serves h / g query heads."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


def scores(at: Binding) -> Compute:
    """q [b, h, s, e], k [b, g, t, e] → [b, h, s, t]."""
    scale = float(at.attr("scale"))
    return lambda q, k: q @ _grouped(k, q.shape[1]).transpose(-1, -2) * scale


def mask(at: Binding) -> Compute:
    """scores [b, h, s, t], keep [b, t] or [b, s, t] or [b, h, s, t]; `window` masks keys with query − key > window."""
    causal, fill, window, adds = at.attr("causal"), float(at.attr("fill")), at.attr("window"), at.attr("add", False)

    def compute(scores: Tensor, keep: Tensor | None = None) -> Tensor:
        queries, keys = (torch.arange(n, device=scores.device) for n in scores.shape[-2:])
        distance = queries[:, None] - keys
        hidden = torch.zeros_like(distance, dtype=torch.bool)
        if causal:
            hidden = hidden | (distance < 0)
        if window is not None:
            hidden = hidden | (distance > window)
        if keep is not None:
            shape = {2: (slice(None), None, None), 3: (slice(None), None)}.get(keep.ndim, (...,))
            hidden = hidden | ~keep.bool()[shape]
        return scores + hidden * fill if adds else scores.masked_fill(hidden, fill)

    return compute


def softmax(at: Binding) -> Compute:
    """[b, h, s, t] → [b, h, s, t]."""
    return lambda scores: scores.softmax(-1)


def mix(at: Binding) -> Compute:
    """pattern [b, h, s, t], v [b, g, t, e] → [b, h, s, e]."""
    return lambda pattern, v: pattern @ _grouped(v, pattern.shape[1])


def write(at: Binding) -> Compute:
    """[b, h, s, e] → [b, s, d]."""
    weight = _weight(at)
    return lambda z: torch.einsum("bhse,hed->bsd", z, weight)


def linear(at: Binding) -> Compute:
    """[…, in] → […, out]."""
    weight, bias = _weight(at), at.tensors.get("bias")
    return lambda x: F.linear(x, weight.T, bias if bias is None else bias.to(weight.dtype))


def _weight(at: Binding) -> Tensor:
    """The weight of a map; one of integers counts steps."""
    weight, step = at.tensors["weight"], at.attr("step")
    return weight if step is None else weight.to(at.real) * float(step)


def activation(at: Binding) -> Compute:
    """Elementwise. `slope` is the negative slope of `leaky_relu` (0.01 when left out) and the α of `elu` (1)."""
    kind = at.attr("kind")
    if kind == "leaky_relu":
        slope = float(at.attr("slope", 0.01))
        return lambda x: F.leaky_relu(x, slope)
    if kind == "elu":
        alpha = float(at.attr("slope", 1.0))
        return lambda x: F.elu(x, alpha)
    return _ACTIVATIONS[kind]


def gate(at: Binding) -> Compute:
    """Elementwise."""
    return lambda a, b: a * b


def scale(at: Binding) -> Compute:
    """Elementwise."""
    by, plus = at.attr("by"), at.attr("plus", 0)
    return lambda x: x * by + plus


def flatten(at: Binding) -> Compute:
    """[b, …] → [b, n]."""
    return lambda x: x.flatten(1)


def conv2d(at: Binding) -> Compute:
    """[b, c, y, x] → [b, out, y', x']."""
    weight, bias = _weight(at), at.tensors.get("bias")
    bias = bias if bias is None else bias.to(weight.dtype)
    stride, padding, dilation = (tuple(at.attr(k)) for k in ("stride", "padding", "dilation"))
    groups = at.attr("groups")
    return lambda x: F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def pool2d(at: Binding) -> Compute:
    """[b, c, y, x] → [b, c, y', x']; a mean counts padded zeros."""
    pool = F.max_pool2d if at.attr("kind") == "max" else F.avg_pool2d
    size, stride, padding = (tuple(at.attr(k)) for k in ("size", "stride", "padding"))
    return lambda x: pool(x, size, stride, padding)


def keep(at: Binding) -> Compute:
    """Entries of axis number `axis` (the batch is axis 0)."""
    axis, mask = at.attr("axis"), at.tensors["mask"]
    return lambda x: x.index_select(axis, mask.nonzero()[:, 0])


def join(at: Binding) -> Compute:
    """Along axis number `axis` (the batch is axis 0)."""
    axis = at.attr("axis")
    return lambda *parts: torch.cat(parts, axis)


def pick(at: Binding) -> Compute:
    """Drops axis number `axis` (the batch is axis 0)."""
    axis, index = at.attr("axis"), at.attr("at")
    return lambda x: x.select(axis, index)


_OWN: Mapping[str, Op] = {
    f"component.{op.__name__}": op
    for op in (
        arange,
        embed,
        constant,
        add,
        norm,
        heads,
        scores,
        mask,
        softmax,
        mix,
        write,
        linear,
        activation,
        gate,
        scale,
        flatten,
        conv2d,
        pool2d,
        keep,
        join,
        pick,
    )
}
COMPONENT: Mapping[str, Op] = {**_OWN, **RECURRENT}
