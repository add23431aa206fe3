"""Fourier analysis over groups, against the discrete Fourier transform and against matrices multiplied out."""

import numpy as np
import pytest

from exegesis.measure.groups import multiplied
from exegesis.measure.harmonics import blocks, concentration, motion_matrix, shares, wave_matrix

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("n", [5, 8])
def test_shares_over_a_cyclic_group_are_those_of_the_fourier_transform(n: int) -> None:
    values, names = RNG.normal(size=(n, 4)), RNG.permutation(n)
    found = shares(values, names, blocks("cyclic", n))
    by_name = np.empty_like(values)
    by_name[names] = values
    power = (np.abs(np.fft.fft(by_name, axis=0)) ** 2).sum(1)
    expected = {f: (power[f] + (power[n - f] if 2 * f != n else 0)) / power[1:].sum() for f in range(1, n // 2 + 1)}
    assert found.keys() == expected.keys()
    for f, share in expected.items():
        assert found[f] == pytest.approx(share)


@pytest.mark.parametrize("n", [3, 6])
def test_motions_multiply_as_the_elements_do_and_their_blocks_are_everything_but_the_mean(n: int) -> None:
    elements = np.arange(2 * n)
    product = multiplied("dihedral", n, elements[:, None], elements[None])
    for f in range(n // 2 + 1):
        matrices = motion_matrix(f, n).reshape(-1, 2, 2)
        np.testing.assert_allclose(np.einsum("xij,yjk->xyik", matrices, matrices), matrices[product], atol=1e-12)
    bases = blocks("dihedral", n)
    assert sum(b.shape[1] for b in bases.values()) == 2 * n - 1
    every = np.concatenate(list(bases.values()), axis=1)
    np.testing.assert_allclose(every.T @ every, np.eye(2 * n - 1), atol=1e-9)
    assert sum(shares(RNG.normal(size=(2 * n, 3)), elements, bases).values()) == pytest.approx(1)


def test_waves_are_concentrated_and_random_vectors_are_not() -> None:
    n, names = 31, RNG.permutation(31)
    bases = blocks("cyclic", n)
    waves = wave_matrix(4, n)[names] @ RNG.normal(size=(2, 10))
    found = concentration(waves, names, bases, 0)
    assert found.value == pytest.approx(15)
    assert found.holds
    assert not concentration(waves, RNG.permutation(31), bases, 0).holds
    assert not concentration(RNG.normal(size=(31, 10)), names, bases, 0).holds
    assert not concentration(np.eye(31), names, bases, 0).holds
