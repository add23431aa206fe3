"""Nulls: random subspaces of the right size, other sites that are others, networks that know nothing."""

from typing import Any

import numpy as np
import pytest
import torch

from exegesis.runtime import Network
from exegesis.verify.alignment import align
from exegesis.verify.network import Reference
from exegesis.verify.nulls import Subspace, other_site, random_subspace, shuffled
from exegesis.verify.picks import pools
from exegesis.verify.program import Judged


def test_no_basis_is_drawn_that_would_take_gigabytes(
    judged: Judged, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places,) = [g.places for g in align(judged.graph, reference.exported) if not g.is_input]
    assert random_subspace(places, reference.exported, np.random.default_rng(0)) is not None
    monkeypatch.setattr("exegesis.verify.nulls._WIDEST", 1)
    assert random_subspace(places, reference.exported, np.random.default_rng(0)) is None


def test_a_random_subspace_has_the_dimension_of_the_site(judged: Judged, reference: Reference) -> None:
    seen = align(judged.graph, reference.exported)[1]
    found = random_subspace(seen.places, reference.exported, np.random.default_rng(0))
    assert found is not None
    (place,) = found
    assert isinstance(place, Subspace)
    generator = torch.Generator().manual_seed(1)
    value, source = (torch.randn(50, 2, 6, 4, generator=generator) for _ in range(2))
    where = torch.zeros(50, 6, dtype=torch.bool)
    where[:, 2] = True
    changed = place.mixed(value, source, where) - value
    assert not changed[:, :, [0, 1, 3, 4, 5]].any()
    moved = changed[:, :, 2].reshape(50, 8)  # both heads, four numbers each
    assert int(torch.linalg.matrix_rank(moved, atol=1e-4)) == 4
    difference = (source - value)[:, :, 2].reshape(50, 8)
    again = place.mixed(value + changed, source, where) - value
    assert torch.allclose(again, changed, atol=1e-5)  # a projection: the second time nothing more happens
    assert 0.2 < float(moved.norm() / difference.norm()) < 0.95


def test_a_site_that_fills_its_value_has_no_random_subspace(made: Any, reference: Reference) -> None:
    graph = made.program()
    site = graph["seen"].sites[0]
    both = (site, site.__class__(site.value, site.axes, index=(("head", 1),)))
    seen = align(made.changed(graph, "seen", sites=both), reference.exported)[1]
    assert random_subspace(seen.places, reference.exported, np.random.default_rng(0)) is None
    tokens = align(graph, reference.exported)[0]
    assert random_subspace(tokens.places, reference.exported, np.random.default_rng(0)) is None


def test_another_site_has_the_shape_and_another_content(judged: Judged, reference: Reference) -> None:
    groups = align(judged.graph, reference.exported)
    (pool,) = pools(judged, reference, groups, "test", count=1, size=20)
    values = reference.exported.values
    for seed in range(8):
        found = other_site(groups[1].places, pool, np.random.default_rng(seed))
        assert found is not None
        assert values[found[0].value].shape == values[made_z].shape
        both = pool.values([found[0].value, made_z])
        assert not torch.allclose(both[found[0].value], both[made_z])
        assert reference.exported.output in reference.exported.after([found[0].value])


made_z = "scaled_dot_product_attention"


def test_shuffling_keeps_every_number_and_nothing_else(made: Any) -> None:
    network = Network(made.counting(), "n")
    before = network.fingerprint
    other = shuffled(network, 0)
    assert network.fingerprint == before != other.fingerprint
    for (name, weight), (_, mixed) in zip(
        sorted(network.module.named_parameters()), sorted(other.module.named_parameters()), strict=True
    ):
        assert torch.equal(weight.flatten().sort().values, mixed.flatten().sort().values), name
    assert shuffled(network, 0).fingerprint == other.fingerprint != shuffled(network, 1).fingerprint


def test_tied_weights_stay_tied(made: Any) -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(5, 4)
            self.head = torch.nn.Linear(4, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed(input_ids))

    other = shuffled(Network(Tied(), "tied"), 0).module
    assert other.head.weight is other.embed.weight


@pytest.mark.parametrize("seed", range(3))
def test_a_shuffled_network_answers_something_else(made: Any, reference: Reference, seed: int) -> None:
    ids = torch.from_numpy(reference.behavior.sequences("test").gather(np.arange(200)).input_ids)
    own = reference.network.logits(ids)[:, -1].argmax(-1)
    other = shuffled(reference.network, seed).logits(ids)[:, -1].argmax(-1)
    assert float((own == other).float().mean()) < 0.9
