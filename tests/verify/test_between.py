"""Swaps between positions, on networks over a^n whose only variable is the place of a token."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.evidence import Claim, Status
from exegesis.ir import Axis, Graph, Node, Site, Type, check
from exegesis.runtime import Network
from exegesis.verify import verify
from exegesis.verify.alignment import align
from exegesis.verify.between import can_move, draw_between, like_positions, lone_pools, moved
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool

LENGTHS = range(6, 26)
PERIOD = 3


class Places(nn.Module):
    """Says whether the place of a token is divisible by three, as its position embedding tells it.

    Args:
        reads: what makes the answer out of the embedding [b, s] and the places [s].
        writes: what stands in the embedding at each place.
    """

    def __init__(self, reads: Callable[[Tensor, Tensor], Tensor], writes: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(3, 4), nn.Embedding(64, 4)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        self.reads = reads
        with torch.no_grad():
            self.embed.weight[:, 0] = 0.0
            self.place.weight[:, 0] = writes(torch.arange(64))
            self.mlp[2].weight[0], self.mlp[2].bias[0] = 0.0, 0.0

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        x = self.embed(input_ids) + self.place(position_ids)
        x = x + self.mlp(x)
        yes = self.reads(x[..., 0], torch.arange(input_ids.shape[1]))
        return torch.stack([torch.zeros_like(yes), yes], -1)


def divisible(place: Tensor) -> Tensor:
    """1 where the place is divisible by three, else -1."""
    return 2.0 * (place % PERIOD == 0) - 1.0


def turned(place: Tensor) -> Tensor:
    """1 or -1, by turns of three places."""
    return 1.0 - 2.0 * (place // PERIOD % 2)


def network(kind: str) -> Network:
    """One that runs the program; one that looks elsewhere; one that writes the same value in two ways."""
    made = {
        "own": Places(lambda x, at: x, divisible),
        "elsewhere": Places(lambda x, at: x * 0.0 + divisible(at), divisible),
        "two codes": Places(lambda x, at: x * turned(at), lambda at: divisible(at) * turned(at)),
    }
    return Network(made[kind].eval(), kind)


def behavior() -> Behavior:
    """`<s> a a a … a`, all but the last position asked about: inputs of equal length are equal."""

    def row(n: int) -> SequenceRow:
        places = list(range(n))
        return SequenceRow([2, *[0] * (n - 1)], places[:-1], places, [int(p % PERIOD == 0) for p in places[:-1]])

    rows = [row(n) for n in LENGTHS for _ in range(3)]
    return Behavior.from_sequences("places", ["a", "b", "<s>"], {"train": rows, "test": rows}, Argmax())


def program(period: int = PERIOD) -> Graph:
    """Whether the place of a token is divisible."""
    bp = ("batch", "position")
    names = (Axis("batch"), Axis("position"), Axis("token", 3), Axis("mod", period), Axis("answer", 2))
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", bp, "token"), sites=(Site("args_0", bp),)),
        Node("place", "component.arange", ("tokens",), Type("int", bp)),
        Node("rest", "symbolic.mod", ("place",), Type("category", bp, "mod"), {"period": period}),
        Node("first", "symbolic.is_in", ("rest",), Type("bool", bp), {"values": [0]}),
        Node("answer", "symbolic.choose", ("first",), Type("category", bp, "answer"), {"gives": [1], "other": 0}),
    )
    graph = Graph(nodes, ("answer",), {}, {a.name: a for a in names}, meta={"lifted_bits": 1e4})
    check(graph)
    return graph


@pytest.fixture
def pool() -> Pool:
    reference = Reference(network("own"), behavior(), 0)
    judged = Judged(program())
    found = lone_pools(judged, reference, align(judged.graph, reference.exported, places=True), "test", count=4)
    assert [p.size for p in found] == [1, 1, 1, 1]
    assert len({p.length for p in found}) == 4
    return max(found, key=lambda p: p.length)


def test_the_place_of_a_token_lives_where_positions_become_numbers(pool: Pool) -> None:
    tokens, place = pool.groups
    assert [p.value for p in place.places] == ["embedding_1"]
    assert not can_move(tokens, pool.program)
    assert can_move(place, pool.program)
    assert len(align(pool.program.graph, pool.reference.exported)) == 1  # only swaps between positions tell of places


def test_values_come_from_another_position_that_is_like_their_own(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    swaps = draw_between(pool, [1], True, 200, rng)
    assert swaps.at is not None
    ids, scored = pool.batch.input_ids[0], pool.scored[0]  # type: ignore[union-attr]
    _, row, to = np.nonzero(swaps.where)
    source = swaps.at[1, row, to]
    assert (source != to).all()
    assert (ids[source] == ids[to]).all()
    assert (scored[source] == scored[to]).all()
    assert 0 not in to  # what begins a sequence stands nowhere else
    again = moved(pool, swaps, rng)
    assert again.at is not None
    assert (again.at != swaps.at)[again.where].all()
    one = draw_between(pool, [1], False, 50, rng)
    assert (one.where.sum((0, 2)) == 1).all()
    like = like_positions(pool)
    assert not like.diagonal().any()
    assert like[1:-1, 1:-1].sum() == (pool.length - 2) * (pool.length - 3)
    assert not like[0].any()


def test_both_sides_do_what_a_person_would_do_by_hand(pool: Pool) -> None:
    swaps = draw_between(pool, [1], True, 40, np.random.default_rng(1))
    assert swaps.at is not None
    said, network_said = pool.program_says(swaps), pool.network_says(swaps)
    module = pool.reference.network.module
    for row in range(len(swaps)):
        places = np.where(swaps.where[1, row], swaps.at[1, row], np.arange(pool.length))
        ids = torch.from_numpy(pool.batch.input_ids[:1])  # type: ignore[union-attr]
        by_hand = module(ids, torch.from_numpy(places)[None])[0].argmax(-1)[:-1].tolist()
        at = slice(row * (pool.length - 1), (row + 1) * (pool.length - 1))
        assert said[at].tolist() == [int(p % PERIOD == 0) for p in places[:-1]]
        assert network_said[at].tolist() == by_hand


def claim_about_places(verdict: Any) -> Claim:
    return next(c for c in verdict.claims if c.statement.startswith("Swapping place"))


def test_a_program_of_places_holds_where_the_network_reads_them() -> None:
    verdict = verify(program(), network("own"), behavior(), budget="60s")
    assert verdict.holds is True, verdict.table()[0]
    figures = verdict.figures
    assert figures.joint_interchange is not None
    assert "between positions" in figures.joint_interchange.metric
    assert figures.joint_interchange.null_value is not None
    assert 0.2 < figures.joint_interchange.null_value < 0.8
    assert figures.interchange_between["place"].value == 1.0
    assert figures.necessity["resample"].value == 1.0
    assert "between positions" in claim_about_places(verdict).statement


def test_a_network_that_does_the_same_without_its_embedding_is_refuted() -> None:
    verdict = verify(program(), network("elsewhere"), behavior(), budget="60s")
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.holds is False
    found = claim_about_places(verdict)
    assert found.status is Status.REFUTED
    witness: Any = found.witness
    assert witness["swapped"][0]["from_positions"]
    assert witness["program"] != witness["network"]


def test_a_value_that_is_written_in_two_ways_is_not_held_against_the_program() -> None:
    """Put in elsewhere, it is misread half of the time, whether or not the program is right; so nothing is decided."""
    verdict = verify(program(), network("two codes"), behavior(), budget="60s")
    assert verdict.figures.agreement["test"].value == 1.0
    found = claim_about_places(verdict)
    assert found.status is Status.CONJECTURED
    assert "may be written differently there" in found.missing
    assert verdict.figures.joint_interchange is None
    assert verdict.holds is not True


class Constant(nn.Module):
    """Says 1 everywhere: since nothing reaches the answer, or since a writer takes back what the embedding says."""

    def __init__(self, cancels: bool) -> None:
        super().__init__()
        self.embed, self.place, self.mlp = nn.Embedding(3, 4), nn.Embedding(64, 4), nn.Linear(4, 4)
        with torch.no_grad():
            self.embed.weight[:, 0] = 0.0
            self.place.weight[:, 0] = 3.0 * divisible(torch.arange(64)) * cancels
            self.mlp.weight[0], self.mlp.bias[0] = -torch.eye(4)[0], 0.0

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        x = self.embed(input_ids) + self.place(position_ids)
        x = x + self.mlp(x)
        return torch.stack([x[..., 0], x[..., 0] * 0.0 + 1.0], -1)


def always(also: bool = False) -> Graph:
    """1 everywhere; or only where the token is not b, which no row has."""
    bp = ("batch", "position")
    names = (Axis("batch"), Axis("position"), Axis("token", 3), Axis("answer", 2))
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", bp, "token"), sites=(Site("args_0", bp),)),
        Node("is", "symbolic.is_in", ("tokens",), Type("bool", bp), {"values": [0, 2] if also else [0, 1, 2]}),
        Node("answer", "symbolic.choose", ("is",), Type("category", bp, "answer"), {"gives": [1], "other": 0}),
    )
    return Graph(nodes, ("answer",), {}, {a.name: a for a in names}, meta={"lifted_bits": 1e4})


def constant_behavior() -> Behavior:
    """The same inputs; the task says 1 everywhere."""
    rows = [
        SequenceRow([2, *[0] * (n - 1)], list(range(n - 1)), list(range(n)), [1] * (n - 1))
        for n in LENGTHS
        for _ in range(3)
    ]
    return Behavior.from_sequences("constant", ["a", "b", "<s>"], {"train": rows, "test": rows}, Argmax())


def test_a_constant_program_holds_where_nothing_in_the_network_matters() -> None:
    verdict = verify(always(), Network(Constant(cancels=False), "constant"), constant_behavior(), budget="60s")
    assert verdict.figures.constant is True
    assert verdict.figures.parts_unused == 1  # the writer, too: a constant uses nothing
    assert set(verdict.figures.sufficiency) == {"resample", "mean"}
    assert verdict.figures.joint_interchange is None
    assert verdict.holds is True, verdict.table()[0]


def test_a_constant_program_does_not_hold_where_a_part_keeps_the_answer_constant() -> None:
    verdict = verify(always(), Network(Constant(cancels=True), "cancels"), constant_behavior(), budget="60s")
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.figures.constant is True
    assert verdict.figures.sufficiency["resample"].value < 0.9
    assert verdict.holds is False


def test_a_program_that_varies_on_other_letters_is_not_constant() -> None:
    network_of = Network(Constant(cancels=False), "constant")
    verdict = verify(always(also=True), network_of, constant_behavior(), budget="60s")
    assert verdict.figures.agreement["test"].value == 1.0
    assert verdict.figures.constant is False
    assert verdict.holds is not True
