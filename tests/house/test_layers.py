"""The import contracts, and a planted violation of each that must trip it."""

import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

LAYERS = (
    ("cli",),
    ("pipeline",),
    ("lift", "passes", "explain", "verify", "emit"),
    ("measure",),
    ("runtime", "store"),
    ("zoo",),
    ("behavior",),
    ("evidence",),
    ("ir",),
    ("primitives",),
)
JUDGED = ("lift", "passes", "measure", "explain")
TORCH_FREE = ("primitives", "ir", "evidence", "behavior", "store", "emit")


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The package's sources and contracts in a folder of their own; a layer that is absent is there as an empty one."""
    root = tmp_path_factory.mktemp("skeleton")
    package = root / "src" / "exegesis"
    shutil.copytree(repository / "src" / "exegesis", package, ignore=lambda folder, names: _not_python(folder, names))
    for rank in LAYERS:
        for layer in rank:
            if not (package / f"{layer}.py").exists():
                (package / layer).mkdir(exist_ok=True)
                (package / layer / "__init__.py").touch()
    shutil.copy(repository / ".importlinter", root)
    return root


def _not_python(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not (name.endswith(".py") or (Path(folder) / name).is_dir())}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(cache_dir=None))"
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def plant(root: Path, module: str, line: str) -> Path:
    """A new module `exegesis.<module>` that holds one import."""
    path = root / "src" / "exegesis" / f"{module.replace('.', '/')}.py"
    path.write_text(f"{line}\n")
    return path


def test_contracts_hold(skeleton: Path) -> None:
    result = lint(skeleton)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("ir.planted", "import exegesis.behavior", "Layers"),
        ("lift.planted", "import exegesis.emit", "Layers"),
        ("runtime.planted", "from exegesis.store import RunFolder", "Layers"),
        ("measure.planted", "import exegesis.pipeline", "Layers"),
        ("drawer", "", "Layers"),  # a package without a place: the contract is exhaustive
        ("ir.planted", "import torch", "Results open without the network"),
        ("primitives.planted", "import transformers.models", "Results open without the network"),
        ("store.planted", "from torch.nn import Module", "Results open without the network"),
        ("verify.planted", "import exegesis.measure", "The judge shares nothing with the judged"),
        ("verify.planted", "import exegesis.passes", "The judge shares nothing with the judged"),
    ],
)
def test_a_planted_violation_trips_its_contract(skeleton: Path, module: str, line: str, broken: str) -> None:
    path = plant(skeleton, module, line)
    try:
        result = lint(skeleton)
    finally:
        path.unlink()
    assert result.returncode == 1, result.stdout + result.stderr
    verdicts = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert any(row.startswith(broken) for row in verdicts), result.stdout


def test_torch_reached_through_another_module_trips_the_contract(skeleton: Path) -> None:
    planted = [plant(skeleton, "ir.far", "import torch"), plant(skeleton, "emit.near", "from exegesis.ir import far")]
    try:
        result = lint(skeleton)
    finally:
        for path in planted:
            path.unlink()
    assert result.returncode == 1
    assert "exegesis.emit is not allowed to import torch" in result.stdout


def test_every_torch_free_layer_is_under_contract(repository: Path) -> None:
    config = ConfigParser()
    config.read(repository / ".importlinter")
    listed = set(config["importlinter:contract:opens-without-torch"]["source_modules"].split())
    assert listed == {f"exegesis.{layer}" for layer in TORCH_FREE}


def test_every_judged_layer_that_exists_is_under_contract(repository: Path) -> None:
    config = ConfigParser()
    config.read(repository / ".importlinter")
    listed = set(config["importlinter:contract:judge"]["forbidden_modules"].split())
    package = repository / "src" / "exegesis"
    assert listed == {f"exegesis.{layer}" for layer in JUDGED if (package / layer / "__init__.py").exists()}
