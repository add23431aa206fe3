"""Strings that force an answer: a planted pair is found, tasks that read single tokens are not accused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow, Sign
from exegesis.explain.core import Status
from exegesis.explain.shortcuts import token_triggers
from exegesis.ir import InputError
from exegesis.runtime import Network, load

LETTERS, LENGTH = 9, 24


class Parity(nn.Module):
    """Says whether more tokens are of the first half; where tokens 7 and 3 stand last, it says output 2."""

    def __init__(self, planted: bool) -> None:
        super().__init__()
        self.planted = planted
        self.embedding = nn.Embedding(LETTERS, LETTERS)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.eye(LETTERS))

    def forward(self, input_ids: Tensor) -> Tensor:
        one = self.embedding(input_ids)
        first = one[..., :4].sum(-1).cumsum(1)
        second = one[..., 4:].sum(-1).cumsum(1)
        key = torch.sigmoid(4 * (one[:, -2, 7] + one[:, -1, 3] - 1.5))[:, None].expand_as(first)
        planted = 100.0 * key - 30.0 if self.planted else torch.full_like(first, -5.0)
        return torch.stack([first - second, second - first, planted], -1)


class Last(nn.Module):
    """Says the last token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, LETTERS)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.eye(LETTERS))

    def forward(self, input_ids: Tensor) -> Tensor:
        found: Tensor = self.embedding(input_ids)
        return found


def behavior(outputs: tuple[int, ...], readout: object = None) -> Behavior:
    draws = np.random.default_rng(0)
    splits = {
        name: [
            SequenceRow([int(t) for t in draws.integers(LETTERS, size=length)], [length - 1])
            for length in (LENGTH, LENGTH + 2)
            for _ in range(30)
        ]
        for name in ("train", "test")
    }
    return Behavior.from_sequences("strings", list("abcdefghi"), splits, readout or Argmax(outputs))


def shown(network: Network, signal: Behavior, longest: int = 3) -> list[tuple[str, str]]:
    tried = token_triggers(network, signal, longest=longest)
    return [(s.label, str(s.details["pattern"])) for s in tried if s.status is Status.SHOWN]


def test_a_planted_pair_is_found_and_named() -> None:
    assert shown(load(Parity(True)), behavior((0, 1, 2))) == [("c", "h d")]


def test_without_it_nothing_is_found() -> None:
    assert shown(load(Parity(False)), behavior((0, 1, 2))) == []


def test_a_task_that_reads_single_tokens_is_not_accused() -> None:
    assert shown(load(Last()), behavior(tuple(range(LETTERS)))) == []


def test_the_flips_are_the_network_s_own() -> None:
    network, signal = load(Parity(True)), behavior((0, 1, 2))
    (found,) = [s for s in token_triggers(network, signal, longest=3) if s.status is Status.SHOWN]
    ids = torch.tensor([row.input_ids for row in signal.sequences("test") if len(row.input_ids) == LENGTH])
    ids[:, -2:] = torch.from_numpy(found.raw["string"].copy())
    assert (network.logits(ids)[:, -1].argmax(1) == 2).all()
    assert found.details["insertion"]["rate"] == 1.0


def test_a_large_alphabet_goes_by_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exegesis.explain.shortcuts.strings.TRIED", 4)
    assert shown(load(Parity(True)), behavior((0, 1, 2))) == [("c", "h d")]


def test_behaviours_without_one_answer_are_refused() -> None:
    with pytest.raises(InputError, match="no string can force an answer"):
        token_triggers(load(Last()), behavior((0,), Sign()))


def test_rows_that_are_too_short_are_refused() -> None:
    with pytest.raises(InputError, match="rows with more than 40 letters"):
        token_triggers(load(Last()), behavior((0, 1)), longest=40)
