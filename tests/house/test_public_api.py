"""The package's front door: lazy, complete, and cheap to enter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import exegesis

HEAVY = ("torch", "transformers", "scipy", "sklearn", "pydantic", "rich", "typer", "jinja2")


def modules_loaded_by(statement: str) -> set[str]:
    """Top-level modules present after `statement` ran in an interpreter of its own."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(result.stdout.split())


def test_importing_exegesis_loads_nothing() -> None:
    assert modules_loaded_by("import exegesis").isdisjoint({*HEAVY, "numpy"})


def test_primitives_need_numpy_alone() -> None:
    loaded = modules_loaded_by("import exegesis.primitives")
    assert "numpy" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("layer", ["ir", "evidence", "behavior", "store", "emit"])
def test_results_open_without_torch(layer: str) -> None:
    loaded = modules_loaded_by(f"import exegesis.{layer}")
    assert loaded.isdisjoint({"torch", "transformers"})


def test_the_measure_of_loaded_modules_sees_torch() -> None:
    assert "torch" in modules_loaded_by("import torch")


def test_dir_names_the_public_api() -> None:
    assert {"load", "Behavior", "decompile", "Program", "__version__"} <= set(dir(exegesis))


@pytest.mark.parametrize("name", ["load", "Behavior", "decompile", "Program"])
def test_public_names_resolve(name: str) -> None:
    value = getattr(exegesis, name)
    assert callable(value)
    assert value.__module__.startswith("exegesis.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'decompose'"):
        _ = exegesis.decompose  # type: ignore[attr-defined]


def test_the_version_is_the_one_installed() -> None:
    from importlib.metadata import version

    assert exegesis.__version__ == version("exegesis")


def names_taken_from_the_front_door(source: str) -> set[str]:
    """What a module imports from `exegesis` itself rather than from a layer."""
    layers = {path.stem for path in Path(next(iter(exegesis.__path__))).iterdir()}
    taken = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "exegesis" and node.level == 0:
            taken |= {alias.name for alias in node.names} - layers
        if isinstance(node, ast.Import):
            taken |= {alias.name for alias in node.names if alias.name == "exegesis"}
    return taken


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ("from exegesis import Behavior, ir", {"Behavior"}),
        ("import exegesis", {"exegesis"}),
        ("from exegesis.ir import Graph\nimport exegesis.evidence", set()),
    ],
)
def test_the_search_for_such_imports_finds_them(source: str, taken: set[str]) -> None:
    assert names_taken_from_the_front_door(source) == taken


def test_no_layer_enters_by_the_front_door(repository: Path) -> None:
    """The import contracts ignore the lazy names of `exegesis/__init__.py`: a layer may take its version at most."""
    found = {
        str(path): taken
        for path in sorted((repository / "src" / "exegesis").rglob("*.py"))
        if (taken := names_taken_from_the_front_door(path.read_text()) - {"__version__"})
    }
    assert found == {}


def test_the_hook_checks_shapes_and_types_in_the_package() -> None:
    from jaxtyping import TypeCheckError

    from exegesis.evidence import clopper_pearson

    with pytest.raises(TypeCheckError):
        clopper_pearson("three", 4)  # type: ignore[arg-type]
