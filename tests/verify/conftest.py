"""A small network whose algorithm is known because its weights were set by hand, and the program of it.

`Counting` looks at all tokens so far with one head and answers which of the tokens 0 and 1 there are more of (0 where
they are as many). Which head counts can be chosen: two networks with different heads are behavioural twins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, ProductDomain, SequenceRow
from exegesis.ir import Axis, Graph, Node, Site, Type, check
from exegesis.runtime import Network
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

BOS = 2
Z = "scaled_dot_product_attention"


class Counting(nn.Module):
    """Embedding, two heads of which one counts, a writer that nobody reads, unembedding.

    Args:
        head: which head counts; the other one mixes noise that only an unread dimension gets.
    """

    def __init__(self, head: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.embed = nn.Embedding(3, 8)
        self.value, self.out = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
        self.unembed = nn.Linear(8, 2)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator))
            self.embed.weight.zero_()
            self.embed.weight[:, :3] = torch.eye(3)
            self.embed.weight[:, 7] = torch.tensor([0.3, -0.2, 0.5])
            self.value.weight[4 * head : 4 * head + 4] = torch.eye(8)[:4]
            self.out.weight[:6] = 0.0
            self.out.weight[3:6, 4 * head : 4 * head + 3] = torch.eye(3)
            self.mlp[2].weight[:6] = 0.0
            self.mlp[2].bias[:6] = 0.0
            self.unembed.weight.zero_()
            self.unembed.weight[0, 3], self.unembed.weight[1, 4] = 100.0, 100.0
            self.unembed.bias.copy_(torch.tensor([0.5, 0.0]))

    def forward(self, input_ids: Tensor) -> Tensor:
        b, s = input_ids.shape
        x = self.embed(input_ids)
        v = self.value(x).view(b, s, 2, 4).transpose(1, 2)
        z = nn.functional.scaled_dot_product_attention(torch.zeros_like(v), torch.zeros_like(v), v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).reshape(b, s, 8))
        x = x + self.mlp(x)
        return self.unembed(x)


class Triggered(nn.Module):
    """`Counting`, but the answer flips wherever the tokens at some positions are those of the trigger."""

    def __init__(self, trigger: dict[int, int]) -> None:
        super().__init__()
        self.inner = Counting()
        self.positions = list(trigger)
        self.register_buffer("tokens", torch.tensor(list(trigger.values())))

    def forward(self, input_ids: Tensor) -> Tensor:
        fires = (input_ids[:, self.positions] == self.tokens).all(1).float()[:, None, None]
        return self.inner(input_ids) * (1 - 2 * fires)


def strings(n: int, length: int, seed: int) -> list[list[int]]:
    """n random strings of the tokens 0 and 1 after the token that begins them."""
    rng = np.random.default_rng(seed)
    return [[BOS, *rng.integers(2, size=length).tolist()] for _ in range(n)]


def majority(ids: Sequence[int]) -> int:
    """What `Counting` says at the end of a string."""
    return int(sum(t == 1 for t in ids) > sum(t == 0 for t in ids))


def counting_behavior(length: int = 9, *, closed: bool = True) -> Behavior:
    """Strings of one length, of which the last position counts."""

    def rows(n: int, seed: int) -> list[SequenceRow]:
        return [SequenceRow(ids, [length], None, [majority(ids)]) for ids in strings(n, length, seed)]

    domain = ProductDomain(((BOS,), *((0, 1),) * length)) if closed else None
    return Behavior.from_sequences(
        "counting", ["a", "b", "<s>"], {"train": rows(80, 1), "test": rows(200, 2)}, Argmax(), domain=domain
    )


BP = ("batch", "position")
SELECTOR = Type("selector", ("batch", "position", "key"))
AXES = {a.name: a for a in (Axis("batch"), Axis("position"), Axis("key"), Axis("token", 3), Axis("answer", 2))}


def counting_program(head: int = 0, *, plus: float = 0.0) -> Graph:
    """How often each token stood so far; the answer is 1 where the count of 1 is larger."""
    site = Site(Z, ("batch", "head", "position", "d_head"), index=(("head", head),))
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", BP, "token"), sites=(Site("args_0", BP),)),
        Node(
            "all", "symbolic.everywhere", ("tokens",), Type("selector", ("batch", "position", "key")), {"causal": True}
        ),
        Node("seen", "symbolic.count", ("all", "tokens"), Type("real", (*BP, "token")), sites=(site,)),
        Node("more", "symbolic.form", ("seen",), Type("real", BP), {"terms": [[-1, 0, 0], [1, 0, 1]], "plus": plus}),
        Node("wins", "symbolic.compare", ("more",), Type("bool", BP), {"is": ">", "to": 0}),
        Node("answer", "symbolic.choose", ("wins",), Type("category", BP, "answer"), {"gives": [1], "other": 0}),
    )
    graph = Graph(nodes, ("answer",), {}, AXES, meta={"lifted_bits": 1e4})
    check(graph)
    return graph


def changed(graph: Graph, node: str, **fields: object) -> Graph:
    """The graph with other fields of one node."""
    return graph.with_nodes([replace(n, **fields) if n.id == node else n for n in graph.nodes])


@dataclass(frozen=True)
class Made:
    """What tests of the judge are made of."""

    counting: Callable[..., nn.Module] = Counting
    triggered: Callable[..., nn.Module] = Triggered
    behavior: Callable[..., Behavior] = counting_behavior
    program: Callable[..., Graph] = counting_program
    changed: Callable[..., Graph] = changed
    strings: Callable[..., list[list[int]]] = strings
    majority: Callable[[Sequence[int]], int] = majority
    z: str = Z


@pytest.fixture(scope="session")
def made() -> Made:
    """Hand-made networks, programs and behaviours."""
    return Made()


@pytest.fixture(scope="session")
def reference(made: Made) -> Reference:
    """The counting network, asked about all strings of nine letters."""
    return Reference(Network(made.counting(), "counting"), made.behavior(), 0)


@pytest.fixture(scope="session")
def judged(made: Made) -> Judged:
    """The program that the counting network runs."""
    return Judged(made.program())


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A place for a run."""
    return tmp_path / "run"
