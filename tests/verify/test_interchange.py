"""Interchange of programs that are exact, and what is made of counts."""

from typing import Any

import pytest
import torch

from exegesis.evidence import Bound, Measurement, Status, VerdictRule
from exegesis.ir.progress import Silent
from exegesis.lift import lift
from exegesis.runtime import Network
from exegesis.verify import verify
from exegesis.verify.budget import Budget
from exegesis.verify.interchange import ASKED, Effort, measure_interchange
from exegesis.verify.network import Reference
from exegesis.verify.picks import JOINT, WHOLE
from exegesis.verify.program import Judged
from exegesis.verify.tallies import Experiment, Tally, conclude, settled


def test_a_lifted_program_is_exact_at_every_value(made: Any, reference: Reference) -> None:
    """The lift only re-expresses the network: whatever is swapped, both do the same."""
    graph = lift(reference.network.module, {"input_ids": torch.tensor([[2, 0, 1], [2, 1, 1]])}).graph
    effort = Effort(opaque=40)
    found = measure_interchange(Judged(graph), reference, "test", ASKED, Budget(60.0).whole, Silent(), effort)
    assert len(found.whole) == 5  # the head that counts, not the other one: it changes no answer
    figures = {**found.whole, **{f"{k} at one": m for k, m in found.one_position.items()}}
    assert {name for name, m in figures.items() if m.value < 1.0} == set()
    assert {name for name, m in found.unchanged.items() if m.value < 1.0} == set()
    assert found.joint is not None
    assert found.joint.value == 1.0
    assert {c.status for c in found.claims} == {Status.TESTED}


def test_heads_that_trade_places_are_seen_although_nobody_explained_them(made: Any, reference: Reference) -> None:
    """Swapped whole, layers whose heads traded places do the same; head by head they do not."""
    graph = lift(made.counting(head=1), {"input_ids": torch.tensor([[2, 0, 1], [2, 1, 1]])}).graph
    anything = VerdictRule(min_legible_share=-1.0)
    verdict = verify(graph, reference.network, reference.behavior, budget="60s", rule=anything)
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.holds is False
    refuted = {c.statement for c in verdict.claims if c.status is Status.REFUTED}
    assert any(s.startswith("Swapping L0.attn.z[head 1]") for s in refuted)
    own = lift(made.counting(head=0), {"input_ids": torch.tensor([[2, 0, 1], [2, 1, 1]])}).graph
    assert verify(own, reference.network, reference.behavior, budget="60s", rule=anything).holds is True


def test_no_new_length_after_the_deadline(judged: Judged, reference: Reference) -> None:
    over = Budget(1e-9).whole
    found = measure_interchange(judged, reference, "test", ASKED, over, Silent())
    assert found.joint is not None  # one length is always looked at
    assert found.joint.n <= Effort().changed


def counted(right: int, asked: int) -> Measurement:
    return Measurement.proportion("m", right, asked)


@pytest.mark.parametrize(
    ("right", "asked", "outcome"), [(160, 160, True), (60, 160, False), (142, 160, None), (8, 8, None), (0, 3, False)]
)
def test_what_a_sample_tells(right: int, asked: int, outcome: bool | None) -> None:
    assert settled(counted(right, asked), Bound(at_least=0.9, lower_at_least=0.85)) is outcome


def experiment(kind: str, changed: tuple[int, int], unchanged: tuple[int, int] = (0, 0)) -> Experiment:
    return Experiment(kind, -1, Tally(*changed, failure={"x": 1}), Tally(*unchanged, failure={"y": 2}))


@pytest.mark.parametrize(
    ("changed", "unchanged", "status"),
    [
        ((160, 160), (48, 48), Status.TESTED),
        ((160, 160), (10, 10), Status.TESTED),  # few cases that should stay cannot block
        ((160, 160), (20, 48), Status.REFUTED),  # but they can refute
        ((20, 160), (48, 48), Status.REFUTED),
        ((142, 160), (48, 48), Status.CONJECTURED),
        ((5, 5), (48, 48), Status.CONJECTURED),
        ((0, 0), (48, 48), Status.TESTED),  # the program's answer never changes: what counts is that it stays
        ((0, 0), (20, 48), Status.REFUTED),
        ((0, 0), (0, 0), Status.CONJECTURED),
    ],
)
def test_claims_follow_from_counts(changed: tuple[int, int], unchanged: tuple[int, int], status: Status) -> None:
    found = conclude([], [experiment(JOINT, changed, unchanged)], ASKED, "test", (), 0)
    assert found.claims[0].status is status
    assert (found.claims[0].witness is None) == (status is not Status.REFUTED)
    assert (found.joint is None) == (changed[1] == unchanged[1] == 0)


def test_a_tally_keeps_its_null_and_its_note() -> None:
    one = experiment(WHOLE, (9, 10))
    one.permuted = Tally(1, 10)
    one.kind = JOINT
    joint = conclude([], [one], ASKED, "test", (), 0).joint
    assert joint is not None
    assert joint.null_value == 0.1
    assert "random subspaces of equal dimension: not possible" in joint.note


def test_network_and_program_may_name_their_input_differently(made: Any) -> None:
    """A network whose `forward` calls its ids `x` is asked all the same."""

    class Renamed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = made.counting()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    verdict = verify(made.program(), Network(Renamed(), "renamed"), made.behavior(), budget="60s")
    assert verdict.holds is True
