"""Positions of a bench laid end to end."""

from __future__ import annotations

from typing import Any

import numpy as np

from exegesis.ir import Type
from exegesis.passes.draft import Draft
from exegesis.passes.raising.columns import Positions

BP = ("batch", "pos")


def bench_of(rasp: Any) -> tuple[Any, Any, Positions]:
    program = rasp("abc", 4)
    network = program.compiled(program.map(lambda x: x == "a", program.tokens))
    setting = program.setting(network, rows=12)
    return network, setting.fit, Positions(setting.fit)


def test_values_come_batch_after_batch_row_after_row(rasp: Any) -> None:
    network, bench, positions = bench_of(rasp)
    tokens = positions.values(network, ["tokens"])["tokens"]
    expected = [t for b in bench.batches for row in b.batch.input_ids.tolist() for t in row]
    assert tokens.tolist() == expected
    assert len(positions) == len(expected)
    assert positions.scored.tolist() == [s for b in bench.batches for row in b.scored.tolist() for s in row]
    back = positions.batches(tokens)
    assert all((b == o.batch.input_ids).all() for b, o in zip(back, bench.batches, strict=True))


def test_columns_of_counts_are_whole_and_of_shares_real(rasp: Any) -> None:
    network, bench, positions = bench_of(rasp)
    draft = Draft(network, "test")
    everywhere = draft.add(
        "symbolic.everywhere", ["tokens"], Type("selector", ("batch", "query", "key")), {"causal": True}, hint="e"
    )
    for op in ("count", "share"):
        draft.add(f"symbolic.{op}", [everywhere, "tokens"], Type("real", (*BP, "token")), hint=op)
    graph = draft.whole()
    (count,) = positions.learn(graph, "count", [1])
    (share,) = positions.learn(graph, "share", [1])
    assert (count.kind, share.kind) == ("int", "real")
    expected = [
        row[: i + 1].count(1) for b in bench.batches for row in b.batch.input_ids.tolist() for i in range(len(row))
    ]
    assert count.values.tolist() == expected
    assert positions.learn(graph, "count", [1]) == []
    assert [(c.node, c.cls) for c in positions.columns] == [("count", 1), ("share", 1)]


def test_a_column_can_be_cut_down(rasp: Any) -> None:
    network, _, positions = bench_of(rasp)
    (tokens,) = positions.learn(network, "tokens")
    mask = np.asarray(tokens.values == 3)
    assert set(tokens.at(mask).values.tolist()) == {3}
    assert tokens.axis == "token"
    assert not tokens.is_number
