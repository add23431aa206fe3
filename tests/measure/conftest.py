"""Networks that compute in a group, for measurements to look at."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from exegesis.behavior import Argmax
from exegesis.measure.pairs import Pairs


@pytest.fixture(scope="session")
def networks() -> ModuleType:
    """The module that makes them."""
    spec = importlib.util.spec_from_file_location("group_networks", Path(__file__).parents[1] / "group_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pairs_of(networks: ModuleType) -> Callable[[nn.Module, int, int], Pairs]:
    """A network over sequences of some length as a view of its n·n pairs."""

    def view(network: nn.Module, length: int, n: int) -> Pairs:
        graph = networks.lifted(network, length, n)
        found = Pairs.of(graph, networks.domain_of(length, n), Argmax(outputs=tuple(range(n))), length - 1)
        assert isinstance(found, Pairs)
        return found

    return view
