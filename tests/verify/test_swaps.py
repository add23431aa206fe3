"""Swaps against forward hooks on the network's modules and against a program in plain Python."""

from dataclasses import replace as with_fields
from typing import Any

import numpy as np
import pytest
import torch

from exegesis.behavior import Argmax, Behavior
from exegesis.lift import lift
from exegesis.runtime import Network
from exegesis.runtime.exported import ExportedNetwork
from exegesis.verify.alignment import align, without_alignment
from exegesis.verify.network import Reference
from exegesis.verify.picks import pools
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool, Swaps


@pytest.fixture
def pool(judged: Judged, reference: Reference) -> Pool:
    groups = align(judged.graph, reference.exported)
    (found,) = pools(judged, reference, groups, "test", count=4, size=12)
    return found


def random_swaps(pool: Pool, n: int, seed: int) -> Swaps:
    rng = np.random.default_rng(seed)
    where = rng.random((2, n, pool.length)) < 0.5
    return Swaps(rng.integers(pool.size, size=n), rng.integers(pool.size, size=(2, n)), where)


def in_python(ids: list[int], others: list[list[int]], where: np.ndarray) -> int:
    """The counting program with its two variables swapped at some positions, one position after the other."""
    tokens = [others[0][s] if where[0][s] else t for s, t in enumerate(ids)]
    seen = [[sum(t == c for t in tokens[: s + 1]) for c in range(3)] for s in range(len(ids))]
    for s in range(len(ids)):
        if where[1][s]:
            seen[s] = [sum(t == c for t in others[1][: s + 1]) for c in range(3)]
    return int(seen[-1][1] > seen[-1][0])


def test_the_program_does_what_plain_python_does(pool: Pool) -> None:
    swaps = random_swaps(pool, 40, 1)
    ids = pool.batch.input_ids.tolist()
    said = pool.program_says(swaps)
    for row in range(40):
        others = [ids[swaps.source[g, row]] for g in range(2)]
        assert said[row] == in_python(ids[swaps.base[row]], others, swaps.where[:, row])


def with_hooks(reference: Reference, ids: list[int], others: list[list[int]], where: np.ndarray) -> int:
    """The network with embeddings and one head's values replaced inside it, by hooks and one row at a time."""
    module = reference.network.module
    heads: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return lambda m, args: heads.update({name: args[0].clone()})

    handle = module.out.register_forward_pre_hook(keep("source"))
    module(torch.tensor([others[1]]))
    handle.remove()
    tokens = [others[0][s] if where[0][s] else t for s, t in enumerate(ids)]

    def replace(m: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        mixed = args[0].clone()
        at = torch.from_numpy(np.flatnonzero(where[1]))
        mixed[0, at, :4] = heads["source"][0, at, :4]  # the first of two heads, four numbers wide
        return (mixed,)

    handle = module.out.register_forward_pre_hook(replace)
    try:
        return int(module(torch.tensor([tokens]))[0, -1].argmax())
    finally:
        handle.remove()


def test_the_network_does_what_hooks_make_it_do(pool: Pool, reference: Reference) -> None:
    swaps = random_swaps(pool, 40, 2)
    ids = pool.batch.input_ids.tolist()
    said = pool.network_says(swaps)
    for row in range(40):
        others = [ids[swaps.source[g, row]] for g in range(2)]
        assert said[row] == with_hooks(reference, ids[swaps.base[row]], others, swaps.where[:, row])


def test_what_comes_before_a_swap_is_computed_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    swaps = random_swaps(pool, 30, 4)
    swaps.where[0] = False  # the head alone is swapped
    pool.network_says(swaps)
    computed: list[str] = []
    compute = ExportedNetwork._compute

    def spied(self: ExportedNetwork, node: Any, inputs: Any, values: Any) -> Any:
        if node.op == "call_function":
            computed.append(node.name)
        return compute(self, node, inputs, values)

    monkeypatch.setattr(ExportedNetwork, "_compute", spied)
    pool.network_says(swaps)
    exported = pool.reference.exported
    head = pool.groups[1].places[0].value
    assert "embedding" not in computed
    assert head not in computed
    assert {name for name in computed if name in exported.values} <= exported.after([head])
    assert exported.output in computed


def test_a_source_for_every_position(pool: Pool) -> None:
    swaps = random_swaps(pool, 30, 3)
    spread = Swaps(swaps.base, np.repeat(swaps.source[:, :, None], pool.length, axis=2), swaps.where)
    assert (pool.network_says(spread) == pool.network_says(swaps)).all()


def test_means_take_the_place_of_sources(pool: Pool, reference: Reference) -> None:
    where = np.zeros((2, pool.size, pool.length), dtype=np.bool_)
    where[1] = True
    base = np.arange(pool.size)
    said = pool.network_says(Swaps(base, np.repeat(base[None], 2, axis=0), where), mean=True)
    module = reference.network.module
    stored: list[torch.Tensor] = []
    handle = module.out.register_forward_pre_hook(lambda m, args: stored.append(args[0].clone()))
    module(torch.from_numpy(pool.batch.input_ids))
    handle.remove()
    changed = stored[0].clone()
    changed[..., :4] = stored[0].mean(0)[..., :4]
    handle = module.out.register_forward_pre_hook(lambda m, args: (changed,))
    expected = module(torch.from_numpy(pool.batch.input_ids))[:, -1].argmax(-1)
    handle.remove()
    assert said.tolist() == expected.tolist()


def test_where_the_variables_live_is_told(pool: Pool, judged: Judged) -> None:
    assert [g.name for g in pool.groups] == ["tokens", "seen"]
    assert pool.groups[1].where == "scaled_dot_product_attention[head 0]"
    assert [g.is_input for g in pool.groups] == [True, False]
    assert without_alignment(judged.graph) == ("more", "wins")
    assert pool.groups[1].places[0].dimension == 4


def test_variables_at_overlapping_sites_are_swapped_together(made: Any, reference: Reference) -> None:
    graph = made.program()
    site = graph["seen"].sites[0]
    both = made.changed(graph, "more", sites=(site, site.__class__(site.value, site.axes, index=(("head", 1),))))
    groups = align(both, reference.exported)
    assert [g.name for g in groups] == ["tokens", "seen & more"]
    assert [p.head for p in groups[1].places] == [0, 1]
    apart = made.changed(graph, "more", sites=(site.__class__(site.value, site.axes, index=(("head", 1),)),))
    assert [g.name for g in align(apart, reference.exported)] == ["tokens", "seen", "more"]


def test_subspaces_overlap_where_their_directions_do(made: Any, reference: Reference) -> None:
    graph = made.program()
    site = graph["seen"].sites[0]
    first, second, mixed = np.eye(4)[:2], np.eye(4)[2:], np.eye(4)[1:3]
    tensors = {"first": first, "second": second, "mixed": mixed}

    def placed(basis_of_more: str) -> Any:
        changed = made.changed(graph, "seen", sites=(with_fields(site, basis="first"),))
        changed = made.changed(changed, "more", sites=(with_fields(site, basis=basis_of_more),))
        return with_fields(changed, tensors=tensors)

    assert [g.name for g in align(placed("second"), reference.exported)] == ["tokens", "seen", "more"]
    assert [g.name for g in align(placed("mixed"), reference.exported)] == ["tokens", "seen & more"]


def test_a_subspace_changes_only_what_lies_in_it(made: Any, reference: Reference) -> None:
    graph = made.program()
    basis = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 2.0, 1.0, 0.0]])
    graph = made.changed(graph, "seen", sites=(with_fields(graph["seen"].sites[0], basis="plane"),))
    graph = with_fields(graph, tensors={"plane": basis})
    (place,) = align(graph, reference.exported)[1].places
    assert place.dimension == 2
    generator = torch.Generator().manual_seed(0)
    value, source = (torch.randn(3, 2, 5, 4, generator=generator) for _ in range(2))
    where = torch.tensor([[True, False, True, False, True]] * 2 + [[False] * 5])
    mixed = place.mixed(value, source, where)
    changed = (mixed - value).numpy()
    assert not changed[:, 1].any()  # the other head
    assert not changed[:, :, [1, 3]].any()
    assert not changed[2].any()
    orthogonal = np.linalg.svd(basis)[2][2:]
    assert np.abs(changed @ orthogonal.T).max() < 1e-6
    inside = np.linalg.qr(basis.T)[0]
    assert np.allclose(mixed[0, 0, 0].numpy() @ inside, source[0, 0, 0].numpy() @ inside, atol=1e-5)


def test_swaps_of_images_are_computed_so_many_at_once_that_no_value_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight filters on images of 6 x 6 make 288 numbers a row; with room for 1,000 three rows fit, and answers stay."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten())
    module.append(torch.nn.Linear(288, 3))
    x = np.random.default_rng(0).normal(size=(20, 1, 6, 6)).astype(np.float32)
    behavior = Behavior.from_arrays("tiny", {"test": (x, np.zeros(20, np.int64))}, Argmax())
    graph = lift(module, {"input": torch.from_numpy(x[:3])}).graph
    reference = Reference(Network(module.eval(), "tiny"), behavior)
    groups = align(graph, reference.exported)

    def said() -> tuple[int, list[int]]:
        (found,) = pools(Judged(graph), reference, groups, "test", count=1, size=20)
        rng = np.random.default_rng(1)
        where = rng.random((len(groups), 20, 1)) < 0.5
        swaps = Swaps(np.arange(20), rng.integers(20, size=(len(groups), 20)), where)
        return found.at_once, found.network_says(swaps).tolist()

    whole, answers = said()
    monkeypatch.setattr("exegesis.verify.swaps._MAX_ENTRIES", 1000)
    few, again = said()
    assert (whole >= 20, few) == (True, 3)
    assert again == answers
