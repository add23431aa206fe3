"""What is said about a network and what supports it: claims, measurements, figures and the verdict over them."""

from exegesis.evidence.figures import Figures, legible_share
from exegesis.evidence.intervals import clopper_pearson
from exegesis.evidence.records import Claim, Measurement, Status
from exegesis.evidence.verdict import Finding, Row, Threshold, Verdict, VerdictRule, findings, judge

__all__ = [
    "Claim",
    "Figures",
    "Finding",
    "Measurement",
    "Row",
    "Status",
    "Threshold",
    "Verdict",
    "VerdictRule",
    "clopper_pearson",
    "findings",
    "judge",
    "legible_share",
]
