"""What every test runs under: shapes and types checked at every call, one thread, fixed seeds, warnings as errors."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import install_import_hook

# Before the first import of the package: every function in it checks its annotations, shapes included, when called.
# A whole number is a float, as for a static checker (PEP 484). The hook takes its checker by the name of a module.
sys.modules["exegesis_checker"] = _checker = ModuleType("exegesis_checker")
_checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # type: ignore[attr-defined]
install_import_hook("exegesis", "exegesis_checker.check")

settings.register_profile("exegesis", deadline=None, derandomize=True)
settings.load_profile("exegesis")
torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parent.parent
TRAINED_BY_OTHERS = REPOSITORY.parent / "shared" / "models"


def pytest_configure(config: pytest.Config) -> None:
    # pytest-randomly shuffles the order; the seeds are ours, the same in every run.
    if hasattr(config.option, "randomly_reset_seed"):
        config.option.randomly_reset_seed = False


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - third-party code may still draw from the global generator
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def models() -> Path:
    """Networks trained by others, in a folder beside the checkout; tests that need them are skipped without it."""
    if not TRAINED_BY_OTHERS.is_dir():
        pytest.skip(f"no trained networks at {TRAINED_BY_OTHERS}")
    return TRAINED_BY_OTHERS


@pytest.fixture
def double_precision() -> Iterator[None]:
    """float64 as torch's default dtype within one test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
