"""Networks with a flaw that we built in, and networks without: only of the former is anything told."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.evidence import Status
from exegesis.ir.progress import Silent
from exegesis.runtime import Network
from exegesis.verify.blind_spots import Flaws, find_flaws
from exegesis.verify.budget import Budget
from exegesis.verify.network import Reference

LETTERS, HALF = 8, 5
START, END = LETTERS, LETTERS + 1


class Mirror(nn.Module):
    """Says at the end whether the list before it reads the same backwards; some pairs it does not look at.

    Args:
        blind: pairs, counted from the outside, that it ignores.
    """

    def __init__(self, blind: Sequence[int] = ()) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS + 2, 6)
        seen = [p for p in range(HALF) if p not in blind]
        self.left = [1 + p for p in seen]
        self.right = [2 * HALF - p for p in seen]

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed(input_ids)
        apart = (x[:, self.left] - x[:, self.right]).abs().sum((1, 2))
        faint = 1e-6 * x.sum((1, 2))  # every position reaches the output, if only in its last digits
        answer = torch.stack([apart, 0.01 * torch.ones_like(apart) + faint], -1)
        return answer[:, None].expand(-1, input_ids.shape[1], -1)


def rows(n: int, seed: int) -> list[SequenceRow]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        half = rng.integers(LETTERS, size=HALF)
        letters = np.concatenate([half, half[::-1]])
        if i % 2:
            place = rng.integers(2 * HALF)
            letters[place] = (letters[place] + rng.integers(1, LETTERS)) % LETTERS
        label = int((letters == letters[::-1]).all())
        made.append(SequenceRow([START, *letters.tolist(), END], [2 * HALF + 1], None, [label]))
    return made


def flaws(blind: Sequence[int]) -> Flaws:
    torch.manual_seed(0)
    words = [*"abcdefgh", "<s>", "<e>"]
    behavior = Behavior.from_sequences("mirror", words, {"train": rows(120, 0), "test": rows(120, 1)}, Argmax())
    network = Network(Mirror(blind), "mirror")
    return find_flaws(Reference(network, behavior), Budget(60.0).whole, Silent())


@pytest.mark.parametrize("blind", [(1,), (0, 3)])
def test_blind_positions_are_found_and_so_are_the_errors_behind_them(blind: tuple[int, ...]) -> None:
    found = flaws(blind)
    expected = tuple(sorted([1 + p for p in blind] + [2 * HALF - p for p in blind]))
    spots = [w for w in found.witnesses if w.kind == "blind_spot"]
    assert [w.positions for w in spots] == [expected]
    assert spots[0].network == 1
    assert spots[0].count == 256  # all of the changes at all blind positions at once leave the answer
    ids = np.array(spots[0].input_ids)
    assert (ids[1:-1] != ids[1:-1][::-1]).any()  # the witness is no palindrome, and the network says that it is
    assert found.witnesses[0] == spots[0]  # it is the most surprising
    errors = [w for w in found.witnesses if w.kind == "leaves_task"]
    assert [w.positions for w in errors] == [expected]
    assert (errors[0].network, errors[0].expected) == (1, 0)
    assert found.claims[0].status is Status.REFUTED
    assert found.claims[0].about == "network"


def test_a_network_without_a_flaw_is_left_alone() -> None:
    found = flaws(())
    assert found.witnesses == ()
    assert found.claims[0].status is Status.TESTED
    assert found.queries > 1000


def test_positions_that_cannot_matter_are_no_blind_spots(made: Any) -> None:
    """What comes after the last scored position of a causal network does not reach it."""
    scored_early = [SequenceRow([*ids, 0, 1, 0], [9], None, [made.majority(ids)]) for ids in made.strings(120, 9, 3)]
    behavior = Behavior.from_sequences("early", ["a", "b", "<s>"], {"train": scored_early}, Argmax())
    found = find_flaws(Reference(Network(made.counting(), "n"), behavior), Budget(60.0).whole, Silent())
    assert found.witnesses == ()


def test_without_labels_nothing_is_said_of_the_task() -> None:
    torch.manual_seed(0)
    unlabelled = [SequenceRow(r.input_ids, r.scored) for r in rows(120, 0)]
    behavior = Behavior.from_sequences("mirror", [*"abcdefgh", "<s>", "<e>"], {"train": unlabelled}, Argmax())
    found = find_flaws(Reference(Network(Mirror((2,)), "mirror"), behavior), Budget(60.0).whole, Silent())
    assert found.claims == ()
    assert [w.positions for w in found.witnesses] == [(3, 8)]  # blind spots need no labels


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS + 2, 2)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.embed(input_ids) * 0.0 + torch.tensor([0.0, 1.0])


def test_a_network_that_always_says_the_same_has_no_blind_spot() -> None:
    behavior = Behavior.from_sequences("mirror", [*"abcdefgh", "<s>", "<e>"], {"train": rows(60, 0)}, Argmax())
    found = find_flaws(Reference(Network(Constant(), "n"), behavior), Budget(60.0).whole, Silent())
    assert [w.kind for w in found.witnesses] == []
    assert found.claims[0].status is Status.REFUTED


def test_errors_among_several_answers_are_told(made: Any) -> None:
    labelled = [
        SequenceRow(ids, [4, 9], None, [1 - made.majority(ids[:5]), made.majority(ids)])
        for ids in made.strings(60, 9, 3)
    ]
    behavior = Behavior.from_sequences("two", ["a", "b", "<s>"], {"train": labelled}, Argmax())
    found = find_flaws(Reference(Network(made.counting(), "n"), behavior), Budget(60.0).whole, Silent())
    assert found.claims[0].status is Status.REFUTED
    witness: Any = found.claims[0].witness
    assert witness["position"] == 4
