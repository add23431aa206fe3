"""Groups of vectors against groups made by hand; what decides what, against dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exegesis.passes.raising.clusters import cluster, codes_of, decides, joint, same_partition

RNG = np.random.default_rng(0)
CODES = st.lists(st.integers(0, 3), min_size=1, max_size=12)


def groups(codes: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(codes == c).tolist()) for c in np.unique(codes)}


def test_exact_groups_up_to_rounding() -> None:
    kinds = RNG.normal(size=(5, 7))
    which = RNG.integers(5, size=60)
    found = cluster(kinds[which] + RNG.normal(0, 1e-6, (60, 7)))
    assert groups(found[-1].codes) == groups(which)
    assert found[-1].count == 5
    assert found[-1].spread < 1e-4


def test_blends_are_offered_with_their_neighbours_first() -> None:
    corners = np.eye(4)
    blends = np.concatenate([corners, 0.8 * corners + 0.2 * np.roll(corners, 1, 0)])
    which = np.concatenate([np.arange(8), RNG.integers(8, size=40)])
    found = cluster(blends[which])
    assert groups(found[0].codes) == groups(which % 4)
    assert groups(found[-1].codes) == groups(which)
    assert found[0].spread > found[-1].spread


def test_one_group_where_nothing_varies() -> None:
    found = cluster(np.full((9, 3), 2.5) + RNG.normal(0, 1e-9, (9, 3)))
    assert [f.count for f in found] == [1]


def test_no_groups_where_everything_varies() -> None:
    assert cluster(RNG.normal(size=(50, 3)), most=40) == []


def test_vectors_that_look_like_distances_are_no_distances() -> None:
    """Scipy warns about square hollow matrices; they are vectors like any others."""
    assert cluster(1 - np.eye(4))[-1].count == 4


@pytest.mark.parametrize("values", [[3, 3, -1, 7], [0.5, 1 / 3, 0.5, 1 / 3 + 1e-9], [True, False, True]])
def test_codes_follow_the_order_of_values(values: list[float]) -> None:
    codes = codes_of(np.array(values))
    rounded = [round(float(v), 6) for v in values]
    assert codes.tolist() == [sorted(set(rounded)).index(v) for v in rounded]


@given(CODES, st.data())
def test_decides_is_being_a_function(source: list[int], data: st.DataObject) -> None:
    target = data.draw(st.lists(st.integers(0, 3), min_size=len(source), max_size=len(source)))
    s, t = codes_of(np.array(source)), codes_of(np.array(target))
    seen: dict[int, set[int]] = {}
    for a, b in zip(source, target, strict=True):
        seen.setdefault(a, set()).add(b)
    assert decides(s, t) == all(len(v) == 1 for v in seen.values())
    assert same_partition(s, t) == (groups(s) == groups(t))
    assert groups(joint(s, t)) == {
        frozenset(i for i, p in enumerate(zip(source, target, strict=True)) if p == pair)
        for pair in set(zip(source, target, strict=True))
    }
