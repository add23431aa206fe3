"""What is said about a network and what supports it: claims, measurements, figures and the verdict over them."""

from exegesis.evidence.figures import Attack, Figures, legible_share
from exegesis.evidence.intervals import clopper_pearson
from exegesis.evidence.records import Claim, Measurement, Status, Witness
from exegesis.evidence.rule import Bound, Finding, Substance, Threshold, VerdictRule, findings, judge
from exegesis.evidence.table import Row
from exegesis.evidence.verdict import Verdict

__all__ = [
    "Attack",
    "Bound",
    "Claim",
    "Figures",
    "Finding",
    "Measurement",
    "Row",
    "Status",
    "Substance",
    "Threshold",
    "Verdict",
    "VerdictRule",
    "Witness",
    "clopper_pearson",
    "findings",
    "judge",
    "legible_share",
]
