"""Opaque weights as whole numbers: what is kept, what it costs, and against rounding written out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from exegesis.ir import Axis, Graph, Node, Type, check, price
from exegesis.ir.heads import HEADS
from exegesis.passes.manager import Manager, Setting
from exegesis.passes.raising.composed.round_rest import SCALES, Rounder, RoundRest, coarsest
from exegesis.passes.raising.composed.weights import Weight, matrix, read_and_given, stages, weights_of, with_steps

V, D, E, PLACES = 6, 12, 4, 16


@pytest.fixture(scope="module")
def network(hand: Any) -> Graph:
    """Two layers of random heads: nothing that has a name."""
    rng = np.random.default_rng(0)

    def head() -> Any:
        q, k, v = (rng.normal(size=(D, E)) * 0.6 for _ in range(3))
        return hand.Head(q, k, v, rng.normal(size=(E, D)))

    made = hand.start(rng.normal(size=(V, D)), 0.5 * rng.normal(size=(PLACES, D)))
    made.attention("L0", [head(), head()]).attention("L1", [head(), head()])
    return made.unembed(rng.normal(size=(D, V)), rng.normal(size=V))


@pytest.fixture(scope="module")
def setting(hand: Any, network: Graph) -> Setting:
    rng = np.random.default_rng(1)
    fit, held = ([rng.integers(0, V, 8).tolist() for _ in range(n)] for n in (100, 250))
    return hand.setting_of(network, hand.split_of(fit), held=hand.split_of(held))


def test_weights_come_in_the_order_in_which_they_are_read(network: Graph) -> None:
    nodes = [[w.node for w in stage] for stage in stages(network, weights_of(network))]
    assert nodes == [
        ["embed", "pos_embed"],
        ["L0.attn.q", "L0.attn.k", "L0.attn.v"],
        ["L0.attn.out"],
        ["L1.attn.q", "L1.attn.k", "L1.attn.v"],
        ["L1.attn.out"],
        ["logits"],
    ]


def test_shared_weights_are_left_alone(network: Graph) -> None:
    tied = [
        replace(n, tensors={"weight": network["L0.attn.q"].tensors["weight"]}) if n.id == "L0.attn.k" else n
        for n in network.nodes
    ]
    assert not {"L0.attn.q", "L0.attn.k"} & {w.node for w in weights_of(network.with_nodes(tied))}


def test_matrices_say_what_nodes_give(network: Graph, setting: Setting) -> None:
    """What is read times the matrix is what is given, whatever the layout of the weight."""
    learned = [w for w in weights_of(network) if network[w.node].op != "component.embed"]
    for node, (read, given) in read_and_given(setting.fit, network, learned).items():
        found = read @ matrix(network[node], network.tensors[network[node].tensors["weight"]])
        np.testing.assert_allclose(found, given, atol=1e-4)


@pytest.mark.parametrize("node", ["embed", "L0.attn.q", "L0.attn.out", "logits"])
def test_steps_are_put_back_where_they_were(network: Graph, node: str) -> None:
    where = Weight(network[node].tensors["weight"], node)
    plain = matrix(network[node], network.tensors[where.name])
    rounded = with_steps(network, where, np.rint(plain / 0.01).astype(np.int64), 0.01)
    check(rounded)
    assert rounded.tensors[where.name].dtype == np.int16
    np.testing.assert_allclose(0.01 * rounded.tensors[where.name], network.tensors[where.name], atol=0.00501)


def test_fewer_bits_and_the_same_answers(network: Graph, setting: Setting) -> None:
    manager = Manager(setting)
    found = manager.run(network, RoundRest())
    assert manager.records[0].skipped is None
    assert manager.records[0].after >= 0.999
    assert price(found).opaque_bits < 0.6 * price(network).opaque_bits
    kinds = {found.tensors[w.name].dtype.kind for w in weights_of(network)}
    assert kinds == {"i"}
    assert [a.where for a in manager.records[0].attempts] == [w.node for w in weights_of(network)]


def test_what_is_lost_in_one_row_is_made_up_for_in_others(network: Graph, setting: Setting) -> None:
    """At the same steps, plain rounding of every number does worse."""
    rounder = Rounder(network, setting.fit)
    with_care, without = rounder.at(0.3), network
    for where in weights_of(network):
        step = with_care[where.node].attrs["step"]
        plain = matrix(network[where.node], network.tensors[where.name])
        without = with_steps(without, where, np.rint(plain / step).astype(np.int64), step)
    assert setting.held.agreement(with_care) > setting.held.agreement(without)


def test_what_answers_do_not_hang_on_becomes_zero(hand: Any) -> None:
    """Outputs read three of twelve dimensions, and a head writes into the others."""
    rng = np.random.default_rng(3)
    shown, written = np.zeros((D, V)), rng.normal(size=(E, D))
    shown[:3], written[:, :3] = rng.normal(size=(3, V)), 0
    head = hand.Head(*(rng.normal(size=(D, E)) for _ in range(3)), written)
    graph = hand.start(rng.normal(size=(V, D))).attention("L0", [head]).unembed(shown)
    rows = [rng.integers(0, V, 8).tolist() for _ in range(200)]
    found = RoundRest().run(graph, hand.setting_of(graph, hand.split_of(rows))).graph
    assert found.tensors["embed.weight"].any()
    assert not any(found.tensors[f"L0.attn.{role}.weight"].any() for role in ("q", "k", "v", "out"))


def test_refused_where_answers_are_given_already(network: Graph) -> None:
    tokens = network["tokens"]
    assert RoundRest().requires(replace(network, outputs=(tokens.id,))) == "the program gives answers already"
    assert RoundRest().requires(network) is None


def half_raised(network: Graph) -> Graph:
    """A head's worth of symbolic nodes beside a network that stays as it is."""
    shares = Type("real", ("batch", "pos", "token"))
    nodes = {n.id: n for n in network.nodes}
    everywhere = Node(
        "all", "symbolic.everywhere", ("tokens",), Type("selector", ("batch", "pos", "key")), {"causal": True}
    )
    share = Node("share", "symbolic.share", ("all", "tokens"), shares)
    extra = Node("read", "component.linear", ("share",), nodes["logits"].type, {}, {"weight": "read.weight"})
    said = Node("said", "component.add", ("logits", "read"), nodes["logits"].type)
    nodes["L0.attn.z"] = replace(nodes["L0.attn.z"], doc="L0H1 looks mostly at itself.")
    return replace(
        network.with_nodes(
            [*nodes.values(), everywhere, share, extra, said],
            tensors={"read.weight": np.full((V, V), 0.01, np.float32)},
            axes={"key": Axis("key")},
        ),
        outputs=("said",),
        meta={HEADS: {"L0H0": {"looks at": "everything", "share": 0.9, "replaced": True}}},
    )


def test_a_program_that_is_mostly_opaque_gives_way_to_the_network(network: Graph, setting: Setting) -> None:
    lifted = replace(network, meta={"lifted_bits": price(network).opaque_bits})
    graph = half_raised(lifted)
    graph = replace(graph, meta={**lifted.meta, **graph.meta})
    check(graph)
    found = RoundRest().run(graph, replace(setting, network=lifted)).graph
    assert found.outputs == lifted.outputs
    assert "share" not in found.by_id
    assert found["L0.attn.z"].doc == "L0H1 looks mostly at itself."
    assert found.meta[HEADS]["L0H0"] == {"looks at": "everything", "share": 0.9, "replaced": False}
    kept = RoundRest(mostly=-1.0).run(graph, replace(setting, network=lifted)).graph
    assert "share" in kept.by_id


def test_nothing_is_fine_enough(network: Graph, setting: Setting) -> None:
    assert coarsest(lambda scale: network, lambda g: False) is None
    impossible = RoundRest(loss=-1.0).run(network, setting)
    assert impossible.graph is network
    assert not impossible.attempts[0].applied


def test_the_coarsest_of_those_that_keep_the_answers(network: Graph) -> None:
    made: list[float] = []

    def make(scale: float) -> Graph:
        made.append(scale)
        return replace(network, meta={"scale": scale})

    found = coarsest(make, lambda g: g.meta["scale"] <= SCALES[20])
    assert found is not None
    assert found.meta["scale"] == SCALES[20]
    assert len(made) <= 6
