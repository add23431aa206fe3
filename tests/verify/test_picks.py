"""Which cases are looked at: drawn by the program alone, one answer each, none where it predicts nothing."""

from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Argmax, Behavior, SequenceRow
from exegesis.ir import Axis, Graph, Node, Site, Type, check
from exegesis.runtime import Network
from exegesis.verify.alignment import align
from exegesis.verify.network import Reference
from exegesis.verify.picks import JOINT, ONE_POSITION, WHOLE, cases, draw, other_sources, pools
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool

PARTIAL = np.array([True, True])


@pytest.fixture
def pool(judged: Judged, reference: Reference) -> Pool:
    groups = align(judged.graph, reference.exported)
    (found,) = pools(judged, reference, groups, "test", count=4, size=40)
    return found


def test_inputs_of_a_pool_are_different_and_of_one_length(pool: Pool) -> None:
    ids = pool.batch.input_ids.tolist()
    assert len({tuple(row) for row in ids}) == len(ids) == pool.size
    assert pool.size <= 40


def test_kinds_of_swaps(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    whole = draw(pool, WHOLE, 1, PARTIAL, 50, rng)
    assert whole.where[1].all()
    assert not whole.where[0].any()
    assert (whole.base != whole.source[1]).all()
    one = draw(pool, ONE_POSITION, 0, PARTIAL, 50, rng)
    assert (one.where[0].sum(1) == 1).all()
    ids = pool.batch.input_ids
    assert (ids[one.base][one.where[0]] != ids[one.source[0]][one.where[0]]).all()  # the value differs there
    joint = draw(pool, JOINT, -1, np.array([False, True]), 200, rng)
    assert joint.where.any((0, 2)).all()
    assert set(joint.where[0].sum(1).tolist()) <= {0, pool.length}  # the first is swapped in whole or not at all
    assert len(set(joint.where[1].sum(1).tolist())) > 2
    assert (joint.source[0] != joint.source[1]).any()


def test_other_sources_are_others(pool: Pool) -> None:
    swaps = draw(pool, WHOLE, 1, PARTIAL, 100, np.random.default_rng(0))
    other = other_sources(pool, swaps, np.random.default_rng(1))
    assert (other.source != swaps.source).all()
    assert (other.source != other.base).all()


def test_cases_are_what_the_program_changes_and_what_it_leaves(pool: Pool) -> None:
    swaps = draw(pool, WHOLE, 1, PARTIAL, 200, np.random.default_rng(0))
    changed, stays = cases(pool, swaps, np.random.default_rng(1))
    assert len(changed) + len(stays) == 200
    ids = pool.batch.input_ids
    for found, differs in ((changed, True), (stays, False)):
        before = [int((ids[b] == 1).sum() > (ids[b] == 0).sum()) for b in found.swaps.base]
        after = [int((ids[s] == 1).sum() > (ids[s] == 0).sum()) for s in found.swaps.source[1]]
        assert found.before.tolist() == before
        assert found.said.tolist() == after
        assert all((a != b) == differs for a, b in zip(after, before, strict=True))


def test_the_answer_that_is_looked_at_comes_back_from_all_answers(judged: Judged, made: Any) -> None:
    """Rows with several scored positions: the chosen one is found again among the answers of all rows."""
    rows = [SequenceRow(ids, [3, 5, 9]) for ids in made.strings(60, 9, 5)]
    behavior = Behavior.from_sequences("many", ["a", "b", "<s>"], {"train": rows, "test": rows}, Argmax())
    reference = Reference(Network(made.counting(), "n"), behavior)
    (pool,) = pools(judged, reference, align(judged.graph, reference.exported), "test", count=1, size=30)
    swaps = draw(pool, WHOLE, 1, PARTIAL, 120, np.random.default_rng(0))
    changed, _ = cases(pool, swaps, np.random.default_rng(1))
    assert len(set(changed.nth.tolist())) == 3
    again = changed.among(pool, pool.program_says(changed.swaps))
    assert (again == changed.said).all()
    few = changed.take(np.arange(5))
    assert (few.among(pool, pool.program_says(few.swaps)) == changed.said[:5]).all()


def copying_program() -> Graph:
    """Says which of the letters 0 and 1 most positions hold: a tie has no answer of its own."""
    bp = ("batch", "position")
    axes = {a.name: a for a in (Axis("batch"), Axis("position"), Axis("key"), Axis("token", 3), Axis("answer", 3))}
    site = Site("scaled_dot_product_attention", ("batch", "head", "position", "d_head"), index=(("head", 0),))
    selector = Type("selector", (*bp, "key"))
    letters = {"values": [0, 1], "negated": False}
    nodes = (
        Node("tokens", "input.tokens", (), Type("category", bp, "token"), sites=(Site("args_0", bp),)),
        Node("all", "symbolic.everywhere", ("tokens",), selector, {"causal": True}),
        Node("those", "symbolic.where", ("all", "tokens"), selector, letters),
        Node("most", "symbolic.copy", ("those", "tokens"), Type("category", bp, "answer"), sites=(site,)),
        Node("answer", "symbolic.relabel", ("most",), Type("category", bp, "answer"), {"table": []}),
    )
    graph = Graph(nodes, ("answer",), {}, axes, meta={"lifted_bits": 1e4})
    check(graph)
    return graph


def test_ties_and_nothing_to_look_at_predict_nothing(made: Any) -> None:
    rows = [SequenceRow([2, *letters, 2], [5]) for letters in ([0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1], [2, 2, 2, 2])]
    behavior = Behavior.from_sequences("ties", ["a", "b", "<s>"], {"train": rows, "test": rows}, Argmax())
    reference = Reference(Network(made.counting(), "n"), behavior)
    program = Judged(copying_program())
    (pool,) = pools(program, reference, align(program.graph, reference.exported), "test", count=1, size=9)
    swaps = draw(pool, WHOLE, 0, np.array([False, True]), 400, np.random.default_rng(0))
    changed, stays = cases(pool, swaps, np.random.default_rng(1))
    assert set(changed.said.tolist()) == {0, 1}
    contents = pool.batch.input_ids[np.concatenate([changed.swaps.source[0], stays.swaps.source[0]])]
    counts = [(int((row == 0).sum()), int((row == 1).sum())) for row in contents]
    assert all(zeros != ones for zeros, ones in counts)
    assert (0, 0) not in counts


def test_there_is_no_pool_without_two_inputs_of_a_length(judged: Judged, made: Any) -> None:
    rows = [SequenceRow([2, *[1] * n], [n]) for n in range(3, 8)]
    behavior = Behavior.from_sequences("ones", ["a", "b", "<s>"], {"train": rows, "test": rows * 2}, Argmax())
    reference = Reference(Network(made.counting(), "n"), behavior)
    assert pools(judged, reference, (), "test", count=4, size=9) == []
