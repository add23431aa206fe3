"""Runs the examples of README.md and docs/: every ``python`` block, and every command in a ``console`` block.

The blocks of one page run in order and share their names; each page has an empty folder as its working directory. Lines
under a command must appear, in that order, in what it prints; a line of three dots stands for any others.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser


def run_console(example: Example) -> str | None:
    """Runs each ``$ command`` of a block; the message says what went wrong, None that all is well."""
    commands: list[tuple[str, list[str]]] = []
    for line in str(example.parsed).splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif line.strip() and line.strip() != "...":
            commands[-1][1].append(line.strip())
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    for command, expected in commands:
        result = subprocess.run(
            shlex.split(command), env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        if result.returncode != 0:
            return f"$ {command}\nexit code {result.returncode}\n{result.stdout}{result.stderr}"
        printed = iter(line.strip() for line in result.stdout.splitlines())
        missing = [line for line in expected if line not in printed]
        if missing:
            return f"$ {command}\ndid not print {missing[0]!r}, but\n{result.stdout}"
    return None


def enter_empty_folder(namespace: dict[str, Any]) -> None:
    namespace["_before"] = Path.cwd()
    namespace["_folder"] = tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def leave_it(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_console), SkipParser()],
    patterns=["*.md"],
    excludes=["docs/_build/**", "docs/reference/_generated/**", ".venv/**"],
    setup=enter_empty_folder,
    teardown=leave_it,
).pytest()
