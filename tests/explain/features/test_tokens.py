"""Strings that excite an output: the true optimum of small networks, by trying every string."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.explain.core import Status
from exegesis.explain.features import Settle, strongest_strings, strongest_tokens
from exegesis.explain.parts import TokenProgram, part_of, program_parts
from exegesis.explain.target import Distance, Target, Unit
from exegesis.ir import Axis, Graph, InputError, Node, Type
from exegesis.runtime import load

LETTERS, LENGTH = 4, 5
QUICK = Settle(steps=20)


class Scores(nn.Module):
    """A score for each letter at each place, and for neighbours that are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, LETTERS)
        draws = torch.Generator().manual_seed(3)
        self.table = nn.Parameter(torch.randn(LENGTH, LETTERS, generator=draws))
        with torch.no_grad():
            self.embedding.weight.copy_(torch.eye(LETTERS))

    def forward(self, input_ids: Tensor) -> Tensor:
        one = self.embedding(input_ids)
        score = (one * self.table).sum((1, 2)) + 0.3 * (one[:, 1:] * one[:, :-1]).sum((1, 2))
        return torch.stack([score, -score], -1)[:, None].expand(-1, input_ids.shape[1], -1)


def behavior(letters: str = "abcd", n: int = 40) -> Behavior:
    draws = np.random.default_rng(0)
    rows = [SequenceRow([int(t) for t in draws.integers(len(letters), size=LENGTH)], [LENGTH - 1]) for _ in range(n)]
    return Behavior.from_sequences("scores", list(letters), {"train": rows}, Argmax((0, 1)))


def test_it_finds_the_best_of_all_strings() -> None:
    module = Scores()
    found = strongest_tokens(load(module), behavior(), Target(0))
    every = torch.tensor(list(itertools.product(range(LETTERS), repeat=LENGTH)))
    with torch.no_grad():
        best = float(module(every)[:, -1, 0].max())
    assert found.raw["activation"][0] == pytest.approx(best, abs=1e-5)
    assert found.details["string"].split() == ["abcd"[t] for t in found.raw["tokens"]]


def test_the_gradient_proposes_letters_of_a_large_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = strongest_tokens(load(Scores()), behavior(), Target(1), settle=QUICK)
    monkeypatch.setattr("exegesis.explain.features.tokens.TRIED", 2)
    assert strongest_tokens(load(Scores()), behavior(), Target(1), settle=QUICK).raw["activation"][0] == pytest.approx(
        exact.raw["activation"][0], abs=0.3
    )


class Constant(Scores):
    """The same for all strings."""

    def forward(self, input_ids: Tensor) -> Tensor:
        return 0.0 * self.embedding(input_ids)[..., :2] + 1.0


def test_a_constant_output_is_undefined_and_marked() -> None:
    found = strongest_tokens(load(Constant()), behavior(), Target(0), settle=Settle(steps=2))
    assert found.status is Status.MARKED
    assert any("same on all natural rows" in c.reason for c in found.checks)


def test_one_letter_is_refused() -> None:
    with pytest.raises(InputError, match="fewer than two"):
        strongest_tokens(load(Scores()), behavior("a"), Target(0))


def test_a_string_that_random_ones_beat_is_withheld() -> None:
    rows = [SequenceRow([0] * LENGTH, [LENGTH - 1]), *[SequenceRow([k] * LENGTH, [LENGTH - 1]) for k in range(LETTERS)]]
    few = Behavior.from_sequences("few", list("abcd"), {"train": rows}, Argmax((0, 1)))
    lazy = strongest_tokens(load(Scores()), few, Target(0), settle=Settle(steps=0, sweeps=0))
    assert {c.name: c.passed for c in lazy.checks}["excites"] is False
    assert lazy.status is Status.WITHHELD


class Parity(Scores):
    """Whether a sum is even, which no likeness to a string tells."""

    def forward(self, input_ids: Tensor) -> Tensor:
        even = ((input_ids * torch.arange(1, LENGTH + 1) ** 2).sum(1) % 2).float()
        score = even + 0.0 * self.embedding(input_ids).sum((1, 2))
        return torch.stack([score, -score], -1)[:, None].expand(-1, input_ids.shape[1], -1)


def test_a_string_that_foretells_nothing_is_marked() -> None:
    found = strongest_tokens(load(Parity()), behavior(n=200), Target(0))
    assert {c.name: c.passed for c in found.checks}["predicts"] is False
    assert found.status is Status.MARKED


def test_numbers_asked_for_together_are_corrected_together_and_random_weights_are_a_null() -> None:
    signal = behavior(n=200)
    alone = strongest_tokens(load(Scores()), signal, Target(0), settle=QUICK)
    pair = strongest_strings(load(Scores()), signal, [("first", Target(0)), ("second", Target(1))], settle=QUICK)
    (one,), both = ([c for c in f.checks if c.name == "predicts"] for f in (alone, pair[0]))
    assert set(one.nulls) == {"random strings, 95 %", "random weights, 95 %"}
    assert "over 2 units" in both[0].meaning
    assert pair[0].details["units tested together"] == 2
    assert pair[0].details["p corrected (Holm)"] >= pair[0].details["p"]
    assert alone.details["string"] == pair[0].details["string"]


def test_too_few_different_rows_foretell_nothing_and_it_says_so() -> None:
    rows = [SequenceRow([0, 1, 2, 3, k % 4], [LENGTH - 1]) for k in range(60)]
    few = Behavior.from_sequences("few", list("abcd"), {"train": rows}, Argmax((0, 1)))
    (told,) = [c for c in strongest_tokens(load(Scores()), few, Target(0), settle=QUICK).checks if c.name == "predicts"]
    assert told.reason == "there are 4 different rows of this length, and 8 are needed to foretell any"


def test_a_part_of_a_program_is_climbed_letter_by_letter() -> None:
    axes = {name: Axis(name) for name in ("batch", "pos", "key")}
    axes["token"] = Axis("token", LETTERS, tuple("abcd"))
    every = ("batch", "pos")
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", every, "token")),
        Node("all", "symbolic.everywhere", ("tokens",), Type("selector", (*every, "key")), {"causal": False}),
        Node("seen", "symbolic.count", ("all", "tokens"), Type("real", (*every, "token"))),
    )
    graph = Graph(nodes, ("seen",), axes=axes)
    model = TokenProgram(graph, part_of(program_parts(graph), "seen"), "counts")
    found = strongest_tokens(model, behavior(), Unit(2), name="seen c")
    assert found.details["string"] == "c c c c c"
    assert found.raw["activation"][0] == LENGTH
    assert found.status is Status.SHOWN, found.why
    apart = strongest_tokens(model, behavior(), Distance((-1,)), name="seen")
    assert len(set(apart.details["string"].split())) == 1  # one letter throughout lies farthest from the mean of counts
