"""The view of a network on all pairs, against the network itself."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Domain, ProductDomain, Readout, Sign, StringsDomain
from exegesis.measure.pairs import Carrier, Pairs

View = Callable[..., Pairs]


def test_logits_values_and_tables_are_those_of_the_network(networks: ModuleType, pairs_of: View) -> None:
    network = networks.pizza(7, {1: 1.0, 2: 2.0})
    pairs = pairs_of(network, 3, 7)
    assert pairs.carriers == (Carrier("embed", 0), Carrier("embed", 1))
    ids = torch.tensor([[a, b, 7] for a in range(7) for b in range(7)])
    logits = network(ids)[:, -1, :7].detach().double().numpy()
    np.testing.assert_allclose(pairs.logits, logits - logits.mean(1, keepdims=True), atol=1e-5)
    assert (pairs.table == logits.argmax(1).reshape(7, 7)).all()
    np.testing.assert_allclose(pairs.vectors(1), network.embed[:7].detach().numpy(), atol=1e-6)
    assert [r.tolist() for r in pairs.pair] == [[a for a in range(7) for _ in range(7)], list(range(7)) * 7]
    value = pairs.values("L0.attn.out", np.array([3, 48]))
    np.testing.assert_allclose(value, (network.embed[ids[[3, 48]]].sum(1)).detach().numpy(), atol=1e-5)


def test_tokens_that_are_picked_are_carried_without_positions(networks: ModuleType, pairs_of: View) -> None:
    network = networks.clock(5, {1: 1.0})
    pairs = pairs_of(network, 2, 5)
    assert pairs.carriers == (Carrier("embed", None), Carrier("embed_2", None))
    np.testing.assert_allclose(pairs.vectors(0), network.embed.detach().numpy(), atol=1e-6)
    changed = pairs.whole("embed", np.arange(25))[:, :].roll(5, 0)
    given = pairs.logits_given(np.arange(25), {"embed": changed})
    np.testing.assert_allclose(given, np.roll(pairs.logits.reshape(5, 5, 5), 1, 0).reshape(25, 5), atol=1e-5)


CASES: list[tuple[str, Domain, Readout, str]] = [
    ("strings", StringsDomain((0, 1), 1, 2), Argmax(), "no product"),
    ("one choice", ProductDomain(((0, 1, 2), (1,))), Argmax(), "two positions with a choice"),
    ("other sizes", ProductDomain(((0, 1, 2), (0, 1))), Argmax(), "two positions with a choice"),
    ("sets", ProductDomain(((0, 1), (0, 1))), Sign(), "no largest logit"),
    ("few outputs", ProductDomain(((0, 1, 2), (0, 1, 2))), Argmax(outputs=(0, 1)), "no table of a group"),
]


@pytest.mark.parametrize(("domain", "readout", "says"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_not_pairs_of_tokens_is_refused(
    networks: ModuleType, domain: Domain, readout: Readout, says: str
) -> None:
    graph = networks.lifted(networks.clock(5, {1: 1.0}), 2, 5)
    found = Pairs.of(graph, domain, readout, 1)
    assert isinstance(found, str)
    assert says in found
