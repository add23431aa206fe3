"""Sites that are several entries of one axis: kept neurons of a layer."""

from __future__ import annotations

import pytest
import torch

from exegesis.ir import InputError, Site
from exegesis.verify.alignment import _listed, _selected


def test_several_entries_of_one_axis_are_all_of_them() -> None:
    site = Site("relu", ("batch", "hidden"), index=(("hidden", 4), ("hidden", 1)))
    mask, kept = _selected(site, (None, 6), ("batch", None), "it")
    assert mask is not None
    assert mask.tolist() == [[False, True, False, False, True, False]]
    assert kept == 2
    assert _listed(site) == "[2 of hidden]"


def test_entries_of_two_axes_are_their_product() -> None:
    site = Site("conv", ("batch", "channel", "y"), index=(("channel", 0), ("channel", 2), ("y", 1)))
    mask, kept = _selected(site, (None, 3, 2), ("batch", None), "it")
    assert mask is not None
    expected = torch.zeros(1, 3, 2, dtype=torch.bool)
    expected[0, [0, 2], 1] = True
    assert torch.equal(mask.expand(1, 3, 2), expected)
    assert kept == 2


def test_an_entry_that_the_network_does_not_have() -> None:
    site = Site("relu", ("batch", "hidden"), index=(("hidden", 1), ("hidden", 6)))
    with pytest.raises(InputError, match="at index 6 of 'hidden', but the network has 6 there"):
        _selected(site, (None, 6), ("batch", None), "it")
