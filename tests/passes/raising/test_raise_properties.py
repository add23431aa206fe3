"""Programs for whole networks, on networks written down by hand, against plain Python."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, SequenceSplit
from exegesis.ir import Graph
from exegesis.measure import Bench
from exegesis.measure.rotations import Swapper
from exegesis.measure.streams import streams
from exegesis.passes.manager import Setting
from exegesis.passes.raising.properties import HYPOTHESES, Evidence, Proposal
from exegesis.passes.raising.properties.balance import balance
from exegesis.passes.raising.properties.carried import carried
from exegesis.passes.raising.properties.mirror import mirror
from exegesis.passes.raising.raise_properties import NAME, RaiseProperties

LENGTH = 4


def rows(letters: int, count: int, seed: int) -> list[list[int]]:
    """Strings of one length after `bos`, half of them mirror images."""
    rng = np.random.default_rng(seed)
    found = rng.integers(letters, size=(count, LENGTH))
    found[::2, LENGTH // 2 :] = found[::2, : LENGTH // 2][:, ::-1]
    return [[letters, *r] for r in found.tolist()]


def last_scored(strings: list[list[int]]) -> SequenceSplit:
    """One position per row counts: the last."""
    offsets = np.cumsum([0, *map(len, strings)])
    scored = np.zeros(int(offsets[-1]), bool)
    scored[offsets[1:] - 1] = True
    return SequenceSplit("rows", np.concatenate([np.array(s) for s in strings]), offsets, scored, None, None)


def setting_of(graph: Graph, letters: int) -> Setting:
    fit, held = (Bench(graph, Argmax(), last_scored(rows(letters, 160, seed))) for seed in (0, 1))
    return Setting(fit, held, Argmax(), 0)


def evidence(graph: Graph, letters: int) -> Evidence:
    setting = setting_of(graph, letters)
    return Evidence(graph, setting.fit, Argmax(), NAME, causal=False)


def answers(graph: Graph, strings: list[list[int]]) -> list[int]:
    """What a program says at the last position of each row."""
    bench = Bench(graph, Argmax(), last_scored(strings))
    values = bench.at_scored(graph, [graph.outputs[0]])[graph.outputs[0]]
    return [int(v) for v in (values if values.ndim == 1 else values.argmax(-1))]


def palindromes(rasp, blind: int | None = None) -> Graph:
    """A network that says whether a string is its mirror image; at a blind place it does not look."""
    p = rasp("abc", LENGTH)
    opposite = p.map(lambda i: LENGTH - 1 - i, p.place)
    mirrored = p.gather(opposite, p.place, lambda q, k: q == k, p.tokens)
    seen = (blind, None if blind is None else LENGTH - 1 - blind)
    differs = p.map(lambda a, b, i: a != b and i not in seen, p.tokens, mirrored, p.place)
    many = p.width(p.tokens, differs, lambda q, k: bool(k))
    return p.compiled(p.map(lambda n: n == 0, many))


def brackets(rasp) -> Graph:
    """A network that says whether a string of brackets is balanced, by two truth values."""
    p = rasp("()", LENGTH)
    signs = [p.gather(p.tokens, p.place, lambda q, k, i=i: k == i, p.tokens) for i in range(LENGTH)]
    early = p.map(lambda *s: lowest(s) < 0, *signs)
    unclosed = p.map(lambda *s: lowest([")" if x == "(" else "(" for x in reversed(s)]) < 0, *signs)
    return p.compiled(p.map(lambda a, b: not a and not b, early, unclosed))


def lowest(signs) -> int:
    heights = np.cumsum([1 if s == "(" else -1 for s in signs])
    return int(heights.min())


def balanced(string: list[int]) -> bool:
    depth = 0
    for token in string:
        depth += 1 if token == 0 else -1
        if depth < 0:
            return False
    return depth == 0


def test_mirror_images(rasp) -> None:
    graph = palindromes(rasp)
    _, proposal = mirror(evidence(graph, 3))
    every = [[3, *s] for s in product(range(3), repeat=LENGTH)]
    assert answers(proposal.program, every) == [int(s[1:] == s[:0:-1]) for s in every]
    outcome = RaiseProperties(dimensions=(2,)).run(graph, setting_of(graph, 3))
    assert outcome.attempts[-1].applied, outcome.attempts
    assert answers(outcome.graph, every) == answers(graph, every)
    assert [n.id for n in outcome.graph.nodes if n.sites and n.op != "input.tokens"] == ["same_as_opposite"]


def test_a_pair_that_is_not_compared_is_said(rasp) -> None:
    graph = palindromes(rasp, blind=0)
    _, proposal = mirror(evidence(graph, 3))
    assert "Positions 1 and 4 are never compared" in proposal.what
    every = [[3, *s] for s in product(range(3), repeat=LENGTH)]
    assert answers(proposal.program, every) == [int(s[2] == s[3]) for s in every]


def test_brackets(rasp) -> None:
    graph = brackets(rasp)
    every = [[2, *s] for s in product(range(2), repeat=LENGTH)]
    first, second, whole = balance(evidence(graph, 2))
    assert [p.coarse for p in (first, second, whole)] == [False, False, True]
    for proposal in (first, second, whole):
        assert answers(proposal.program, every) == [int(balanced(s[1:])) for s in every]
    assert [first.graph[v].name for v in first.variables] == ["closed_too_early", "left_open"]
    outcome = RaiseProperties(dimensions=(2,)).run(graph, setting_of(graph, 2))
    assert any(a.applied for a in outcome.attempts), outcome.attempts
    assert {"closed_too_early", "left_open"} <= {n.id for n in outcome.graph.nodes if n.sites}


def test_variables_that_are_not_there_are_refused(rasp) -> None:
    """The same answers by other means: nothing inside holds whether a token is the one opposite."""
    p = rasp("abc", LENGTH)
    letters = [p.gather(p.tokens, p.place, lambda q, k, i=i: k == i, p.tokens) for i in range(LENGTH)]
    graph = p.compiled(p.map(lambda a, b, c, d: (a, b) == (d, c), *letters))
    assert [type(x) for x in mirror(evidence(graph, 3))] == [Proposal, Proposal]
    outcome = RaiseProperties(dimensions=(2,)).run(graph, setting_of(graph, 3))
    assert not any(a.applied for a in outcome.attempts), outcome.attempts
    assert outcome.graph is graph


def test_other_questions_fit_no_hypothesis(rasp) -> None:
    p = rasp("abc", LENGTH)
    many = p.width(p.tokens, p.tokens, lambda q, k: q == k)
    graph = p.compiled(p.map(lambda n: n > 1, many))
    seen = evidence(graph, 3)
    for hypothesis in HYPOTHESES:
        found = [x for x in hypothesis(seen) if seen.bench.agreement(x.program) > 0.9]
        assert not found


@pytest.mark.parametrize("least_first", [True, False])
def test_sums_with_carries(rasp, least_first: bool) -> None:
    """Asked of a stand-in that adds as Python does."""
    base, count, n = 3, 2, 60
    rng = np.random.default_rng(0)
    digits = rng.integers(base, size=(n, 2 * count))
    strings = [[3, *d, 3, 3, 3] for d in digits.tolist()]
    step = 1 if least_first else -1

    def added(row: list[int]) -> list[int]:
        a, b = (sum(d * base**k for k, d in enumerate(part[::step])) for part in (row[1:3], row[3:5]))
        return [(a + b) // base**k % base for k in range(count + 1)][::step]

    class Adder(Evidence):
        def ask(self, ids):
            found = np.zeros_like(ids)
            found[:, 5:] = [added(r) for r in ids.tolist()]
            return found

    graph = rasp("012", 7).compiled(rasp("012", 7).tokens)
    split = last_scored(strings)
    split = replace(split, scored=np.tile(np.arange(8) >= 5, n))
    seen = Adder(graph, Bench(graph, Argmax(), split), Argmax(), NAME, causal=False)
    (proposal,) = carried(seen)
    bench = Bench(graph, Argmax(), split)
    said = bench.at_scored(proposal.program, [proposal.answer])[proposal.answer].reshape(n, 3)
    assert said.tolist() == [added(r) for r in strings]


def test_a_known_subspace_swaps_and_scrubs(rasp) -> None:
    """Where the one-hot entries of a variable are known, swapping them is exact, and scrubbing changes nothing."""
    p = rasp("abc", LENGTH)
    opposite = p.map(lambda i: LENGTH - 1 - i, p.place)
    mirrored = p.gather(opposite, p.place, lambda q, k: q == k, p.tokens)
    differs = p.map(lambda a, b: a != b, p.tokens, mirrored)
    many = p.width(p.tokens, differs, lambda q, k: bool(k))
    graph = p.compiled(p.map(lambda n: n == 0, many))
    seen = evidence(graph, 3)
    _, proposal = mirror(seen)
    swapper = Swapper(proposal.graph, proposal.answer, proposal.variables, seen.longest, 0)
    basis = torch.eye(p.size)[[differs.at(False), differs.at(True)]]
    node = next(n for n in streams(proposal.graph) if n.startswith("L2.resid_pre"))
    for swaps in (swapper.draw(200), swapper.scrub(200)):
        said, _ = swapper.predicted(swaps)
        logits = swapper.logits(swaps, node, swapper.values(node), [basis], gradients=False)
        assert (logits.argmax(-1) == said).all()
    scrubbed = swapper.scrub(200)
    said, before = swapper.predicted(scrubbed)
    assert (said == before).all()
    assert (scrubbed.source != scrubbed.base[:, None]).float().mean() > 0.9
    wrong = torch.eye(p.size)[[p.tokens.at("a"), p.tokens.at("b")]]
    swaps = swapper.draw(200)
    said, _ = swapper.predicted(swaps)
    assert (swapper.logits(swaps, node, swapper.values(node), [wrong], gradients=False).argmax(-1) != said).any()
