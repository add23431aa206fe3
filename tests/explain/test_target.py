"""What is explained, and clear sentences for what does not exist."""

import pytest
import torch

from exegesis.behavior import Argmax
from exegesis.explain import Direction, Distance, Target, TargetError, Unit

OUTPUTS = torch.tensor([[1.0, 5.0, 3.0], [4.0, 2.0, 9.0]])
SEQUENCE = torch.arange(24.0).reshape(2, 4, 3)


def test_the_networks_own_answer_is_the_largest_output() -> None:
    read = Target().bind(OUTPUTS, None, None)
    assert read(OUTPUTS, torch.tensor([0, 1])).tolist() == [5.0, 9.0]
    assert read(OUTPUTS[[1, 0]], torch.tensor([0, 1])).tolist() == [2.0, 3.0]  # bound: rows 0 and 1 explain 1 and 2
    assert Target().answers(OUTPUTS, None, Argmax((0, 2))).tolist() == [2, 2]


def test_differences_and_positions() -> None:
    assert Target(1, 0).bind(OUTPUTS, None, None)(OUTPUTS, torch.tensor([0, 1])).tolist() == [4.0, -2.0]
    at = torch.tensor([1, 3])
    assert Target(2).bind(SEQUENCE, at, None)(SEQUENCE, torch.tensor([0, 1])).tolist() == [5.0, 23.0]
    assert Target(0, position=-1).bind(SEQUENCE, at, None)(SEQUENCE, torch.tensor([1])[:1]).tolist() == [9.0]


@pytest.mark.parametrize(
    ("target", "outputs", "said"),
    [
        (Target(3), OUTPUTS, "There is no output 3: the network has 3, counted from 0"),
        (Target(0, 7), OUTPUTS, "There is no output 7"),
        (Target(0, position=2), OUTPUTS, "one output vector per input"),
        (Target(0, position=4), SEQUENCE, "no position 4 in sequences of 4 tokens"),
        (Target(0), SEQUENCE, "Which position"),
        (Unit(5), OUTPUTS, "no channel 5: the layer has 3"),
        (Unit(0, (9, 0)), torch.zeros(2, 3, 4, 4), r"no place \(9, 0\)"),
        (Distance((5,)), SEQUENCE, r"no place \(5,\)"),
        (Direction(torch.ones(2)), OUTPUTS, "does not fit a layer of 3 channels"),
        (Target(0), torch.zeros(2, 3, 4, 4), "An output is explained in outputs"),
    ],
)
def test_what_does_not_exist_is_one_clear_sentence(target: Target, outputs: torch.Tensor, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        target.bind(outputs, None, None)


def test_units_and_directions_average_over_places() -> None:
    layer = torch.arange(32.0).reshape(2, 4, 2, 2)
    rows = torch.tensor([0, 1])
    assert Unit(1).bind(layer, None, None)(layer, rows).tolist() == [5.5, 21.5]
    assert Unit(1, (0, 1)).bind(layer, None, None)(layer, rows).tolist() == [5.0, 21.0]
    both = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert Direction(both).bind(layer, None, None)(layer, rows).tolist() == [7.0, 39.0]
    assert Unit(2, (-1,)).bind(SEQUENCE, None, None)(SEQUENCE, rows).tolist() == [11.0, 23.0]


def test_distance_is_from_the_mean_of_what_it_is_bound_to() -> None:
    at = SEQUENCE.reshape(-1, 3)
    centre = at.mean(0)
    read = Distance().bind(SEQUENCE, None, None)
    expected = (at - centre).norm(dim=1).reshape(2, 4)
    assert torch.allclose(read(SEQUENCE, torch.tensor([0, 1])), expected.mean(1))
    assert torch.allclose(read(SEQUENCE[:1], torch.tensor([0])), expected[:1].mean(1))  # bound: the centre stays
    last = Distance((-1,)).bind(SEQUENCE, None, None)
    assert torch.allclose(last(SEQUENCE, torch.tensor([0, 1])), expected[:, -1])


def test_targets_from_the_command_line() -> None:
    assert Target.parse("answer") == Target()
    assert Target.parse("7-9", 2) == Target(7, 9, 2)
    for wrong in ("seven", "7-", "-1", ""):
        with pytest.raises(TargetError, match="A target is `answer`"):
            Target.parse(wrong)
