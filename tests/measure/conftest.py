"""Networks that compute in a group, for measurements to look at."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import group_networks
import pytest
from torch import nn

from exegesis.behavior import Argmax
from exegesis.measure.pairs import Pairs


@pytest.fixture(scope="session")
def networks() -> ModuleType:
    """The module that makes them."""
    return group_networks


@pytest.fixture(scope="session")
def pairs_of(networks: ModuleType) -> Callable[[nn.Module, int, int], Pairs]:
    """A network over sequences of some length as a view of its n·n pairs."""

    def view(network: nn.Module, length: int, n: int) -> Pairs:
        graph = networks.lifted(network, length, n)
        found = Pairs.of(graph, networks.domain_of(length, n), Argmax(outputs=tuple(range(n))), length - 1)
        assert isinstance(found, Pairs)
        return found

    return view
