"""Read-only experiments on networks and programs: agreement, patching, ablation."""

from exegesis.measure.bench import Bench, Observed

__all__ = ["Bench", "Observed"]
