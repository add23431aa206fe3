"""The pipeline: presets of passes, and the only place that knows every layer."""

from exegesis.pipeline.decompile import decompile
from exegesis.pipeline.program import Program, load_program

__all__ = ["Program", "decompile", "load_program"]
