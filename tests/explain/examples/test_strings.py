"""Rows of tokens that excite something: the letter that decides is known, and faults are planted."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.explain import Status, Unit
from exegesis.explain.examples import string_examples
from exegesis.explain.examples.strings import _foretells
from exegesis.ir import InputError
from exegesis.runtime import load

LETTERS, LENGTH, PLACE = 4, 6, 2


class Looks(nn.Module):
    """Its first output is a score of the letter at one place; with `parity`, of whether a sum of all is even."""

    def __init__(self, parity: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, LETTERS)
        self.parity, self.scale = parity, scale
        with torch.no_grad():
            self.embedding.weight.copy_(torch.eye(LETTERS))

    def forward(self, input_ids: Tensor) -> Tensor:
        one = self.embedding(input_ids)
        score = one[:, PLACE] @ torch.tensor([3.0, 0.0, 1.0, -1.0])
        if self.parity:
            score = ((input_ids * torch.arange(1, LENGTH + 1) ** 2).sum(1) % 2).float()
        return (self.scale * torch.stack([score, -score], -1))[:, None].expand(-1, LENGTH, -1)


def behavior(n: int = 400) -> Behavior:
    draws = np.random.default_rng(0)
    rows = [SequenceRow([int(t) for t in draws.integers(LETTERS, size=LENGTH)], [LENGTH - 1]) for _ in range(n)]
    return Behavior.from_sequences("looks", list("abcd"), {"train": rows}, Argmax((0, 1)))


def test_the_letter_that_decides_is_framed() -> None:
    found = string_examples(load(Looks()), behavior(), name="outputs 0")
    assert found.status is Status.SHOWN, found.why
    assert (found.arrays["places"][0] == PLACE).all()
    assert (found.arrays["tokens"][0][:, PLACE] == 0).all()
    assert (found.arrays["tokens"][3][:, PLACE] == 3).all()
    assert found.arrays["activation"][0].tolist() == [3.0] * 6
    assert "outputs 0" in found.figure(labels=list("abcd")).alt


def test_rows_are_those_of_the_split() -> None:
    signal = behavior()
    found = string_examples(load(Looks()), signal)
    ids = next(iter(signal.sequences("train").batches())).input_ids
    assert np.array_equal(ids[found.arrays["rows"]], found.arrays["tokens"])


def test_examples_of_what_no_likeness_foretells_are_marked_and_no_letter_is_framed() -> None:
    found = string_examples(load(Looks(parity=True)), behavior())
    assert {c.name: c.passed for c in found.checks}["predicts"] is False
    assert found.status is Status.MARKED
    flat = string_examples(load(Looks()), behavior(), Unit(1), layer="embedding", name="how many b")
    assert {c.name: c.passed for c in flat.checks} == {"varies": True, "predicts": True, "place": True}


def test_strings_that_come_again_are_not_foretold_by_memory() -> None:
    """Numbers dealt out to the 27 strings of three letters: each comes often on both sides, nothing is foretold."""
    letters, passed = torch.arange(3), 0
    for seed in range(40):
        draws = np.random.default_rng(seed)
        tokens = draws.integers(3, size=(300, 3))
        values = draws.random(27)[tokens @ [9, 3, 1]]
        passed += bool(_foretells(torch.from_numpy(tokens), values, letters, 6, seed).passed)
    assert passed <= 6  # of 40, where 5 % are let through; by memory more than a third are
    counted = (tokens == 0).sum(1).astype(float)
    assert _foretells(torch.from_numpy(tokens), counted, letters, 6, 0).passed is True
    nine = _foretells(torch.from_numpy(tokens[:, :2]), counted, letters, 6, 0)
    assert nine.value == 0.0  # six of five have nothing in common that the others lack
    assert nine.passed is False
    few = torch.from_numpy(tokens[:, :1])
    assert "too few" in _foretells(few, counted, letters, 6, 0).reason


def test_examples_of_a_constant_are_withheld() -> None:
    found = string_examples(load(Looks(scale=0.0)), behavior())
    assert found.status is Status.WITHHELD
    assert "Withheld" in found.figure().alt


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="24 are needed for 6 examples"):
        string_examples(load(Looks()), behavior(10))
