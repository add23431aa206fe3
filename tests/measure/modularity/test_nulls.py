"""Nulls keep what they say they keep; random graphs are not modular, planted ones are, and p values are honest."""

import itertools

import numpy as np
import pytest

from exegesis.measure.modularity import (
    ModularityError,
    UnitGraph,
    communities,
    compared,
    compared_communities,
    cut_test,
    null_graph,
)
from exegesis.measure.modularity.graphs import Block, Layer


def grouped(strength: float, seed: int = 0, sizes: tuple[int, ...] = (24, 16, 12)) -> UnitGraph:
    rng = np.random.default_rng(seed)
    groups = [np.arange(n) % 3 for n in sizes]
    return UnitGraph.of_weights(
        [
            (rng.random((len(a), len(b))) * np.where(a[:, None] == b, strength, 1)).astype(np.float32)
            for a, b in itertools.pairwise(groups)
        ]
    )


def test_shuffles_keep_the_weights_of_each_layer() -> None:
    graph = grouped(3.0)
    other = null_graph(graph, "shuffle", np.random.default_rng(0))
    for before, after in zip(graph.blocks, other.blocks, strict=True):
        assert not np.array_equal(before.weights, after.weights)
        np.testing.assert_array_equal(np.sort(before.weights.ravel()), np.sort(after.weights.ravel()))


def test_nonzero_nulls_keep_the_zeros_where_they_are() -> None:
    weights = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    weights[weights < 0.7] = 0
    other = null_graph(UnitGraph.of_weights([weights]), "nonzero", np.random.default_rng(0)).blocks[0].weights
    np.testing.assert_array_equal(other > 0, weights > 0)
    assert not np.array_equal(other, weights)


def test_degree_nulls_keep_how_strongly_each_unit_is_tied() -> None:
    rng = np.random.default_rng(0)
    uneven = (rng.random((20, 12)) * np.geomspace(0.1, 10, 20)[:, None]).astype(np.float32)
    uneven[3] = 0
    graph = UnitGraph.of_weights([uneven])
    other = null_graph(graph, "degree", rng)
    np.testing.assert_allclose(other.degrees, graph.degrees, rtol=0.01)
    assert not np.allclose(other.blocks[0].weights, uneven)


def test_fixed_blocks_stay() -> None:
    skip = Block(0, 1, np.eye(5, dtype=np.float32), fixed=True)
    graph = UnitGraph((Layer("a", 5), Layer("b", 5)), (skip,))
    assert null_graph(graph, "shuffle", np.random.default_rng(0)).blocks[0].weights is skip.weights


@pytest.mark.parametrize("null", ["shuffle", "degree"])
def test_planted_modules_stand_out(null: str) -> None:
    test = cut_test(grouped(6.0), null=null, nulls=40, restarts=3)  # type: ignore[arg-type]
    assert test.modular
    assert test.best.k == 3
    assert test.best.z < -5
    assert test.best.percentile == 0
    assert test.p == pytest.approx(1 / 41)
    assert test.eigengap == 3
    assert test.says().startswith("Modular: ")


def test_random_graphs_are_said_to_be_modular_about_as_often_as_the_level_says() -> None:
    found = [
        cut_test(grouped(1.0, seed, (12, 10, 8)), nulls=20, restarts=2, ks=(2, 3, 4), seed=seed) for seed in range(24)
    ]
    assert sum(t.modular for t in found) <= 4  # of 24, 5 % is 1; more than 4 happen once in 200 times
    assert 0.3 < np.mean([t.p for t in found]) < 0.7
    assert any(t.says().startswith("Not modular: ") for t in found)


def test_units_of_different_strength_alone_are_no_modules_by_the_degree_null() -> None:
    rng = np.random.default_rng(0)
    strength = np.where(np.arange(30) < 4, 20.0, 1.0)
    graph = UnitGraph.of_weights([(rng.random((30, 20)) * strength[:, None] * strength[:20]).astype(np.float32)])
    assert not cut_test(graph, null="degree", nulls=30, restarts=3, ks=(2, 3)).modular


def test_one_seed_gives_one_result_and_another_another() -> None:
    graph = grouped(2.0)
    first, again, other = (cut_test(graph, nulls=20, restarts=2, ks=(2, 3), seed=s) for s in (0, 0, 1))
    assert first.best.null.tolist() == again.best.null.tolist() != other.best.null.tolist()


def test_components_and_units_without_edges_are_counted() -> None:
    blocks = np.kron(np.eye(2, dtype=np.float32), np.ones((5, 5), dtype=np.float32))
    blocks[0] = 0
    test = cut_test(UnitGraph.of_weights([blocks]), nulls=20, ks=(2,))
    assert (test.components, test.isolated) == (2, 1)
    assert test.best.partition.ncut == pytest.approx(0, abs=1e-5)


def test_too_little_to_test() -> None:
    graph = grouped(1.0)
    with pytest.raises(ModularityError, match="19 nulls are too few"):
        cut_test(graph, nulls=19)
    with pytest.raises(ModularityError, match="19 nulls are too few"):
        communities(graph, nulls=19)
    dead = UnitGraph.of_weights([np.zeros((9, 9), dtype=np.float32)])
    with pytest.raises(ModularityError, match="Only 0 units have edges"):
        cut_test(dead)
    with pytest.raises(ModularityError, match="has no edges"):
        communities(dead)
    with pytest.raises(ModularityError, match="none of those asked for"):
        cut_test(graph, ks=(60,))


def test_nulls_that_lose_their_units_cut_as_badly_as_can_be() -> None:
    empty = UnitGraph.of_weights([np.zeros((24, 16), dtype=np.float32), np.zeros((16, 12), dtype=np.float32)])
    test = compared(grouped(6.0), [empty] * 20, 20, ks=(3,), null="none")
    assert test.best.null.tolist() == [3.0] * 20


def test_communities_of_a_planted_graph() -> None:
    found = communities(grouped(8.0))
    assert found.modular
    assert found.k == 3
    groups = np.concatenate([np.arange(n) % 3 for n in (24, 16, 12)])
    for community in range(3):
        assert len(set(groups[found.labels == community].tolist())) == 1
    # Newman and Girvan's definition.
    adjacency = grouped(8.0).adjacency().astype(float)
    degrees = adjacency.sum(0)
    same = found.labels[:, None] == found.labels
    q = ((adjacency - np.outer(degrees, degrees) / degrees.sum()) * same).sum() / degrees.sum()
    assert found.modularity == pytest.approx(q, rel=1e-4)


def test_communities_of_random_graphs_do_not_stand_out() -> None:
    assert sum(communities(grouped(1.0, seed), seed=seed).modular for seed in range(6)) <= 2
    graph = grouped(1.0)
    assert compared_communities(graph, [graph] * 20, 20).p == 1.0


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from exegesis.ir import InputError

    monkeypatch.setitem(sys.modules, "graspologic_native", None)
    with pytest.raises(InputError, match=r"pip install 'exegesis\[modules\]'"):
        communities(grouped(1.0))
