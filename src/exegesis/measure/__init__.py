"""Read-only experiments on networks and programs: agreement, patching, ablation."""

from exegesis.measure.bench import Bench, Observed
from exegesis.measure.units import Layer, Layers, Lesion, Units

__all__ = ["Bench", "Layer", "Layers", "Lesion", "Observed", "Units"]
