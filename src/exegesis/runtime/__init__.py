"""Runs programs and networks with torch: execution at any mix of levels, interventions, loading what a user brings."""

from exegesis.runtime.executor import Executor
from exegesis.runtime.interventions import Ablate, Intervention, InterventionError, Patch, Set, coordinates

__all__ = [
    "Ablate",
    "Executor",
    "Intervention",
    "InterventionError",
    "Patch",
    "Set",
    "coordinates",
]
