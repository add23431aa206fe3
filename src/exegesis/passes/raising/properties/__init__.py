"""Hypotheses about whole networks: each proposes programs with variables that must be found inside."""

from collections.abc import Callable, Iterator

from exegesis.passes.raising.properties.balance import balance
from exegesis.passes.raising.properties.carried import carried
from exegesis.passes.raising.properties.evidence import Evidence, Proposal
from exegesis.passes.raising.properties.mirror import mirror

Hypothesis = Callable[[Evidence], Iterator[Proposal]]

HYPOTHESES: tuple[Hypothesis, ...] = (balance, mirror, carried)

__all__ = ["HYPOTHESES", "Evidence", "Hypothesis", "Proposal"]
