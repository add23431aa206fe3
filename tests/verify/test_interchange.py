"""Interchange of programs that are exact, and what is made of counts."""

from typing import Any

import pytest
import torch

from exegesis.evidence import Bound, Measurement, Status, VerdictRule
from exegesis.ir.progress import Silent
from exegesis.lift import lift
from exegesis.runtime import Network
from exegesis.verify import ablation, judge, verify
from exegesis.verify.budget import Budget
from exegesis.verify.interchange import ASKED, Effort, Exchange
from exegesis.verify.network import Reference
from exegesis.verify.picks import JOINT, JOINT_BETWEEN, WHOLE
from exegesis.verify.program import Judged
from exegesis.verify.tallies import Experiment, Tally, conclude, more_cases, settled


def test_a_lifted_program_is_exact_at_every_value(made: Any, reference: Reference) -> None:
    """The lift only re-expresses the network: whatever is swapped, both do the same."""
    graph = lift(reference.network.module, {"input_ids": torch.tensor([[2, 0, 1], [2, 1, 1]])}).graph
    effort = Effort(opaque=40)
    exchange = Exchange(Judged(graph), reference, "test", ASKED, effort)
    exchange.run(Budget(60.0).whole, Silent())
    found = exchange.concluded()
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
    exchange = Exchange(judged, reference, "test", ASKED)
    exchange.run(over, Silent())
    found = exchange.concluded()
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


def test_an_open_claim_says_how_many_more_cases_would_tell() -> None:
    found = conclude([], [experiment(JOINT, (142, 160), (48, 48))], ASKED, "test", (), 0).claims[0]
    assert found.status is Status.CONJECTURED
    assert "0.887 of 160 cases, between 0.828 and 0.932, where 0.9 is asked" in found.missing
    more = more_cases(counted(142, 160), ASKED)
    assert more is not None
    assert f"about {more} more cases would tell" in found.missing
    enough = 160 + more
    assert settled(counted(round(142 / 160 * enough), enough), ASKED) is False  # so many would have told
    assert more_cases(counted(160, 160), ASKED) == 0
    assert more_cases(counted(89_999, 100_000), ASKED) is None
    assert conclude([], [experiment(JOINT, (0, 0))], ASKED, "test", (), 0).claims[0].missing == "no case was looked at"


def test_every_further_look_is_asked_for_more() -> None:
    """Looking again at twenty experiments that are open by chance does not make a claim of one of them."""
    looked = experiment(JOINT, (288, 320), (96, 96))
    first = conclude([], [looked], ASKED, "test", (), 0)
    assert first.claims[0].status is Status.TESTED
    looked.looks = 3
    third = conclude([], [looked], ASKED, "test", (), 0)
    assert third.joint is not None
    assert third.joint.confidence == 0.9875
    assert "looked at 3 times" in third.joint.note
    assert first.joint is not None
    assert first.joint.lower is not None
    assert third.joint.lower is not None
    assert third.joint.lower < first.joint.lower


@pytest.mark.parametrize(
    ("changed", "alike", "status"),
    [
        ((160, 160), (60, 60), Status.TESTED),
        ((160, 160), (0, 0), Status.TESTED),  # where all do as said, nobody needs to know why
        ((20, 160), (60, 60), Status.REFUTED),  # values that mean the same do the same, but not what is said
        ((20, 160), (30, 60), Status.CONJECTURED),  # they do not: what is put in is misread
        ((20, 160), (3, 3), Status.CONJECTURED),  # who knows
        ((0, 0), (0, 0), Status.CONJECTURED),  # nothing changed hands
    ],
)
def test_a_failure_between_positions_counts_where_values_are_written_alike(
    changed: tuple[int, int], alike: tuple[int, int], status: Status
) -> None:
    looked = experiment(JOINT_BETWEEN, changed, (48, 48))
    looked.alike = Tally(*alike)
    found = conclude([], [looked], ASKED, "test", (), 0)
    assert found.claims[0].status is status
    assert (found.joint is None) == (status is Status.CONJECTURED)
    assert bool(found.claims[0].missing) == (status is Status.CONJECTURED)


def test_more_cases_go_to_what_is_open_alone(judged: Judged, reference: Reference) -> None:
    few = Effort(changed=12, unchanged=4, null=2, pools=1)  # 12 of 12 have a lower bound of .74: open
    exchange = Exchange(judged, reference, "test", ASKED, few)
    exchange.run(Budget(1e-9).whole, Silent())
    done = exchange.experiments[0]
    done.changed.right = done.changed.asked = 160
    still = exchange.open
    assert still
    assert done not in still
    needed = exchange.seconds_to_decide()
    assert needed is not None
    assert needed > 0
    before = {id(e): e.changed.asked for e in exchange.experiments}
    exchange.run(Budget(60.0).whole, Silent())
    assert exchange.open == []
    assert exchange.seconds_to_decide() == 0.0
    assert [e for e in exchange.experiments if e.changed.asked > before[id(e)]] == still
    assert {e.looks for e in still} == {3}  # 24 of 24 at 0.975 have a lower bound of .83, 48 of 48 are enough
    assert {c.status for c in exchange.concluded().claims} == {Status.TESTED}


def test_time_that_is_left_goes_to_what_is_open(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network, behavior = Network(made.counting(), "counting"), made.behavior()
    monkeypatch.setattr(ablation, "_CASES", 24)  # too few to tell at the first look,
    monkeypatch.setattr(judge, "SHARES", {**judge.SHARES, "ablation": 2e-3})  # and hardly time for a second one
    verdict = verify(made.program(), network, behavior, budget="60s")
    assert verdict.holds is True, verdict.table()[0]
    assert "open claims" in verdict.figures.stage_seconds
    monkeypatch.setattr(judge.Judge, "_reopen", lambda self: None)
    without = verify(made.program(), network, behavior, budget="60s")
    assert without.holds is None
    still = [c for c in without.claims if c.status is Status.CONJECTURED]
    assert [c.missing for c in still if "more cases would tell" not in c.missing] == []
    assert len(still) == 1


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
