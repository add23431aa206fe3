"""Runs programs and networks with torch: execution at any mix of levels, interventions, loading what a user brings."""

from exegesis.runtime.answers import answers, batch_answers, batch_inputs, outputs
from exegesis.runtime.executor import Executor
from exegesis.runtime.interventions import Ablate, Intervention, InterventionError, Patch, Set, coordinates
from exegesis.runtime.network import Network, load, output_tensor

__all__ = [
    "Ablate",
    "Executor",
    "Intervention",
    "InterventionError",
    "Network",
    "Patch",
    "Set",
    "answers",
    "batch_answers",
    "batch_inputs",
    "coordinates",
    "load",
    "output_tensor",
    "outputs",
]
