"""Heads and readouts raised on networks whose algorithm is known: counting, looking back, and induction.

The reference is the algorithm itself, written in plain Python and run on strings of lengths that the passes never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.ir import Graph, check, price
from exegesis.passes.grouping.group_functions import GroupFunctions
from exegesis.passes.manager import Manager, Setting
from exegesis.passes.naming.name_variables import NameVariables
from exegesis.passes.raising.raise_heads import RaiseHeads
from exegesis.passes.raising.raise_readout import RaiseReadout
from exegesis.runtime import Executor

N, PLACES = 5, 24
BOS = N
V = N + 1
D = 3 * V + PLACES
TOKEN, PLACE, BEFORE, FOUND = (
    slice(0, V),
    slice(V, V + PLACES),
    slice(V + PLACES, 2 * V + PLACES),
    slice(2 * V + PLACES, D),
)
"""The stream: the token, the position, the token before, and what a head found."""


def start(hand: Any) -> Any:
    embed, places = np.zeros((V, D)), np.zeros((PLACES, D))
    embed[:, TOKEN], places[:, PLACE] = np.eye(V), np.eye(PLACES)
    return hand.start(embed, places)


def reading(part: slice, weight: np.ndarray | None = None) -> np.ndarray:
    """An unembedding of one part of the stream."""
    found = np.zeros((D, V))
    found[part] = np.eye(V) if weight is None else weight
    return found


def previous(hand: Any) -> Graph:
    head = hand.previous_token(D, TOKEN, BEFORE, PLACE)
    return start(hand).attention("L0", [head]).unembed(reading(BEFORE))


def counting(hand: Any) -> Graph:
    """1 where token 1 occurred more often than token 0, else 0."""
    compare = np.zeros((V, V))
    compare[1, 1], compare[0, 1] = 50.0, -50.0
    bias = np.full(V, -1e3)
    bias[:2] = 0.0, -1.0
    head = hand.averaging(D, TOKEN, FOUND)
    return start(hand).attention("L0", [head]).unembed(reading(FOUND, compare), bias)


def induction(hand: Any) -> Graph:
    first = hand.previous_token(D, TOKEN, BEFORE, PLACE)
    second = hand.same_category(D, TOKEN, BEFORE, TOKEN, FOUND)
    return start(hand).attention("L0", [first]).attention("L1", [second]).unembed(reading(FOUND))


def repeated(lengths: tuple[int, int], n: int = 150, seed: int = 0) -> list[list[int]]:
    """Distinct letters, then some of them again."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        letters = rng.permutation(N)[: int(rng.integers(2, N + 1))]
        again = rng.choice(letters[:-1], int(rng.integers(*lengths)))
        rows.append([BOS, *letters.tolist(), *again.tolist()])
    return rows


def second_half(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Positions of the letters that come again first: what followed them is not in doubt."""
    return [[i for i, t in enumerate(r) if r[:i].count(t) == 1] for r in rows]


ALGORITHMS = {
    "previous": lambda row, t: row[max(t - 1, 0)],
    "counting": lambda row, t: int(row[: t + 1].count(1) > row[: t + 1].count(0)),
    "induction": lambda row, t: row[row.index(row[t]) + 1],
}
NETWORKS = {"previous": previous, "counting": counting, "induction": induction}


def rows_for(name: str, lengths: tuple[int, int], strings: Any, seed: int) -> tuple[list[Any], list[Any]]:
    if name == "induction":
        rows = repeated((1, 4) if lengths[1] < 10 else (6, 10), seed=seed)
        scored = second_half(rows)
        kept = [(r, s) for r, s in zip(rows, scored, strict=True) if s]
        return [r for r, _ in kept], [s for _, s in kept]
    rows = strings(150, N, lengths, first=BOS, seed=seed)
    return rows, [list(range(1, len(r))) for r in rows]


def bench(hand: Any, strings: Any, name: str) -> tuple[Graph, Setting]:
    graph = NETWORKS[name](hand)
    return graph, hand.setting_of(graph, hand.split_of(*rows_for(name, (3, 9), strings, 0)))


def raised(graph: Graph, setting: Setting) -> tuple[Graph, Manager]:
    manager = Manager(setting)
    for step in (RaiseHeads(), RaiseReadout(), GroupFunctions(), NameVariables()):
        graph = manager.run(graph, step)
        assert manager.records[-1].skipped is None, manager.records[-1]
    return graph, manager


def agrees(graph: Graph, name: str, rows: Sequence[list[int]], scored: Sequence[list[int]]) -> bool:
    """Whether a graph answers as the algorithm does, wherever that is scored."""
    out, run = graph.outputs[0], Executor(graph)
    for row, places in zip(rows, scored, strict=True):
        value = run.run({n.id: torch.tensor([row]) for n in graph.inputs}, [out])[out][0]
        answers = (value.argmax(-1) if value.ndim == 2 else value).tolist()
        if [answers[t] for t in places] != [ALGORITHMS[name](row, t) for t in places]:
            return False
    return True


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_runs_its_algorithm(hand: Any, strings: Any, name: str) -> None:
    """Else the tests below would say nothing."""
    assert agrees(NETWORKS[name](hand), name, *rows_for(name, (3, 9), strings, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_program_runs_the_algorithm_on_lengths_it_never_saw(hand: Any, strings: Any, name: str) -> None:
    graph, setting = bench(hand, strings, name)
    program, _ = raised(graph, setting)
    check(program)
    assert price(program).opaque_bits == 0
    assert agrees(program, name, *rows_for(name, (12, 20), strings, 1))


def test_looking_back_is_named(hand: Any, strings: Any) -> None:
    program, _ = raised(*bench(hand, strings, "previous"))
    answer = program[program.outputs[0]]
    assert answer.op == "symbolic.copy"
    assert program[answer.inputs[0]].op == "symbolic.back"
    assert program[answer.inputs[0]].attrs == {"by": 1}
    assert answer.name == "previous"
    assert [(s.value, s.index) for s in answer.sites] == [("L0.attn.z", (("head", 0),))]


def test_counting_is_a_comparison_of_counts(hand: Any, strings: Any) -> None:
    program, manager = raised(*bench(hand, strings, "counting"))
    ops = [n.op for n in program.nodes]
    assert "symbolic.everywhere" in ops
    assert "symbolic.count" in ops
    forms = [n for n in program.nodes if n.op == "symbolic.form"]
    assert sorted((t[0], t[2]) for t in forms[0].attrs["terms"]) in ([(-1, 0), (1, 1)], [(-1, 1), (1, 0)])
    assert {"raise_heads", "raise_readout", "name_variables"} <= {r.name for r in manager.records if r.applied}


def test_induction_reads_what_the_first_layer_found(hand: Any, strings: Any) -> None:
    program, _ = raised(*bench(hand, strings, "induction"))
    answer = program[program.outputs[0]]
    match = program[answer.inputs[0]]
    assert (answer.op, match.op) == ("symbolic.copy", "symbolic.match")
    asked, held = (program[i] for i in match.inputs)
    assert (asked.id, held.op) == ("tokens", "symbolic.copy")
    assert program[held.inputs[0]].attrs == {"by": 1}
    assert {s.value for s in answer.sites} == {"L1.attn.z"}
    assert {s.value for s in held.sites} == {"L0.attn.z"}


def test_a_head_that_nothing_needs_is_dropped(hand: Any, strings: Any) -> None:
    """A second head that writes the same at every position changes no answer."""
    first = hand.previous_token(D, TOKEN, BEFORE, PLACE)
    idle = replace(first, q=np.zeros_like(first.q), o=np.zeros_like(first.o))
    graph = start(hand).attention("L0", [first, idle]).unembed(reading(BEFORE))
    rows, scored = rows_for("previous", (3, 9), strings, 0)
    found = RaiseHeads().run(graph, hand.setting_of(graph, hand.split_of(rows, scored)))
    assert "L0.attn.out" not in found.graph.by_id, "both heads are gone from the block"
    assert [a.where for a in found.attempts] == ["L0H0", "L0H1"]
    assert all(a.applied for a in found.attempts)


def test_two_heads_that_do_one_thing_are_one_variable(hand: Any, strings: Any) -> None:
    first = hand.previous_token(D, TOKEN, BEFORE, PLACE)
    half = replace(first, o=first.o / 2)
    graph = start(hand).attention("L0", [half, half]).unembed(reading(BEFORE))
    rows, scored = rows_for("previous", (3, 9), strings, 0)
    program, _ = raised(graph, hand.setting_of(graph, hand.split_of(rows, scored)))
    answer = program[program.outputs[0]]
    assert [s.index for s in answer.sites] == [(("head", 0),), (("head", 1),)]


def test_attention_that_no_idiom_fits_stays_opaque(hand: Any, strings: Any) -> None:
    """A head that prefers places by a random table of its token; its answers hang on every weight."""
    rng = np.random.default_rng(0)
    q, k = np.zeros((D, PLACES)), np.zeros((D, PLACES))
    q[TOKEN], k[PLACE] = 3.0 * rng.normal(size=(V, PLACES)), np.eye(PLACES)
    value, write = np.zeros((D, V)), np.zeros((V, D))
    value[TOKEN], write[:, FOUND] = np.eye(V), np.eye(V)
    graph = start(hand).attention("L0", [hand.Head(q, k, value, write)]).unembed(reading(FOUND))
    rows, scored = rows_for("previous", (6, 12), strings, 0)
    setting = hand.setting_of(graph, hand.split_of(rows, scored))
    manager = Manager(setting)
    found = manager.run(graph, RaiseHeads())
    assert [a.applied for a in manager.records[0].attempts] == [False]
    assert "L0.attn.out" in found.by_id
    answered = manager.run(found, RaiseReadout())
    assert answered.outputs == ("logits",), "no readout was made up"
    assert price(answered).opaque_bits > 0


def test_what_the_passes_require(hand: Any) -> None:
    bare = hand.start(np.eye(3)).unembed(np.eye(3))
    assert RaiseHeads().requires(bare) == "no attention block was recognised"
    assert RaiseReadout().requires(bare) is None
    answered = replace(bare, outputs=("tokens",))
    assert RaiseReadout().requires(answered) == "the program gives answers already"
    assert GroupFunctions().requires(bare) == "no variable has an alignment"
    assert NameVariables().requires(bare) == "nothing is symbolic yet"


def test_readouts_are_accepted_on_other_rows(hand: Any, strings: Any) -> None:
    """Fitted where token 4 never occurs, a rule for the rest is refused where it does."""
    swap = np.eye(V)[[0, 1, 2, 3, 5, 5]]
    graph = start(hand).attention("L0", [hand.averaging(D, TOKEN, FOUND)]).unembed(reading(TOKEN, swap))
    few, all_ = strings(80, 4, (3, 9), seed=0), strings(80, N, (3, 9), seed=1)
    setting = hand.setting_of(graph, hand.split_of(few), held=hand.split_of(all_))
    found = RaiseReadout().run(graph, setting)
    assert found.attempts
    assert not any(a.applied for a in found.attempts)
    assert found.graph.outputs == ("logits",)
    assert all(dict(a.figures)["held-out agreement"] < 0.99 for a in found.attempts)


def test_a_network_that_hesitates_is_read_as_what_it_mostly_says(hand: Any, strings: Any) -> None:
    """It copies the token before; at a few places, depending on much else, it says another.

    Every readout errs there on the inputs it is fitted to. One is taken that errs as seldom as asked on others.
    """
    rng = np.random.default_rng(0)
    weight = reading(BEFORE)
    weight[PLACE] = 0.2 * rng.normal(size=(PLACES, V))
    weight[TOKEN] = 0.2 * rng.normal(size=(V, V))
    head = hand.previous_token(D, TOKEN, BEFORE, PLACE)
    graph = start(hand).attention("L0", [head]).unembed(weight)
    fit, held = strings(30, N, (8, 20), first=BOS, seed=0), strings(30, N, (8, 20), first=BOS, seed=1)
    scored = [[list(range(1, len(r))) for r in rows] for rows in (fit, held)]
    setting = hand.setting_of(graph, hand.split_of(fit, scored[0]), held=hand.split_of(held, scored[1]))
    heads = RaiseHeads().run(graph, setting).graph
    found = RaiseReadout(held_out=0.98).run(heads, setting)
    assert [a.outcome for a in found.attempts if a.applied] == ["copied"]
    assert 0.002 < 1 - setting.held.agreement(found.graph) < 0.02


def test_heads_are_told_in_words(hand: Any, strings: Any) -> None:
    """One that is replaced, and one that is described as far as it goes, as a comment on what stays opaque."""
    rows, scored = rows_for("previous", (6, 12), strings, 0)
    setting = hand.setting_of(previous(hand), hand.split_of(rows, scored))
    told = RaiseHeads().run(previous(hand), setting).graph.meta["heads"]
    assert told == {
        "L0H0": {"looks at": "the position before", "share": pytest.approx(1.0, abs=0.01), "replaced": True}
    }
    rarely = RaiseHeads(keep=1.1).run(previous(hand), setting).graph
    assert rarely.meta["heads"]["L0H0"]["replaced"] is False
    assert rarely["L0.attn.z"].doc == "L0H0 looks mostly (100 %) at the position before."
