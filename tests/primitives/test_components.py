"""Component operations against torch's own."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose
from torch import Tensor

from exegesis import primitives as p

RNG = np.random.default_rng(2)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def t(x: np.ndarray) -> Tensor:
    return torch.from_numpy(x)


def test_embed() -> None:
    ids, weight = np.array([2, 0, 2]), normal(3, 4)
    assert_allclose(p.embed(ids, weight), F.embedding(t(ids), t(weight)).numpy())
    assert_allclose(p.embed(np.array([-1]), weight), np.zeros((1, 4)))


def test_norms() -> None:
    x, w, b = normal(5, 8), normal(8), normal(8)
    assert_allclose(p.norm(x, kind="layer", eps=1e-3), F.layer_norm(t(x), [8], eps=1e-3).numpy(), rtol=1e-10)
    expected = F.layer_norm(t(x), [8], t(w), t(b), eps=1e-3).numpy()
    assert_allclose(p.norm(x, kind="layer", eps=1e-3, weight=w, bias=b), expected, rtol=1e-10)
    assert_allclose(
        p.norm(x, kind="rms", eps=1e-3, weight=w), F.rms_norm(t(x), [8], t(w), eps=1e-3).numpy(), rtol=1e-10
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(groups: int, causal: bool) -> None:
    """Heads, scores, mask, softmax, mix and write against fused attention with grouped queries."""
    x, wq, wk, wv = normal(6, 8), normal(4, 8, 3), normal(groups, 8, 3), normal(groups, 8, 3)
    bq, bk, wo = normal(4, 3), normal(groups, 3), normal(4, 3, 8)
    q, k, v = p.heads(x, wq, bq), p.heads(x, wk, bk), p.heads(x, wv)
    pattern = p.softmax(p.mask(p.scores(q, k, scale=0.5), causal=causal, fill=-1e30))
    written = p.write(p.mix(pattern, v), wo)
    qt, kt, vt = (torch.einsum("sd,hde->hse", t(x), t(w)) for w in (wq, wk, wv))
    z = F.scaled_dot_product_attention(
        (qt + t(bq)[:, None])[None], (kt + t(bk)[:, None])[None], vt[None], is_causal=causal, scale=0.5, enable_gqa=True
    )
    assert_allclose(written, torch.einsum("hse,hed->sd", z[0], t(wo)).numpy(), rtol=1e-8)


def test_mask() -> None:
    scores = normal(2, 4, 4)
    keep = np.array([True, True, False, True])
    s, k = np.indices((4, 4))
    assert_allclose(p.mask(scores, causal=False, fill=-9), scores)
    assert_allclose(p.mask(scores, causal=True, fill=-9), np.where(k > s, -9, scores))
    assert_allclose(p.mask(scores, causal=True, fill=-9, add=True), scores - 9 * (k > s))
    assert_allclose(p.mask(scores, causal=True, fill=-9, window=1), np.where((k > s) | (s - k > 1), -9, scores))
    assert_allclose(p.mask(scores, keep, causal=False, fill=-9), np.where(keep, scores, -9))


def test_linear() -> None:
    x, w, b = normal(5, 3), normal(3, 4), normal(4)
    assert_allclose(p.linear(x, w, b), F.linear(t(x), t(w).T, t(b)).numpy())
    assert_allclose(p.linear(x[0], w), F.linear(t(x[0]), t(w).T).numpy())


ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "softplus": F.softplus,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "identity": lambda x: x,
}


@pytest.mark.parametrize("kind", sorted(ACTIVATIONS))
def test_activations(kind: str) -> None:
    x = np.concatenate([np.linspace(-30, 30, 4001), [0.0, -0.0]])
    # torch's softplus turns linear above 20, hence the absolute tolerance.
    assert_allclose(p.activation(x, kind), ACTIVATIONS[kind](t(x)).numpy(), rtol=1e-9, atol=1e-8)


def test_every_activation_of_the_language_is_here() -> None:
    from exegesis.ir.component import ACTIVATIONS as KINDS

    assert set(KINDS) == set(ACTIVATIONS)


def test_slopes() -> None:
    x = normal(50)
    assert_allclose(p.activation(x, "leaky_relu", slope=0.3), F.leaky_relu(t(x), 0.3).numpy())
    assert_allclose(p.activation(x, "elu", slope=0.3), F.elu(t(x), 0.3).numpy())


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [((1, 1), (0, 0), (1, 1)), ((2, 1), (1, 3), (1, 2))])
def test_conv2d(groups: int, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]) -> None:
    x, w, b = normal(4, 9, 11), normal(6, 4 // groups, 3, 2), normal(6)
    expected = F.conv2d(t(x)[None], t(w), t(b), stride, padding, dilation, groups)[0].numpy()
    got = p.conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("stride", "padding"), [((2, 2), (0, 0)), ((1, 3), (1, 1))])
def test_pool2d(stride: tuple[int, int], padding: tuple[int, int]) -> None:
    x = normal(3, 8, 9)
    highest = p.pool2d(x, kind="max", size=(2, 3), stride=stride, padding=padding)
    mean = p.pool2d(x, kind="mean", size=(2, 3), stride=stride, padding=padding)
    assert_allclose(highest, F.max_pool2d(t(x)[None], (2, 3), stride, padding)[0].numpy())
    assert_allclose(mean, F.avg_pool2d(t(x)[None], (2, 3), stride, padding)[0].numpy())
