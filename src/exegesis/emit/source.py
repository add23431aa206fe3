"""How large a program's text is."""

from __future__ import annotations

import ast
from typing import NamedTuple


class CodeSize(NamedTuple):
    """Lines on which code begins, and numbers written in it."""

    lines: int
    numbers: int


def measure_source(source: str) -> CodeSize:
    """Counts lines on which a statement or an expression begins, and numeric constants (True and False among them).

    Of a docstring, and of an import, only the first line counts; comments and closing brackets do not.

    Raises:
        SyntaxError: the source is not Python.
    """
    tree = ast.parse(source)
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr)}
    numbers = sum(isinstance(n, ast.Constant) and isinstance(n.value, int | float) for n in ast.walk(tree))
    return CodeSize(len(lines), numbers)


def count_code_lines(source: str) -> int:
    """Lines of code of a program; of a docstring only the first line counts, comments do not."""
    return measure_source(source).lines
