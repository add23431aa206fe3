"""Networks from Python files: whatever the file does, one sentence comes back."""

import sys
from pathlib import Path

import pytest

from exegesis.ir import InputError
from exegesis.runtime import load
from exegesis.runtime.source_file import build_from_file

GOOD = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class Config:
    width: int = 3

def build():
    return nn.Linear(Config().width, 2)
"""


def write(folder: Path, source: str) -> str:
    path = folder / "network.py"
    path.write_text(source)
    return f"{path}:build"


def test_a_network_is_built_and_named(tmp_path: Path) -> None:
    network = load(write(tmp_path, GOOD))
    assert network.parameters_count == 8
    assert network.name == f"{tmp_path.name}/network.py:build"


def test_files_next_to_it_can_be_imported_but_not_afterwards(tmp_path: Path) -> None:
    (tmp_path / "sibling_of_network.py").write_text("WIDTH = 5")
    before = list(sys.path)
    source = (
        "from sibling_of_network import WIDTH\nfrom torch import nn\ndef build():\n    return nn.Linear(WIDTH, 1)\n"
    )
    assert load(write(tmp_path, source)).parameters_count == 6
    assert sys.path == before


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    specs = []
    for width in (2, 4):
        folder = tmp_path / str(width)
        folder.mkdir()
        specs.append(write(folder, f"from torch import nn\nW = {width}\ndef build():\n    return nn.Linear(W, 1)\n"))
    assert [load(spec).parameters_count for spec in specs] == [3, 5]
    assert "network" not in sys.modules


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def build(:\n", r"network.py cannot be imported: SyntaxError"),
        ("import no_such_module_anywhere\n", "cannot be imported: ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
        ("raise ValueError\n", "cannot be imported: ValueError: no message"),
        ("x = 1\n", "has no function 'build'"),
        ("build = 3\n", "has no function 'build'"),
        ("def build():\n    return 3\n", "returns int, not a torch.nn.Module"),
        ("def build():\n    raise RuntimeError('first line.\\nsecond line')\n", "fails: RuntimeError: first line.$"),
        ("def build(size):\n    return size\n", "fails: TypeError: build"),
        ("def build():\n    raise SystemExit\n", "fails: SystemExit"),
    ],
)
def test_what_goes_wrong_in_the_file_is_one_sentence(tmp_path: Path, source: str, message: str) -> None:
    modules = set(sys.modules)
    with pytest.raises(InputError, match=message) as error:
        load(write(tmp_path, source))
    assert "\n" not in str(error.value)
    assert (
        "_exegesis_network" not in "".join(set(sys.modules) - modules)
        or "has no" in message
        or "fails" in message
        or "returns" in message
    )


def test_a_file_that_python_would_not_import(tmp_path: Path) -> None:
    (tmp_path / "network.txt").write_text(GOOD)
    with pytest.raises(InputError, match=r"network\.txt is no Python file"):
        build_from_file(tmp_path / "network.txt", "build")


def test_a_missing_file_and_a_missing_function_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        load(f"{tmp_path}/ghost.py:build")
    with pytest.raises(InputError, match="say which of its functions builds the network"):
        load(write(tmp_path, GOOD).removesuffix(":build"))
