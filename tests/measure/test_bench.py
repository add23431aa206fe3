"""The bench: what it serves, in which order, and how it counts agreement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Behavior, SequenceSplit, Sign
from exegesis.ir import Axis, Graph, InputError, Node, Type
from exegesis.measure import Bench

EVERY = ("batch", "pos")
AXES = {a.name: a for a in (*map(Axis, EVERY), Axis("token", 4), Axis("output", 4))}
LOGITS = Type("real", (*EVERY, "output"))


def network(table: np.ndarray) -> Graph:
    """Outputs that depend on the token alone."""
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", EVERY, "token")),
        Node("logits", "component.embed", ("tokens",), LOGITS, tensors={"weight": "w"}),
    )
    return Graph(nodes, ("logits",), {"w": table.astype(np.float32)}, AXES)


def relabelling(table: list[list[int]]) -> Graph:
    """A program that answers itself."""
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", EVERY, "token")),
        Node("answer", "symbolic.relabel", ("tokens",), Type("category", EVERY, "token"), {"table": table}),
    )
    return Graph(nodes, ("answer",), axes=AXES)


ROWS = [[0, 1, 2], [3, 3, 1, 0, 2], [1, 1, 1], [2, 0], [0, 1, 2, 3, 0]]
SCORED = [[0, 2], [1, 3, 4], [2], [1], [0, 1, 2, 3, 4]]


@pytest.fixture
def split() -> SequenceSplit:
    rows = [{"input_ids": r, "scored": s} for r, s in zip(ROWS, SCORED, strict=True)]
    return Behavior.from_sequences("b", list("abcd"), {"train": rows}, Argmax()).sequences("train")


def scored_tokens() -> list[int]:
    """Tokens at scored positions, by length and then by row, counted by hand."""
    order = sorted(range(len(ROWS)), key=lambda r: (len(ROWS[r]), r))
    return [ROWS[r][t] for r in order for t in SCORED[r]]


def test_answers_and_values_come_by_length_then_row(split: SequenceSplit) -> None:
    table = np.eye(4)[[2, 0, 3, 1]]
    bench = Bench(network(table), Argmax(), split)
    assert bench.n == len(scored_tokens()) == 12
    assert bench.answers.tolist() == [[2, 0, 3, 1][t] for t in scored_tokens()]
    found = bench.at_scored(network(table), ["tokens", "logits"])
    assert found["tokens"].tolist() == scored_tokens()
    np.testing.assert_array_equal(found["logits"], table[scored_tokens()])


@pytest.mark.parametrize("max_tokens", [1, 6, 100])
def test_the_size_of_batches_changes_nothing(split: SequenceSplit, max_tokens: int) -> None:
    bench = Bench(network(np.eye(4)), Argmax(), split, max_tokens=max_tokens)
    assert all(b.scored.numel() <= max(max_tokens, b.scored.shape[1]) for b in bench.batches)
    assert bench.answers.tolist() == scored_tokens()


def test_agreement_is_counted_at_scored_positions(split: SequenceSplit) -> None:
    bench = Bench(network(np.eye(4)), Argmax(), split)
    assert bench.agreement(network(np.eye(4))) == 1.0
    assert bench.agreement(relabelling([])) == 1.0
    wrong = scored_tokens().count(3)
    assert 0 < wrong < bench.n
    assert bench.agreement(relabelling([[3, 0]])) == pytest.approx(1 - wrong / bench.n)


def test_sets_agree_only_whole(split: SequenceSplit) -> None:
    truth = np.where(np.tri(4), 1.0, -1.0)  # token k allows 0 … k
    bench = Bench(network(truth), Sign(), split)
    almost = truth.copy()
    almost[2, 3] = 1.0
    assert bench.agreement(network(almost)) == pytest.approx(1 - scored_tokens().count(2) / bench.n)


def test_values_may_be_put_in_place_batch_by_batch(split: SequenceSplit) -> None:
    bench = Bench(network(np.eye(4)), Argmax(), split)
    zero = torch.eye(4)[0]
    given = bench.agreement_given(
        network(np.eye(4)), lambda k: {"logits": zero.expand(*bench.batches[k].scored.shape, 4)}
    )
    assert given == pytest.approx(scored_tokens().count(0) / bench.n)


def test_a_sample_keeps_whole_batches_of_many_lengths(split: SequenceSplit) -> None:
    bench = Bench(network(np.eye(4)), Argmax(), split, max_tokens=1)
    part = bench.sample(9)
    assert 0 < part.n < bench.n
    assert all(any(b is o for o in bench.batches) for b in part.batches)
    assert part.n == sum(len(b.answers) for b in part.batches)
    assert bench.sample(1).batches, "one batch at least"
    assert [id(b) for b in bench.sample(10**6).batches] == [id(b) for b in bench.batches]


def test_nothing_scored_is_no_behaviour(split: SequenceSplit) -> None:
    with pytest.raises(InputError, match="no scored position"):
        Bench(network(np.eye(4)), Argmax(), replace(split, scored=np.zeros_like(split.scored)))
