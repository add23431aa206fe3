"""What if: the smallest change that turns an answer, what suffices for it, what it depends on, and a tree that says
the same."""

from exegesis.explain.contrast.anchors import Anchor, anchor
from exegesis.explain.contrast.counterfactuals import Counterfactuals, counterfactuals
from exegesis.explain.contrast.surrogate import Surrogate, surrogate
from exegesis.explain.contrast.tables import Dependence, Importance, dependence, permutation_importance

__all__ = [
    "Anchor",
    "Counterfactuals",
    "Dependence",
    "Importance",
    "Surrogate",
    "anchor",
    "counterfactuals",
    "dependence",
    "permutation_importance",
    "surrogate",
]
