"""Heads that were spoilt are named; networks whose readout was spoilt have no such head."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from exegesis.behavior import Behavior
from exegesis.lift import lift
from exegesis.pipeline.decompile import example_of
from exegesis.pipeline.limits_repairs import Aim, Workshop, at_the_answer
from exegesis.runtime import Network, load
from exegesis.zoo import behavior as zoo_behavior


@pytest.fixture(scope="module")
def behavior() -> Behavior:
    return zoo_behavior("copy")


def workshop(net: Network, behavior: Behavior) -> Workshop:
    split = behavior.sequences("test").take(60, 0)
    return Workshop(lift(net.module, example_of(net, split)).graph, behavior, split, seed=0)


def spoilt_attention() -> Network:
    """The copying network whose second layer looks everywhere: its keys are all alike."""
    net = load("zoo:copy")
    qkv = net.module.get_submodule("attentions.1.qkv")
    with torch.no_grad():
        qkv.weight[64:128] *= 0.2
    return net


@pytest.fixture(scope="module")
def shop(behavior: Behavior) -> Workshop:
    return workshop(spoilt_attention(), behavior)


def spoilt_readout() -> Network:
    """The copying network that takes one letter for another at the end."""
    net = load("zoo:copy")
    head = net.module.get_submodule("head")
    with torch.no_grad():
        head.weight[[2, 3]] = head.weight[[3, 2]]
    return net


def test_a_head_that_looks_astray_is_named_and_its_failures_are_mended(shop: Workshop, behavior: Behavior) -> None:
    aim = at_the_answer(behavior)
    assert aim is not None
    best, *others = shop.repairs_by_head(aim)
    assert best.heads == ("L1H0",)
    assert best.failures > 50
    assert best.share > 0.9
    assert best.telling
    assert best.attention_wrong is not None
    assert best.attention_wrong < 0.5
    assert not any(r.telling for r in others)
    assert "With L1H0 made to look at the last position that holds the task's answer" in best.reason


def test_a_readout_that_errs_is_not_blamed_on_a_head(behavior: Behavior) -> None:
    aim = at_the_answer(behavior)
    assert aim is not None
    tried = workshop(spoilt_readout(), behavior).repairs_by_head(aim)
    assert tried[0].failures > 20
    assert not any(r.telling for r in tried)


def test_an_aim_that_looks_nowhere_changes_nothing(shop: Workshop) -> None:
    nowhere = Aim("nothing", ("L1H0",), lambda batch: torch.zeros(*batch.scored.shape, batch.scored.shape[1]))
    found = shop.repair(nowhere)
    assert found is not None
    assert (found.mended, found.broken) == (0, 0)
    assert found.attention_wrong is None
    assert found.other_heads == 1


def test_heads_that_the_network_does_not_have_are_not_tried(shop: Workshop, behavior: Behavior) -> None:
    assert shop.repair(Aim("nothing", ("L7H0",), lambda batch: torch.zeros(1))) is None
    assert at_the_answer(replace(behavior, output_names=tuple("ab"))) is None


def test_the_answer_is_looked_at_where_it_stood_last(behavior: Behavior) -> None:
    aim = at_the_answer(behavior)
    assert aim is not None
    batch = next(iter(behavior.sequences("test").batches()))
    looks = aim.looks(batch).numpy()
    assert batch.expected is not None
    for k, (row, at) in enumerate(zip(*np.nonzero(batch.scored), strict=True)):
        before = np.flatnonzero(batch.input_ids[row, : at + 1] == batch.expected[k])
        assert np.flatnonzero(looks[row, at]).tolist() == before[-1:].tolist()
