"""What heads gather: the variable that decides it, what stands in for the head, and what is put on offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from exegesis.passes.raising.block_values import BlockValues, laid_out
from exegesis.passes.raising.gathering import gathers
from exegesis.passes.raising.hard_heads import harden
from exegesis.passes.raising.heads import attention_blocks
from exegesis.passes.raising.raise_hard_heads import raise_block
from exegesis.passes.raising.raise_layers import RaiseLayers
from exegesis.passes.raising.workbench import Workbench


def same(q: Any, k: Any) -> bool:
    return bool(q == k)


def opened(rasp: Any, make: Callable[[Any], Any]) -> tuple[Workbench, str]:
    p = rasp("abcd", 5)
    network = p.compiled(make(p))
    work = Workbench.on(network, p.setting(network, rows=80).fit, "test", 0)
    return work, next(iter(attention_blocks(network))).write


def offered(work: Workbench) -> set[str]:
    return {work.graph[o].op for o in work.graph.outputs[1:]} - {"component.arange"}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: p.width(p.tokens, p.tokens, same), {"symbolic.width"}),
        (lambda p: p.gather(p.place, p.place, lambda q, k: k == q - 1, p.tokens), {"symbolic.copy"}),
        (lambda p: p.gather(p.place, p.place, lambda q, k: k <= q, p.tokens), {"symbolic.count", "symbolic.share"}),
    ],
    ids=["how many", "one category", "several"],
)
def test_what_is_offered(make: Callable[[Any], Any], expected: set[str], rasp: Any) -> None:
    work, write = opened(rasp, make)
    raise_block(work, write)
    assert offered(work) == expected
    assert work.bench.agreement(work.graph) == 1.0
    assert not any(attention_blocks(work.graph))


def test_the_head_is_where_the_variable_lives(rasp: Any) -> None:
    work, write = opened(rasp, lambda p: p.width(p.tokens, p.tokens, same))
    raise_block(work, write)
    (width,) = [n for n in work.graph.nodes if n.op == "symbolic.width"]
    assert [(s.value, s.index, s.label) for s in width.sites] == [("L0.attn.z", (("head", 0),), "L0H0")]


def test_the_cheapest_variable_that_decides(rasp: Any) -> None:
    """Two letters count alike: the truth value that a former layer computed says so in fewer words."""

    def make(p: Any) -> Any:
        vowel = p.map(lambda x: x in "ab", p.tokens)
        return p.gather(p.place, p.place, lambda q, k: k <= q, vowel)

    work, _ = opened(rasp, make)
    block = next(iter(attention_blocks(work.graph)))
    values = BlockValues.of(work, block)
    pairs = harden(values.patterns[0], [b.scored for b in work.bench.batches], False)
    assert pairs is not None
    contributed = laid_out(values.contributed[0])
    found = gathers(work, pairs, None, contributed)
    assert found is not None
    assert found.column.node == "tokens"
    assert sorted(found.categories.tolist()) == [0, 1, 2, 3]
    tokens = work.columns[0].values
    for category, row in zip(found.categories, found.rows, strict=True):
        np.testing.assert_allclose(row, contributed[tokens == category].mean(0), atol=1e-5)
    assert len(found.telling) == 2


def test_contributions_that_no_variable_decides_are_refused(rasp: Any) -> None:
    work, _ = opened(rasp, lambda p: p.gather(p.place, p.place, lambda q, k: k <= q, p.tokens))
    block = next(iter(attention_blocks(work.graph)))
    values = BlockValues.of(work, block)
    pairs = harden(values.patterns[0], [b.scored for b in work.bench.batches], False)
    assert pairs is not None
    noise = np.random.default_rng(0).normal(size=laid_out(values.contributed[0]).shape)
    assert gathers(work, pairs, None, noise) is None


def test_a_head_that_writes_a_constant_is_dropped(rasp: Any) -> None:
    p = rasp("ab", 4)
    n = p.width(p.tokens, p.tokens, same)
    network = p.compiled(n)
    silent = {k: np.zeros_like(t) for k, t in network.tensors.items() if k == "L0.attn.v.weight"}
    network = network.with_nodes(network.nodes, tensors=silent)
    work = Workbench.on(network, p.setting(network).fit, "test", 0)
    raise_block(work, "L0.attn.out")
    assert not any(attention_blocks(work.graph))
    assert work.bench.agreement(work.graph) == 1.0
    assert offered(work) == set()


def test_what_the_network_made_is_what_is_gathered(rasp) -> None:
    """A head that reads a truth value that an MLP wrote gathers that, not the letters that it was made of."""
    p = rasp("abc", 4)
    is_b = p.map(lambda x: x == "b", p.tokens)
    graph = p.compiled(p.gather(p.place, p.place, lambda q, k: k == max(q - 1, 0), is_b))
    work = RaiseLayers().read(graph, p.setting(graph))
    (copied,) = (n for n in work.graph.nodes if n.op == "symbolic.copy" and n.sites)
    assert copied.inputs[1] != work.tokens
    assert any("neurons" in s.label for s in work.graph[copied.inputs[1]].sites)
