"""Where a network leaves its task: what the failures have in common, and which head they come from."""

from exegesis.measure.limits.asked import Asked, ask
from exegesis.measure.limits.conditions import Atom, Condition, Search
from exegesis.measure.limits.kinds import kinds
from exegesis.measure.limits.quantities import Quantity, quantities
from exegesis.measure.limits.separation import Separation, Share, separate

__all__ = [
    "Asked",
    "Atom",
    "Condition",
    "Quantity",
    "Search",
    "Separation",
    "Share",
    "ask",
    "kinds",
    "quantities",
    "separate",
]
