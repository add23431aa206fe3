"""How large a program's text is."""

from __future__ import annotations

import ast
from typing import NamedTuple


class CodeSize(NamedTuple):
    """Lines on which code begins, and numbers written in them."""

    lines: int
    numbers: int


def measure_source(source: str) -> CodeSize:
    """Counts lines where anything but a docstring begins, and numeric constants (True and False among them).

    Raises:
        SyntaxError: the source is not Python.
    """
    tree = ast.parse(source)
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, holders) and node.body and isinstance(node.body[0], ast.Expr)
    }
    lines = {line for node in ast.walk(tree) if (line := getattr(node, "lineno", None)) and id(node) not in docs}
    numbers = sum(isinstance(n, ast.Constant) and isinstance(n.value, int | float) for n in ast.walk(tree))
    return CodeSize(len(lines), numbers)


def count_code_lines(source: str) -> int:
    """Lines of code of a program, docstrings and comments apart."""
    return measure_source(source).lines
