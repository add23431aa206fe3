"""Which Python the virtual environment is made from."""

import subprocess
from pathlib import Path

import pytest

OLD_OR_BROKEN = {
    "a shim that does not run": "exit 127",
    "an old Python, or one without ensurepip": "exit 1",
}
# Answers the question whether it is usable with yes, and says what it was asked to make.
USABLE = '[ "$1" = "-c" ] && exit 0\n[ "$1" = "--version" ] && echo Python 3.11.0 && exit 0\necho "$0 $*"'


def fake(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def make_venv(repository: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(repository / ".ci" / "make-venv"), "venv", *arguments]
    return subprocess.run(
        command, env={"PATH": str(path)}, capture_output=True, text=True, cwd=path, timeout=30, check=False
    )


@pytest.mark.parametrize("body", OLD_OR_BROKEN.values(), ids=OLD_OR_BROKEN.keys())
def test_an_unusable_python_is_passed_over(repository: Path, tmp_path: Path, body: str) -> None:
    fake(tmp_path, "python3.12", body)
    fake(tmp_path, "python3", USABLE)
    result = make_venv(repository, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "python3 -m venv --clear venv" in result.stdout


def test_the_one_asked_for_is_taken(repository: Path, tmp_path: Path) -> None:
    fake(tmp_path, "python3.12", USABLE)
    fake(tmp_path, "mine", USABLE)
    assert "mine -m venv" in make_venv(repository, tmp_path, "mine").stdout


@pytest.mark.parametrize("asked", [[], ["mine"]])
def test_without_a_usable_python_one_sentence(repository: Path, tmp_path: Path, asked: list[str]) -> None:
    fake(tmp_path, "mine" if asked else "python3", "exit 1")
    result = make_venv(repository, tmp_path, *asked)
    assert result.returncode == 1
    assert result.stderr.startswith("No usable Python >= 3.11")
    assert result.stderr.count("\n") == 1


def test_an_environment_that_works_is_kept(repository: Path, tmp_path: Path) -> None:
    fake(tmp_path, "python3", USABLE)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    fake(tmp_path / "venv" / "bin", "python", "exit 0")
    assert make_venv(repository, tmp_path).stdout == ""
    fake(tmp_path / "venv" / "bin", "python", "exit 1")
    assert "python3 -m venv --clear venv" in make_venv(repository, tmp_path).stdout
