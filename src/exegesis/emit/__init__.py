"""Writes programs and reports for people. Never reaches torch."""

from exegesis.emit.about import About
from exegesis.emit.outline import Module, outline
from exegesis.emit.program import emit_program
from exegesis.emit.report import Attempt, Step, emit_report
from exegesis.emit.source import CodeSize, count_code_lines, measure_source

__all__ = [
    "About",
    "Attempt",
    "CodeSize",
    "Module",
    "Step",
    "count_code_lines",
    "emit_program",
    "emit_report",
    "measure_source",
    "outline",
]
