"""Answers as phrases: what they say at every position is what the network says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Sign, Value
from exegesis.ir import Graph
from exegesis.passes.raising.raise_answers import raise_answer
from exegesis.passes.raising.workbench import Workbench


def raised(p: Any, network: Graph, readout: Any = None) -> tuple[Workbench, str | None]:
    setting = p.setting(network, readout, rows=60)
    work = Workbench.on(network, setting.fit, "test", 0)
    return work, raise_answer(work, setting.readout)


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a table": (lambda p: p.map(lambda x: {"a": 2, "b": 0, "c": 1, "d": 2}[x], p.tokens), "symbolic.lookup"),
    "renamed": (lambda p: p.map(lambda x: "abdc"["abcd".index(x)], p.tokens), "symbolic.relabel"),
    "itself": (lambda p: p.map(lambda x: x, p.tokens), "input.tokens"),
    "a truth": (lambda p: p.map(lambda x: x == "b", p.tokens), "symbolic.choose"),
    "a place": (lambda p: p.map(lambda i: i, p.place), "symbolic.form"),
    "a remainder": (lambda p: p.map(lambda i: i % 2, p.place), "symbolic.choose"),
    "two variables": (lambda p: p.map(lambda x, i: x == "a" and i > 1, p.tokens, p.place), "symbolic.choose"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_found(name: str, rasp: Any) -> None:
    make, op = CASES[name]
    p = rasp("abcd", 5)
    work, node = raised(p, p.compiled(make(p)))
    assert node is not None
    assert work.graph[node].op == op
    alone = work.graph.with_nodes(work.graph.nodes, outputs=(node,)).pruned()
    assert work.bench.agreement(alone) == 1.0
    assert not alone.tensors


def test_a_number_for_each_letter(rasp: Any, as_value: Value) -> None:
    p = rasp("abc", 5)
    worth = {"a": 1.25, "b": -3.0, "c": 0.0}
    work, node = raised(p, p.compiled(p.map(worth.__getitem__, p.tokens, number=True)), as_value)
    assert node is not None
    assert work.graph[node].attrs["terms"] == [[1.25, 0, 0], [-3, 0, 1]]


def test_a_linear_form_with_few_digits(rasp: Any, as_value: Value) -> None:
    p = rasp("ab", 6)
    places = p.map(lambda i: 0.5 * i + 2, p.place, number=True)
    work, node = raised(p, p.compiled(places), as_value)
    assert node is not None
    assert work.graph[node].attrs == {"terms": [[0.5, 0, None]], "plus": 1.5}


def test_answers_that_no_phrase_gives_are_refused(rasp: Any) -> None:
    p = rasp("ab", 6)
    work, node = raised(p, p.compiled(p.width(p.tokens, p.tokens, lambda q, k: q == k)))
    assert node is None
    assert work.graph.outputs[0] == "logits"


def test_numbers_that_nothing_known_gives_are_refused(rasp: Any, as_value: Value) -> None:
    p = rasp("ab", 6)
    share = p.gather(p.place, p.place, lambda q, k: k <= q, p.map(lambda x: x == "a", p.tokens, number=True))
    assert raised(p, p.compiled(share), as_value)[1] is None


def test_sets_are_left_to_others(rasp: Any) -> None:
    p = rasp("ab", 4)
    assert raised(p, p.compiled(p.map(lambda x: x == "a", p.tokens)), Sign())[1] is None


def test_answers_on_the_bench_are_not_enough_if_the_node_differs(rasp: Any) -> None:
    """A phrase counts only when the program that gives it agrees: here the bench is told of other answers."""
    p = rasp("ab", 4)
    network = p.compiled(p.map(lambda x: x == "a", p.tokens))
    setting = p.setting(network)
    work = Workbench.on(network, setting.fit, "test", 0)
    for seen in work.bench.batches:
        seen.answers[:] = np.random.default_rng(0).integers(0, 2, seen.answers.shape)
    assert raise_answer(work, setting.readout) is None
