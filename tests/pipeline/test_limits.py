"""What is found of networks whose limits are known, and what is said where there are none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from limited_networks import BOS, LETTERS, echo, echo_behavior
from torch import nn

from exegesis.behavior import Argmax, Behavior
from exegesis.ir import InputError
from exegesis.pipeline.limits import limits
from exegesis.pipeline.limits_truth import load_truth, with_truth
from exegesis.runtime import load

TRUTH = "def answers(ids):\n    return list(ids)\n"


def test_a_planted_limit_is_told_in_a_sentence() -> None:
    found = limits(echo(lambda ids, places: (places >= 15) & (ids == 2)), echo_behavior(), seed=0)
    assert found.flawed
    assert found.separation is not None
    assert found.separation.found
    told = found.sentences()
    assert told[0].startswith(f"Wrong on {found.wrong} of ")
    assert "the token is c" in told[1]
    assert "the position (counted from 0) is at least 15" in told[1]
    assert "100 %" in told[1]
    assert found.unexplained == 0
    assert [k.what for k in found.kinds] == ["says d where c is expected"]
    assert found.why_no_repairs == "no attention head was recognised"
    assert sum(t.wrong for t in found.by_length) == sum(t.wrong for t in found.by_position) == found.wrong
    json.dumps(found.record(), allow_nan=False)


def test_a_network_without_failures_is_said_to_have_none() -> None:
    found = limits(echo(lambda ids, places: ids < 0), echo_behavior(), seed=0)
    assert not found.flawed
    assert found.separation is None
    assert found.sentences()[0].startswith("No failures found: all ")
    json.dumps(found.record(), allow_nan=False)


def test_a_truth_takes_the_place_of_labels_and_further_inputs_are_searched(tmp_path: Path) -> None:
    """Three equal letters in a row are rare in the data; the search finds some."""
    file = tmp_path / "task.py"
    file.write_text(TRUTH)
    rare = echo(lambda ids, places: (ids == 4) & (ids.roll(1, 1) == 4) & (ids.roll(2, 1) == 4) & (places > 2))
    behavior = echo_behavior(rows=8, longest=6)
    found = limits(rare, behavior, truth=f"{file}:answers", search=20.0, seed=0)
    assert not found.wrong
    assert found.hunts[0].found
    first = found.hunts[0].found[0]
    assert "eee" in first.text
    assert (first.said, first.right) == (5, 4)
    assert found.flawed
    assert "differs from the truth" in found.sentences()[-1]


class Parity(nn.Module):
    """Whether the numbers of the letters add up to something odd, position 3 left out."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        counted = input_ids.index_fill(1, torch.tensor([3]), 0)
        odd = counted.sum(1, keepdim=True).expand(input_ids.shape) % 2
        return self.scale * nn.functional.one_hot(odd, 2).float()


def test_a_position_that_the_network_does_not_look_at_is_told() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 6, (80, 8))
    rows = [{"input_ids": r.tolist(), "scored": [7], "expected": [int(r.sum() % 2)]} for r in ids]
    behavior = Behavior.from_sequences("parity", [*"abcdef"], {"test": rows}, Argmax(), output_names=("even", "odd"))
    found = limits(load(Parity()), behavior, search=20.0, seed=0)
    assert found.flawed
    assert found.blind
    assert "whatever stands at positions 3" in found.blind[0]
    assert found.blind[0] in found.sentences()


def test_labels_are_what_the_truth_says(tmp_path: Path) -> None:
    file = tmp_path / "task.py"
    file.write_text("def answers(ids):\n    return [0] * len(ids)\n")
    labelled = with_truth(echo_behavior(rows=3), load_truth(f"{file}:answers"))
    assert all(set(row.expected or []) == {0} for row in labelled.sequences("test"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def answers(ids):\n    return [0]\n", "one answer per position"),
        ("def answers(ids):\n    raise ValueError('no')\n", "The truth fails on"),
        ("def other(ids):\n    return ids\n", "has no function 'answers'"),
        ("1 / 0\n", "cannot be imported"),
    ],
)
def test_a_truth_that_cannot_be_used_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "task.py"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence):
        with_truth(echo_behavior(rows=3), load_truth(f"{file}:answers"))


def test_behaviours_without_labels_are_refused() -> None:
    rows = [{"input_ids": [BOS, 1, 2], "scored": [1, 2]}]
    behavior = type(echo_behavior(rows=3)).from_sequences(
        "unlabelled", [*"abcdef", "<bos>"], {"train": rows}, echo_behavior(rows=3).readout
    )
    assert len(behavior.vocabulary) == LETTERS + 1
    with pytest.raises(InputError, match="name a --truth"):
        limits(echo(lambda ids, places: ids < 0), behavior)
