"""Tests that an attribution could fail. Each is one file; all of them run unless told otherwise."""

from exegesis.explain.checks.completeness import completeness
from exegesis.explain.checks.deletion_insertion import deletion_insertion
from exegesis.explain.checks.input_invariance import input_invariance
from exegesis.explain.checks.randomised_labels import label_randomisation
from exegesis.explain.checks.randomised_weights import cascading_randomisation, independent_randomisation
from exegesis.explain.checks.road import remove_and_impute
from exegesis.explain.checks.roar import remove_and_retrain
from exegesis.explain.checks.stability import stability
from exegesis.explain.checks.trial import Checker, Retrain, Trial

# In the order in which they are run and listed. A new check is one file and one line here.
CHECKS: tuple[Checker, ...] = (
    completeness,
    cascading_randomisation,
    independent_randomisation,
    label_randomisation,
    input_invariance,
    stability,
    deletion_insertion,
    remove_and_impute,
    remove_and_retrain,
)

__all__ = [
    "CHECKS",
    "Checker",
    "Retrain",
    "Trial",
    "cascading_randomisation",
    "completeness",
    "deletion_insertion",
    "independent_randomisation",
    "input_invariance",
    "label_randomisation",
    "remove_and_impute",
    "remove_and_retrain",
    "stability",
]
