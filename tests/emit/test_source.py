"""Sizes of programs, counted as an outsider would."""

import pytest

from exegesis.emit import count_code_lines, measure_source

SOURCE = '''"""A module.

With a long docstring.
"""

import numpy as np

A, B = 0, 1.5


def run(x):
    """One."""
    # a comment
    return np.where(
        x > A,
        B,
        -2,
    )
'''


def test_lines_are_those_where_code_begins() -> None:
    # import, constants, def, return, three arguments; a docstring counts as the one line on which it begins
    assert count_code_lines(SOURCE) == 9


def test_an_import_is_one_statement() -> None:
    assert count_code_lines("from numpy import (\n    abs,\n    all,\n    any,\n)\n\nx = [\n    1,\n    2,\n]\n") == 4


def test_numbers() -> None:
    assert measure_source(SOURCE).numbers == 3


def test_what_is_not_python() -> None:
    with pytest.raises(SyntaxError):
        count_code_lines("def")
