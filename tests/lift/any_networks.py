"""Small networks of every kind that people bring: each a function that builds one, with inputs to lift it on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Case = tuple[nn.Module, tuple[Tensor, ...]]


class ActorCritic(nn.Module):
    """Two heads on one trunk; the policy's logits come first."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())
        self.actor, self.critic = nn.Linear(16, 4), nn.Linear(16, 1)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(observation)
        return self.actor(h), self.critic(h)


class GaussianPolicy(nn.Module):
    """Mean and clipped standard deviation of an action, squashed by tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
        self.mean, self.log_std = nn.Linear(16, 2), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        std = self.log_std(h).clamp(-5, 2).exp()
        return torch.cat([torch.tanh(self.mean(h)), std], -1)


class Dueling(nn.Module):
    """Q = V + A - mean A."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
        self.value = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 1))
        self.advantage = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        a = self.advantage(h)
        return self.value(h) + a - a.mean(-1, keepdim=True)


class _Extractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.policy_net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())
        self.value_net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.policy_net(features), self.value_net(features)


class ModuleTree(nn.Module):
    """The tree of modules that libraries of agents build: features, extractor, action net and value net."""

    def __init__(self) -> None:
        super().__init__()
        self.features_extractor = nn.Flatten()
        self.mlp_extractor = _Extractor()
        self.action_net, self.value_net = nn.Linear(16, 3), nn.Linear(16, 1)

    def forward(self, obs: Tensor) -> Tensor:
        pi, _ = self.mlp_extractor(self.features_extractor(obs))
        return self.action_net(pi)


class SoftExperts(nn.Module):
    """A mixture whose gate is a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3)) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.gate(x).softmax(-1)
        outputs = torch.stack([e(x) for e in self.experts], 1)
        return (weights[..., None] * outputs).sum(1)


class FirstExpert(nn.Module):
    """Only the best expert answers: argmax and one_hot."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.up, self.down = nn.Parameter(torch.randn(4, 6, 8) / 3), nn.Parameter(torch.randn(4, 8, 3) / 3)

    def forward(self, x: Tensor) -> Tensor:
        chosen = F.one_hot(self.gate(x).argmax(-1), 4).to(x.dtype)
        h = torch.einsum("bd,edh->beh", x, self.up).relu()
        return torch.einsum("beh,eho,be->bo", h, self.down, chosen)


class BestExperts(nn.Module):
    """The best two of four answer, weighed by the softmax over these two: topk and scatter."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList(nn.Linear(6, 3) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        best, which = self.gate(x).topk(2, -1)
        weights = torch.zeros(x.shape[0], 4, dtype=x.dtype).scatter(-1, which, best.softmax(-1))
        return torch.einsum("be,beo->bo", weights, torch.stack([e(x) for e in self.experts], 1))


class GatheredExperts(nn.Module):
    """The outputs of the best two are picked: topk and gather."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList(nn.Linear(6, 3) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        best, which = torch.topk(self.gate(x), k=2, dim=-1)
        outputs = torch.stack([e(x) for e in self.experts], 1)
        picked = outputs.gather(1, which[..., None].expand(-1, -1, 3))
        return (best.softmax(-1)[..., None] * picked).sum(1)


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.down, self.up = nn.Linear(8, 2), nn.Linear(2, 8)
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x).relu()
        scale = torch.sigmoid(self.up(self.down(h.mean((2, 3))).relu()))
        return self.out((h * scale[:, :, None, None]).mean((2, 3)))


class Convolutions(nn.Module):
    """Depthwise, dilated, grouped, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1, groups=4),
            nn.Hardswish(),
            nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2),
            nn.ReLU6(),
            nn.MaxPool2d(2),
            nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Signal(nn.Module):
    """One-dimensional convolutions over a signal of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 8, 5, padding=2), nn.Conv1d(8, 8, 3, padding=2, dilation=2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.second(F.relu(self.first(x))))
        return self.head(F.adaptive_avg_pool1d(h, 1).squeeze(-1))


class RMS(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + 0.1 * torch.randn(d))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Norms(nn.Module):
    """Group, instance, batch, layer and RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.group, self.instance = nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True)
        self.batch, self.layer, self.rms = nn.BatchNorm2d(8), nn.LayerNorm(8), RMS(8)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.batch(self.instance(self.group(self.conv(x)).relu()))
        return self.out(self.rms(self.layer(h.mean((2, 3)))))


class Activations(nn.Module):
    """Every activation that torch has a module for."""

    def __init__(self) -> None:
        super().__init__()
        kinds: list[nn.Module] = [
            nn.PReLU(), nn.PReLU(8), nn.LeakyReLU(0.1), nn.ELU(0.5), nn.Hardswish(), nn.Mish(), nn.Softplus(),
            nn.Softplus(2.0), nn.SELU(), nn.CELU(0.7), nn.Hardtanh(), nn.Hardsigmoid(), nn.Softsign(), nn.LogSigmoid(),
            nn.Tanhshrink(), nn.Softshrink(), nn.Hardshrink(), nn.Threshold(0.1, -0.2), nn.SiLU(), nn.GELU("tanh"),
        ]  # fmt: skip
        self.acts = nn.ModuleList(kinds)
        self.linears = nn.ModuleList(nn.Linear(8, 8) for _ in kinds)

    def forward(self, x: Tensor) -> Tensor:
        for linear, act in zip(self.linears, self.acts, strict=True):
            x = x + act(linear(x))
        return x


class Gated(nn.Module):
    """GLU, SwiGLU and GEGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.gate, self.down = (
            nn.Linear(6, 16),
            *(nn.Linear(8, 12) for _ in "ab"),
            nn.Linear(12, 8),
        )
        self.both, self.out = nn.Linear(8, 20), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.glu(self.first(x), -1)
        h = h + self.down(F.silu(self.gate(h)) * self.up(h))
        a, b = self.both(h).chunk(2, -1)
        return self.out(a * F.gelu(b))


class Llama(nn.Module):
    """RMS norms, rotary positions, SwiGLU, no biases, grouped keys and values."""

    def __init__(self, vocabulary: int = 11, d: int = 16, heads: int = 4, groups: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, d // heads
        self.embed = nn.Embedding(vocabulary, d)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": RMS(d), "norm2": RMS(d),
                    "q": nn.Linear(d, d, bias=False), "k": nn.Linear(d, groups * self.size, bias=False),
                    "v": nn.Linear(d, groups * self.size, bias=False), "o": nn.Linear(d, d, bias=False),
                    "gate": nn.Linear(d, 24, bias=False), "up": nn.Linear(d, 24, bias=False),
                    "down": nn.Linear(24, d, bias=False),
                }
            )
            for _ in range(layers)
        )  # fmt: skip
        self.norm, self.out = RMS(d), nn.Linear(d, vocabulary, bias=False)

    def _turned(self, x: Tensor) -> Tensor:
        half = self.size // 2
        angles = torch.arange(x.shape[-2])[:, None] / 100 ** (torch.arange(half) / half)
        cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed(input_ids)
        b, s = input_ids.shape
        for block in self.blocks:
            h = block["norm1"](x)
            q = block["q"](h).view(b, s, self.heads, self.size).transpose(1, 2)
            k, v = (block[n](h).view(b, s, self.groups, self.size).transpose(1, 2) for n in "kv")
            k, v = (t.repeat_interleave(self.heads // self.groups, 1) for t in (self._turned(k), v))
            z = F.scaled_dot_product_attention(self._turned(q), k, v, is_causal=True)
            x = x + block["o"](z.transpose(1, 2).reshape(b, s, -1))
            h = block["norm2"](x)
            x = x + block["down"](F.silu(block["gate"](h)) * block["up"](h))
        return self.out(self.norm(x))


class ViT(nn.Module):
    """Patches by a convolution, a class token, positions, one encoder layer of torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, stride=4)
        self.cls, self.positions = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 5, 16))
        self.qkv, self.proj = nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(16) for _ in "abc")
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.cls.expand(len(h), -1, -1), h], 1) + self.positions
        q, k, v = self.qkv(self.norm1(h)).reshape(len(h), 5, 3, 2, 8).permute(2, 0, 3, 1, 4)
        z = ((q @ k.transpose(-2, -1)) / math.sqrt(8)).softmax(-1) @ v
        h = h + self.proj(z.transpose(1, 2).reshape(len(h), 5, 16))
        h = h + self.mlp(self.norm2(h))
        return self.head(self.norm3(h)[:, 0])


class UNet(nn.Module):
    """Down, up by a transposed convolution and by interpolation, skips by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up1, self.mid = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 4, 3, padding=1)
        self.up2, self.out = nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(12, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x).relu()
        b = self.down2(F.max_pool2d(a, 2)).relu()
        c = self.mid(torch.cat([self.up1(b), a], 1)).relu()
        return self.out(torch.cat([c, self.up2(b)], 1)).flatten(1)


class Siamese(nn.Module):
    """Two inputs through one encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
        self.out = nn.Linear(9, 2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        a, b = self.encode(left), self.encode(right)
        return self.out(torch.cat([(a - b).abs(), a * b, F.cosine_similarity(a, b, -1)[:, None]], -1))


class CellLoop(nn.Module):
    """An LSTMCell called in a Python loop."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(3, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, c = x.new_zeros(len(x), 6), x.new_zeros(len(x), 6)
        for t in range(4):
            h, c = self.cell(x[:, t], (h, c))
        return self.out(h)


class Packed(nn.Module):
    """Two stacked GRU layers over a sequence packed by lengths that are given as data."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(3, 5, num_layers=2, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.out(states[:, 0])


class StackedGRU(nn.Module):
    """Two stacked layers whose last states are read, over vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(3, 5, num_layers=2, batch_first=True), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        last = self.gru(x)[1]
        return self.out(torch.cat([last[0], last[1]], -1))


class TokenGRU(nn.Module):
    """A language model: a GRU over tokens of any length, an answer at every position."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, layers: int = 1, both: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.rnn = kind(4, 6, num_layers=layers, batch_first=True, bidirectional=both)
        self.out = nn.Linear(12 if both else 6, 3)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.out(self.rnn(self.embed(input_ids))[0])


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(10, 6), nn.ELU(), nn.Linear(6, 2))
        self.decoder = nn.Sequential(nn.Linear(2, 6), nn.ELU(), nn.Linear(6, 10), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class Tabular(nn.Module):
    """Numbers beside categories that are embedded; the categories come as columns of reals."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.shape = nn.Embedding(4, 3), nn.Embedding(3, 2)
        self.norm = nn.BatchNorm1d(3)
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        colour, shape = x[:, 3].long(), x[:, 4].long()
        return self.body(torch.cat([self.norm(x[:, :3]), self.colour(colour), self.shape(shape)], -1))


class Radial(nn.Module):
    """Radial basis functions."""

    def __init__(self) -> None:
        super().__init__()
        self.centres, self.width = nn.Parameter(torch.randn(12, 3)), nn.Parameter(torch.rand(12) + 0.5)
        self.out = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.exp(-(x[:, None] - self.centres).pow(2).sum(-1) * self.width))


class KAN(nn.Module):
    """Sums of learned functions of single inputs: a piecewise linear basis on a grid, and SiLU."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("grid", torch.linspace(-2, 2, 7))
        self.spline = nn.Parameter(torch.randn(3, 7, 5) / 3)
        self.base, self.out = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        basis = F.relu(1 - (x[..., None] - self.grid).abs() / (4 / 6))
        return self.out(torch.einsum("big,igo->bo", basis, self.spline) + self.base(F.silu(x)))


class Dead(nn.Module):
    """A branch that nothing reads, a unit that is never on, an input that does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.out = nn.Linear(4, 6), nn.Linear(6, 2)
        self.unread, self.never_called = nn.Linear(4, 3), nn.Linear(3, 3)
        with torch.no_grad():
            self.live.weight[:, 3] = 0
            self.live.weight[0], self.live.bias[0] = 0, -1
            self.out.weight[:, 1] = 0

    def forward(self, x: Tensor) -> Tensor:
        self.unread(x).relu()
        return self.out(self.live(x).relu())


class TupleOut(nn.Module):
    """Attention pooling over a set, as a dictionary of outputs would be: sorting, cumulative sums, norms."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.value, self.out = nn.Linear(4, 1), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.score(x).softmax(1)
        pooled = (weights * self.value(x)).sum(1)
        return F.normalize(self.out(pooled), dim=-1).log_softmax(-1)


def _rows(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _tokens(vocabulary: int = 5) -> Tensor:
    return torch.randint(0, vocabulary, (3, 7), generator=torch.Generator().manual_seed(2))


def _table() -> Tensor:
    return torch.cat([_rows(4, 3), torch.tensor([[0.0, 2], [1, 1], [3, 0], [2, 2]])], -1)


CASES: Mapping[str, Callable[[], Case]] = {
    "actor_critic": lambda: (ActorCritic(), (_rows(4, 6),)),
    "gaussian_policy": lambda: (GaussianPolicy(), (_rows(4, 5),)),
    "dueling": lambda: (Dueling(), (_rows(4, 6),)),
    "module_tree": lambda: (ModuleTree(), (_rows(4, 8),)),
    "soft_experts": lambda: (SoftExperts(), (_rows(4, 6),)),
    "first_expert": lambda: (FirstExpert(), (_rows(4, 6),)),
    "best_experts": lambda: (BestExperts(), (_rows(4, 6),)),
    "gathered_experts": lambda: (GatheredExperts(), (_rows(4, 6),)),
    "squeeze_excite": lambda: (SqueezeExcite(), (_rows(3, 2, 6, 6),)),
    "convolutions": lambda: (Convolutions(), (_rows(3, 2, 8, 8),)),
    "signal": lambda: (Signal(), (_rows(3, 3, 12),)),
    "norms": lambda: (Norms(), (_rows(3, 1, 6, 6),)),
    "activations": lambda: (Activations(), (_rows(4, 8),)),
    "gated": lambda: (Gated(), (_rows(4, 6),)),
    "llama": lambda: (Llama(), (_tokens(11),)),
    "vit": lambda: (ViT(), (_rows(3, 1, 8, 8),)),
    "unet": lambda: (UNet(), (_rows(3, 1, 8, 8),)),
    "siamese": lambda: (Siamese(), (_rows(4, 6), _rows(4, 6, seed=3))),
    "cell_loop": lambda: (CellLoop(), (_rows(3, 4, 3),)),
    "stacked_gru": lambda: (StackedGRU(), (_rows(3, 4, 3),)),
    "token_gru": lambda: (TokenGRU(), (_tokens(),)),
    "token_lstm": lambda: (TokenGRU(nn.LSTM), (_tokens(),)),
    "token_rnn": lambda: (TokenGRU(nn.RNN), (_tokens(),)),
    "token_gru_stacked": lambda: (TokenGRU(layers=2), (_tokens(),)),
    "token_lstm_both_ways": lambda: (TokenGRU(nn.LSTM, both=True), (_tokens(),)),
    "autoencoder": lambda: (Autoencoder(), (_rows(4, 10),)),
    "tabular": lambda: (Tabular(), (_table(),)),
    "radial": lambda: (Radial(), (_rows(4, 3),)),
    "kan": lambda: (KAN(), (_rows(4, 3),)),
    "dead": lambda: (Dead(), (_rows(4, 4),)),
    "pooling": lambda: (TupleOut(), (_rows(3, 5, 4),)),
}


def build(name: str) -> Case:
    """A network with trained-looking numbers everywhere, in evaluation mode, and an example of its inputs."""
    torch.manual_seed(sum(map(ord, name)))
    network, example = CASES[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval(), example
