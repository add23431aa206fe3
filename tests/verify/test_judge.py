"""The judge as a whole: the right program holds, and everything that is planted against it does not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.evidence import Status, Verdict, VerdictRule
from exegesis.ir import Axis, Graph, InputError, Site
from exegesis.runtime import Network
from exegesis.verify import exit_code, shuffled, verify


@pytest.fixture(scope="module")
def holding(made: Any) -> Verdict:
    return verify(made.program(), Network(made.counting(), "counting"), made.behavior(), budget="10m")


def test_the_program_that_the_network_runs_holds(holding: Verdict) -> None:
    assert holding.holds is True, holding.table()[0]
    assert exit_code(holding) == 0
    figures = holding.figures
    assert figures.agreement["test"].value == 1.0
    assert figures.joint_interchange is not None
    assert figures.joint_interchange.value == 1.0
    assert set(figures.interchange) == {"tokens", "seen"}
    assert figures.without_alignment == ("more", "wins")
    assert figures.parts_unused == 1  # the other head; the MLP may be what compares the counts
    assert figures.sufficiency["mean"].value == figures.sufficiency["resample"].value == 1.0
    assert figures.necessity["resample"].value == 1.0
    assert figures.necessity["resample"].null_value == 0.0
    proved = [c for c in holding.claims if c.status is Status.PROVED]
    assert [c.domain for c in proved] == ["the behaviour's domain of 512 inputs"]


def test_one_seed_gives_one_verdict(made: Any, holding: Verdict) -> None:
    again = verify(made.program(), Network(made.counting(), "counting"), made.behavior(), budget="10m")
    assert _untimed(again) == _untimed(holding)
    other = verify(made.program(), Network(made.counting(), "counting"), made.behavior(), budget="10m", seed=1)
    assert _untimed(other) != _untimed(holding)
    assert other.holds is True


def _untimed(verdict: Verdict) -> str:
    return verdict.to_json(timings=False)


def test_a_behavioural_twin_is_told_apart_by_interchange_alone(made: Any) -> None:
    verdict = verify(made.program(head=0), Network(made.counting(head=1), "twin"), made.behavior(), budget="10m")
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.holds is False
    joint = verdict.figures.joint_interchange
    assert joint is not None
    assert joint.value < 0.9
    refuted = [c for c in verdict.claims if c.status is Status.REFUTED]
    assert any("Swapping seen" in c.statement for c in refuted)
    witness: Any = next(c.witness for c in refuted if "Swapping seen" in c.statement)
    assert witness["program"] != witness["network"]
    assert witness["swapped"][0]["variable"] == "seen"


def faults() -> dict[str, Callable[[Any, Graph], Graph]]:
    """A wrong program of every kind of leaf."""
    return {
        "constant": lambda made, g: made.changed(g, "more", attrs={"terms": [[-1, 0, 0], [1, 0, 1]], "plus": 1.5}),
        "coefficient": lambda made, g: made.changed(g, "more", attrs={"terms": [[-1, 0, 0], [1.3, 0, 1]], "plus": 0}),
        "relation": lambda made, g: made.changed(g, "wins", attrs={"is": "<", "to": 0}),
        "classes": lambda made, g: made.changed(g, "more", attrs={"terms": [[-1, 0, 1], [1, 0, 0]], "plus": 0}),
        "selector": lambda made, g: made.changed(g, "all", op="symbolic.back", attrs={"by": 1}),
        "answers": lambda made, g: made.changed(g, "answer", attrs={"gives": [0], "other": 1}),
    }


@pytest.mark.parametrize("fault", faults())
def test_a_planted_fault_does_not_hold(made: Any, fault: str) -> None:
    program = faults()[fault](made, made.program())
    verdict = verify(program, Network(made.counting(), "counting"), made.behavior(), budget="10m")
    assert verdict.holds is False
    assert exit_code(verdict) == 1


def test_a_wrong_alignment_does_not_hold_although_every_answer_is_right(made: Any) -> None:
    verdict = verify(made.program(head=1), Network(made.counting(head=0), "counting"), made.behavior(), budget="10m")
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.holds is False


def test_shuffled_weights_do_not_hold_and_interchange_is_at_its_null(made: Any) -> None:
    network = shuffled(Network(made.counting(), "counting"), seed=3)
    verdict = verify(made.program(), network, made.behavior(), budget="10m")
    assert verdict.holds is False
    joint = verdict.figures.joint_interchange
    assert joint is not None
    assert joint.null_value is not None
    assert joint.lower is not None
    assert joint.lower <= joint.null_value + 0.1


def test_a_rare_difference_is_found_by_the_whole_domain(made: Any) -> None:
    trigger = dict.fromkeys(range(1, 9), 1)  # two of 512 strings; none of them in the test split
    network = Network(made.triggered(trigger), "triggered")
    verdict = verify(made.program(), network, made.behavior(), budget="10m")
    assert verdict.holds is False
    claim = next(c for c in verdict.claims if "every input of the domain" in c.statement)
    assert claim.status is Status.REFUTED
    witness: Any = claim.witness
    assert witness["input_ids"] == [2, 1, 1, 1, 1, 1, 1, 1, 1, 0]  # the first of the two in the domain's order


def test_without_time_it_is_undecided_and_never_holds(made: Any) -> None:
    verdict = verify(made.program(), Network(made.counting(), "counting"), made.behavior(), budget=1e-9)
    assert verdict.holds is None
    assert exit_code(verdict) == 2
    assert verdict.figures.joint_interchange is None


def test_no_pairs_of_inputs_leave_it_undecided(made: Any) -> None:
    behavior = made.behavior(closed=False)
    only = behavior.sequences("test").select(np.zeros(200, dtype=np.int64))
    same = Behavior.from_sequences(
        "same", ["a", "b", "<s>"], {"train": list(only), "test": list(only)}, behavior.readout
    )
    verdict = verify(made.program(), Network(made.counting(), "counting"), same, budget="10m")
    assert verdict.holds is None
    assert verdict.figures.joint_interchange is None


class CannotBeExported(nn.Module):
    """Counts, but decides in Python which way, so that torch.export gives up."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.inner(input_ids) if bool((input_ids.float().mean() > -1).item()) else self.inner(input_ids) * 2


def test_a_network_that_cannot_be_opened_is_undecided(made: Any) -> None:
    network = Network(CannotBeExported(made.counting()), "closed")
    verdict = verify(made.program(), network, made.behavior(), budget="10m")
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.holds is None
    claim = next(c for c in verdict.claims if c.status is Status.CONJECTURED)
    assert "torch.export rejects the network closed" in claim.domain


def placed(made: Any, value: str) -> Graph:
    """The program with its variable somewhere else."""
    return made.changed(made.program(), "seen", sites=(Site(value, ("batch", "position")),))


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (lambda made: made.program(head=7), "at index 7 of 'head', but the network has 2 there"),
        (lambda made: placed(made, "gone"), "lives at 'gone', a value that the network counting does not have"),
        (lambda made: placed(made, made.z), "there the network counting has a value of 4 axes"),
    ],
)
def test_sites_that_do_not_exist_are_refused(made: Any, program: Callable[[Any], Graph], sentence: str) -> None:
    with pytest.raises(InputError) as refusal:
        verify(program(made), Network(made.counting(), "counting"), made.behavior(), budget="10m")
    assert sentence in str(refusal.value)


def test_vocabularies_that_do_not_match_are_refused(made: Any) -> None:
    program = made.program()
    small = replace(program, axes={**program.axes, "token": Axis("token", 2)})
    with pytest.raises(InputError, match="knows 2 tokens, but behaviour counting uses token id 2"):
        verify(small, Network(made.counting(), "counting"), made.behavior())
    large = replace(program, axes={**program.axes, "token": Axis("token", 9)})
    with pytest.raises(InputError, match="knows 9 tokens, but the network counting has 3"):
        verify(large, Network(made.counting(), "counting"), made.behavior())
    named = replace(program, axes={**program.axes, "token": Axis("token", 3, ("x", "b", "<s>"))})
    with pytest.raises(InputError, match="calls token 0 'x', but behaviour counting calls it 'a'"):
        verify(named, Network(made.counting(), "counting"), made.behavior())


def test_a_rule_about_a_split_that_is_not_there_is_refused(made: Any) -> None:
    rule = VerdictRule.for_splits(("test", "long"))
    with pytest.raises(InputError, match="agreement on split 'long'"):
        verify(made.program(), Network(made.counting(), "counting"), made.behavior(), rule=rule)


def test_the_network_is_left_as_it_was(made: Any) -> None:
    module = made.counting()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    verify(made.program(), Network(module, "counting"), made.behavior(), budget="20s")
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
