"""Cuts against scikit-learn's, against brute force, and against graphs whose clusters are known."""

import itertools

import numpy as np
import pytest
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from exegesis.measure.modularity import ModularityError, UnitGraph, ncuts, partitions, spectrum
from exegesis.measure.modularity.graphs import Block, Layer
from exegesis.measure.modularity.kmeans import lloyd


def planted(sizes: tuple[int, ...], k: int, strength: float = 8.0, seed: int = 0) -> tuple[UnitGraph, np.ndarray]:
    """A layered graph with k groups of units, tied more strongly inside; and the group of each unit."""
    rng = np.random.default_rng(seed)
    groups = [np.arange(n) % k for n in sizes]
    matrices = [
        (rng.random((len(a), len(b))) * np.where(a[:, None] == b, strength, 1)).astype(np.float32)
        for a, b in itertools.pairwise(groups)
    ]
    return UnitGraph.of_weights(matrices), np.concatenate(groups)


def ncut_by_definition(adjacency: np.ndarray, labels: np.ndarray) -> float:
    total = 0.0
    for name in set(labels.tolist()):
        inside = labels == name
        total += adjacency[inside][:, ~inside].sum() / adjacency[inside].sum()
    return total


@pytest.mark.parametrize("k", [2, 3, 5])
def test_planted_groups_are_found(k: int) -> None:
    graph, groups = planted((30, 24, 18, 10), k)
    (found,), _ = partitions(graph, [k], np.random.default_rng(0))
    assert adjusted_rand_score(groups, found.labels) == 1.0
    assert found.k == k
    assert found.ncut == pytest.approx(ncut_by_definition(graph.adjacency().astype(float), groups), rel=1e-5)
    assert (np.diff(np.bincount(found.labels)) <= 0).all()


def test_ncuts_are_those_of_the_definition_for_many_partitions_at_once() -> None:
    graph, _ = planted((7, 6, 5), 3)
    labels = np.random.default_rng(1).integers(3, size=(6, 18))
    expected = [ncut_by_definition(graph.adjacency().astype(float), row) for row in labels]
    np.testing.assert_allclose(ncuts(graph, labels, 3), expected, rtol=1e-5)


def test_eigenvectors_of_the_two_sides_are_those_of_the_whole_matrix() -> None:
    graph, _ = planted((9, 8, 7, 4), 2, strength=2.0)
    adjacency = graph.adjacency().astype(float)
    root = np.sqrt(adjacency.sum(0))
    values, vectors = np.linalg.eigh(adjacency / root[:, None] / root)
    found = spectrum(graph, 4)
    np.testing.assert_allclose(found.values, values[::-1][:4], atol=1e-5)
    mine = found.rows * root[:, None]
    overlap = np.abs(np.einsum("nk,nk->k", mine, vectors[:, ::-1][:, :4]))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_skip_and_recurrent_edges_take_the_whole_matrix() -> None:
    rng = np.random.default_rng(0)
    layers = (Layer("a", 6), Layer("b", 5), Layer("c", 4))
    edges = {(0, 1): (6, 5), (1, 2): (5, 4), (0, 2): (6, 4), (1, 1): (5, 5)}
    graph = UnitGraph(
        layers, tuple(Block(*ends, rng.random(shape).astype(np.float32)) for ends, shape in edges.items())
    )
    assert graph.colours is None
    adjacency = graph.adjacency()
    np.testing.assert_allclose(adjacency, adjacency.T)
    np.testing.assert_allclose(adjacency.sum(0), graph.degrees, rtol=1e-5)
    np.testing.assert_allclose(graph.sparse().toarray(), adjacency)
    root = np.sqrt(adjacency.sum(0))
    values = np.linalg.eigvalsh(adjacency / root[:, None] / root)[::-1]
    np.testing.assert_allclose(spectrum(graph, 3).values, values[:3], atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_cuts_are_no_worse_than_scikit_learns(seed: int) -> None:
    for strength in (1.0, 3.0):
        graph, _ = planted((60, 40, 40, 10), 4, strength, seed)
        model = SpectralClustering(4, affinity="precomputed", random_state=0)
        theirs = model.fit_predict(graph.adjacency())
        cut = float(ncuts(graph, theirs[None].astype(np.int64), 4)[0])
        assert partitions(graph, [4], np.random.default_rng(seed))[0][0].ncut <= 1.01 * cut


def test_a_small_graph_is_cut_as_well_as_can_be() -> None:
    graph, _ = planted((4, 4, 3), 2, strength=4.0, seed=3)
    every = np.array([p for p in itertools.product((0, 1), repeat=11) if 0 < sum(p) < 11])
    assert partitions(graph, [2], np.random.default_rng(0))[0][0].ncut == pytest.approx(ncuts(graph, every, 2).min())


def test_units_without_edges_stay_outside() -> None:
    weights = np.random.default_rng(0).random((8, 6)).astype(np.float32)
    weights[2] = 0
    weights[:, 4] = 0
    graph = UnitGraph.of_weights([weights])
    (found,), _ = partitions(graph, [2], np.random.default_rng(0))
    assert np.flatnonzero(found.labels < 0).tolist() == [2, 12]
    with pytest.raises(ModularityError, match="2 units have no edges"):
        spectrum(graph, 2)


def test_a_disconnected_graph_is_cut_along_its_parts_for_nothing() -> None:
    blocks = np.kron(np.eye(3, dtype=np.float32), np.ones((4, 3), dtype=np.float32))
    graph = UnitGraph.of_weights([blocks])
    (found,), seen = partitions(graph, [3], np.random.default_rng(0))
    assert found.ncut == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(seen.values, 1, atol=1e-5)
    assert adjusted_rand_score(graph.components, found.labels) == 1.0


def test_what_is_no_graph_is_refused() -> None:
    good = np.ones((3, 2), dtype=np.float32)
    with pytest.raises(ModularityError, match="cannot follow each other"):
        UnitGraph.of_weights([good, good])
    with pytest.raises(ModularityError, match="at least one matrix"):
        UnitGraph.of_weights([])
    with pytest.raises(ModularityError, match="negative, NaN or infinite"):
        UnitGraph.of_weights([good * np.nan])
    with pytest.raises(ModularityError, match="have shape"):
        UnitGraph((Layer("a", 2), Layer("b", 2)), (Block(0, 1, good),))
    with pytest.raises(ModularityError, match="cannot be dealt out to 6 clusters"):
        partitions(UnitGraph.of_weights([good]), [6], np.random.default_rng(0))


def test_k_means_ends_where_no_point_wants_to_move() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((4, 3)) * 10
    points = (centres[np.arange(80) % 4] + rng.standard_normal((80, 3))).astype(np.float32)
    tried = lloyd(points, 4, rng, 5)
    assert tried.shape == (5, 80)
    for labels in tried:
        means = np.stack([points[labels == c].mean(0) for c in range(4)])
        nearest = ((points[:, None] - means) ** 2).sum(2).argmin(1)
        assert (nearest == labels).all()
        assert adjusted_rand_score(np.arange(80) % 4, labels) == 1.0


def test_more_points_at_one_place_than_clusters() -> None:
    points = np.zeros((6, 2), dtype=np.float32)
    assert lloyd(points, 3, np.random.default_rng(0), 2).shape == (2, 6)
