"""The documentation's examples are run, and a wrong one is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run_examples(repository: Path, folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """Runs the examples of one page with the repository's own runner."""
    shutil.copy(repository / "conftest.py", folder)
    (folder / "page.md").write_text(page)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "page.md"]
    return subprocess.run(
        command, cwd=folder, env={**os.environ}, capture_output=True, text=True, timeout=120, check=False
    )


def test_examples_run_in_order_and_share_names(repository: Path, tmp_path: Path) -> None:
    page = (
        "```python\nx = 1\n```\n\n```python\n>>> x + 1\n2\n\n```\n\n"
        "```console\n$ python -c 'print(1); print(2); print(3)'\n1\n...\n3\n```\n"
    )
    result = run_examples(repository, tmp_path, page)
    assert result.returncode == 0, result.stdout
    assert "3 passed" in result.stdout


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("```python\nassert 1 + 1 == 3\n```\n", "AssertionError"),
        ("```python\n>>> 1 + 1\n3\n\n```\n", "Expected"),
        ("```console\n$ python -c 'raise SystemExit(3)'\n```\n", "exit code 3"),
        ("```console\n$ python -c 'print(2)'\n1\n```\n", "did not print '1'"),
        ("```console\n$ python -c 'print(2); print(1)'\n1\n2\n```\n", "did not print '2'"),
    ],
)
def test_a_planted_wrong_example_is_found(repository: Path, tmp_path: Path, block: str, complaint: str) -> None:
    result = run_examples(repository, tmp_path, block)
    assert result.returncode == 1, result.stdout
    assert complaint in result.stdout
