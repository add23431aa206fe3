"""Compiled programs, read back: on every string they say what the RASP program says, with nothing opaque left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exegesis.behavior import Argmax, Readout, Value
from exegesis.ir import Graph, Level, check, price
from exegesis.measure import Bench
from exegesis.passes.raising.raise_layers import RaiseLayers

Word = list[Any]
Case = Callable[[Any], tuple[Any, Any, Callable[[Word], list[Any]]]]


def same(q: Any, k: Any) -> bool:
    return bool(q == k)


def anything(q: Any, k: Any) -> bool:
    return True


def histogram(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("abc", 5)
    return p, p.width(p.tokens, p.tokens, same), lambda w: [w.count(x) for x in w]


def length(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("ab", 6)
    return p, p.width(p.tokens, p.tokens, anything), lambda w: [len(w)] * len(w)


def reverse(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("abc", 5)
    n = p.width(p.tokens, p.tokens, anything)
    opposite = p.map(lambda n, i: n - i - 1, n, p.place)
    return p, p.gather(opposite, p.place, same, p.tokens), lambda w: w[::-1]


def reverse_blurred(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    """Lengths 5 and 6 are told apart by too flat a step, so that the one-hot length is a blend of neighbours."""
    p = rasp("ab", 6, sharp=60.0)
    n = p.width(p.tokens, p.tokens, anything)
    opposite = p.map(lambda n, i: n - i - 1, n, p.place)
    return p, p.gather(opposite, p.place, same, p.tokens), lambda w: w[::-1]


def sorted_letters(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    """Of strings with repeated letters too: then some places have no letter, and the letter that is there most wins."""
    p = rasp([1, 2, 3, 4], 4)
    rank = p.width(p.tokens, p.tokens, lambda q, k: k < q)

    def expected(w: Word) -> list[Any]:
        ranks = [sum(y < x for y in w) for x in w]
        return [
            next((x for x, r in zip(w, ranks, strict=True) if r == i), max(sorted(set(w)), key=w.count))
            for i in range(len(w))
        ]

    return p, p.gather(p.place, rank, same, p.tokens), expected


def majority(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("01", 7)
    ones = p.width(p.tokens, p.tokens, lambda q, k: k == "1")
    n = p.width(p.tokens, p.tokens, anything)
    return p, p.map(lambda a, n: 2 * a > n, ones, n), lambda w: [2 * w.count("1") > len(w)] * len(w)


def parity(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("ab", 6)
    count = p.width(p.tokens, p.tokens, lambda q, k: k == "a")
    return p, p.map(lambda n: n % 2, count), lambda w: [w.count("a") % 2] * len(w)


def capped(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("ab", 6)
    count = p.width(p.tokens, p.tokens, lambda q, k: k == "a")
    return p, p.map(lambda n: min(n, 3), count), lambda w: [min(w.count("a"), 3)] * len(w)


def fewer(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("ab", 6)
    a, b = (p.width(p.tokens, p.tokens, lambda q, k, x=x: k == x) for x in "ab")
    return p, p.map(min, a, b), lambda w: [min(w.count("a"), w.count("b"))] * len(w)


def palindrome(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("ab", 6)
    n = p.width(p.tokens, p.tokens, anything)
    opposite = p.map(lambda n, i: n - i - 1, n, p.place)
    mirrored = p.gather(opposite, p.place, same, p.tokens)
    equal = p.map(same, mirrored, p.tokens)
    odd = p.width(equal, equal, lambda q, k: not k)
    return p, p.map(lambda n: n == 0, odd), lambda w: [w == w[::-1]] * len(w)


def balanced(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("()", 6)
    n = p.width(p.tokens, p.tokens, anything)
    opened, closed = (p.map(lambda x, y=y: x == y, p.tokens, number=True) for y in "()")
    shares = [p.gather(p.place, p.place, lambda q, k: k <= q, v) for v in (opened, closed)]
    depth = p.sum(*shares, 1.0, -1.0)
    numbers = sorted({a / b for b in range(1, 7) for a in range(-b, b + 1)})
    below = p.compare(lambda x: x < 0, depth, numbers)
    level = p.compare(lambda x: x == 0, depth, numbers)
    faults = p.width(below, below, lambda q, k: k)
    last = p.map(lambda n: n - 1, n)
    ends = p.gather(last, p.place, same, level)
    fine = p.map(lambda n: n == 0, faults)

    def expected(w: Word) -> list[Any]:
        depths = np.cumsum([1 if x == "(" else -1 for x in w])
        return [bool(depths[-1] == 0 and (depths >= 0).all())] * len(w)

    return p, p.map(lambda a, b: a and b, ends, fine), expected


def rotated(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("abcd", 4)
    return p, p.map(lambda x: "abcd"["abcd".index(x) - 1], p.tokens), lambda w: ["abcd"["abcd".index(x) - 1] for x in w]


def neighbours(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    p = rasp("ab", 6)
    return (
        p,
        p.width(p.place, p.place, lambda q, k: abs(q - k) <= 1),
        lambda w: [sum(0 <= i + j < len(w) for j in (-1, 0, 1)) for i in range(len(w))],
    )


def beaten(rasp: Any) -> tuple[Any, Any, Callable[[Word], list[Any]]]:
    """No order, no equality: who beats whom is a list."""
    p = rasp("rps", 5)
    wins = {("r", "s"), ("s", "p"), ("p", "r")}
    count = p.width(p.tokens, p.tokens, lambda q, k: (q, k) in wins)
    return p, count, lambda w: [sum((x, y) in wins for y in w) for x in w]


CASES: list[Case] = [
    histogram,
    length,
    reverse,
    reverse_blurred,
    sorted_letters,
    majority,
    parity,
    capped,
    fewer,
    palindrome,
    balanced,
    rotated,
    neighbours,
    beaten,
]


def every_answer(program: Any, graph: Graph, readout: Readout, longest: int) -> list[tuple[Word, Any]]:
    """All strings with the answers of a graph, at every letter."""
    bench = Bench(graph, readout, program.split(list(program.every_string(longest)), readout))
    found = []
    for seen in bench.batches:
        answers = iter(seen.answers.tolist())
        rows = (row[1:] for row in seen.batch.input_ids.tolist())
        found += [([program.letters[t] for t in row], [next(answers) for _ in row]) for row in rows]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_a_compiled_program_is_read_back(case: Case, rasp: Any) -> None:
    program, answer, expected = case(rasp)
    network = program.compiled(answer)
    outcome = RaiseLayers().run(network, program.setting(network, rows=90))
    check(outcome.graph)
    assert all(n.level is not Level.COMPONENT or n.op == "component.arange" for n in outcome.graph.nodes)
    assert not any(n.tensors for n in outcome.graph.nodes)
    labels = list(answer.values)
    for word, said in every_answer(program, outcome.graph, Argmax(), min(program.longest, 5)):
        assert [labels[k] for k in said] == expected(word), word
    assert price(outcome.graph).symbolic_bits < 1200


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_the_compiler_compiles(case: Case, rasp: Any) -> None:
    """The networks themselves say what the programs say, or the test above would compare two errors."""
    program, answer, expected = case(rasp)
    labels = list(answer.values)
    for word, said in every_answer(program, program.compiled(answer), Argmax(), 4):
        assert [labels[k] for k in said] == expected(word), word


def test_numbers_are_read_as_linear_forms(rasp: Any, as_value: Value) -> None:
    p = rasp("(x)", 6)
    opened, closed = (p.map(lambda x, y=y: x == y, p.tokens, number=True) for y in "()")
    shares = [p.gather(p.place, p.place, lambda q, k: k <= q, v) for v in (opened, closed)]
    network = p.compiled(p.sum(*shares, 2.0, -1.0))
    outcome = RaiseLayers().run(network, p.setting(network, as_value, rows=150))
    assert all(n.level is not Level.COMPONENT or n.op == "component.arange" for n in outcome.graph.nodes)
    for word, said in every_answer(p, outcome.graph, as_value, 5):
        depth = np.cumsum([{"(": 2, ")": -1}.get(x, 0) for x in word]) / np.arange(1, len(word) + 1)
        np.testing.assert_allclose(said, depth, atol=1e-3)


def test_a_network_that_is_not_exact_is_left_alone(rasp: Any) -> None:
    p = rasp("abc", 5)
    network = p.compiled(p.width(p.tokens, p.tokens, same))
    rng = np.random.default_rng(0)
    noisy = {k: t + rng.normal(0, 0.3, t.shape).astype(np.float32) for k, t in network.tensors.items()}
    network = network.with_nodes(network.nodes, tensors=noisy)
    outcome = RaiseLayers().run(network, p.setting(network))
    assert outcome.graph.outputs[0] == network.outputs[0]
    assert {n.op for n in outcome.graph.nodes} == {n.op for n in network.nodes}


def test_requires_and_ensures(rasp: Any) -> None:
    p = rasp("ab", 4)
    network = p.compiled(p.map(lambda x: x == "a", p.tokens))
    step = RaiseLayers()
    assert step.requires(network) is None
    assert step.ensures(network) is None
    bare = network.with_nodes([n for n in network.nodes if n.id in ("tokens", "embed")], outputs=("embed",))
    assert step.requires(bare) == "no attention block and no MLP was recognised"
    assert "is offered, but is not symbolic" in str(
        step.ensures(network.with_nodes(network.nodes, outputs=("logits", "embed")))
    )
