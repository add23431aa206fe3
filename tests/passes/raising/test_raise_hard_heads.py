"""Hard heads read one by one: what was tried, and heads that must stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from exegesis.passes.raising.heads import attention_blocks
from exegesis.passes.raising.raise_hard_heads import raise_block
from exegesis.passes.raising.workbench import Workbench


def same(q: Any, k: Any) -> bool:
    return bool(q == k)


def two_heads(rasp: Any) -> tuple[Any, Any]:
    """A head that counts, and one that copies, in one layer."""
    p = rasp("abc", 5)
    before = p.gather(p.place, p.place, lambda q, k: k == q - 1, p.tokens)
    count = p.width(p.tokens, p.tokens, same)
    return p, p.compiled(p.map(lambda x, n: n > 2 and x == "a", before, count))


def raised(p: Any, network: Any) -> Workbench:
    work = Workbench.on(network, p.setting(network, rows=60, first=2).fit, "test", 0)
    raise_block(work, "L0.attn.out")
    return work


def test_heads_of_one_layer_are_read_independently(rasp: Any) -> None:
    p, network = two_heads(rasp)
    work = raised(p, network)
    assert [(a.where, a.applied) for a in work.attempts] == [("L0H0", True), ("L0H1", True)]
    found = {n.op: [s.label for s in n.sites] for n in work.graph.nodes if n.sites and n.op.startswith("symbolic")}
    assert found == {"symbolic.copy": ["L0H0"], "symbolic.width": ["L0H1"]}
    assert not any(attention_blocks(work.graph))


def test_a_soft_head_stays_and_the_other_goes(rasp: Any) -> None:
    p, network = two_heads(rasp)
    keys = network.tensors["L0.attn.k.weight"].copy()
    keys[0] *= 0.03
    network = network.with_nodes(network.nodes, tensors={"L0.attn.k.weight": keys})
    work = raised(p, network)
    (block,) = attention_blocks(work.graph)
    assert block.heads == 1
    np.testing.assert_array_equal(work.graph.tensors[work.graph[block.values].tensors["weight"]].shape[0], 1)
    assert work.bench.agreement(work.graph) == 1.0


def test_attempts_say_what_did_not_work(rasp: Any) -> None:
    """The pairs that are looked at depend on three variables: no two of them decide."""
    p = rasp("abc", 5)
    count = p.width(p.tokens, p.tokens, same)
    network = p.compiled(count)
    keys = network.tensors["L0.attn.k.weight"].copy()
    keys[0, p.place.at(2), :] = keys[0, p.tokens.at("a"), :]
    network = network.with_nodes(network.nodes, tensors={"L0.attn.k.weight": keys})
    work = Workbench.on(network, p.setting(network, rows=60).fit, "test", 0)
    raise_block(work, "L0.attn.out")
    assert {a.outcome for a in work.attempts} == {"looks at sets of positions that no two variables decide"}
    assert any(attention_blocks(work.graph))
