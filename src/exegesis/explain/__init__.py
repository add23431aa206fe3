"""Explanations that had to pass a check: each comes with the test that could have refuted it, and the null."""

from exegesis.explain.core import (
    Bound,
    Check,
    Consequence,
    Explanation,
    Provenance,
    Status,
    WithheldError,
)
from exegesis.explain.inputs import Inputs, read_inputs
from exegesis.explain.model import Model, NetworkModel, NotDifferentiableError, Objective, ProgramModel
from exegesis.explain.target import Direction, Distance, Explained, Target, TargetError, Unit

__all__ = [
    "Bound",
    "Check",
    "Consequence",
    "Direction",
    "Distance",
    "Explained",
    "Explanation",
    "Inputs",
    "Model",
    "NetworkModel",
    "NotDifferentiableError",
    "Objective",
    "ProgramModel",
    "Provenance",
    "Status",
    "Target",
    "TargetError",
    "Unit",
    "WithheldError",
    "read_inputs",
]
