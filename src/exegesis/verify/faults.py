"""Whether the judge notices planted faults: the share of mutants that it does not let hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exegesis.behavior import ProductDomain, SequenceSplit, StringsDomain, domain_split
from exegesis.evidence import VerdictRule
from exegesis.ir.progress import Progress, Silent
from exegesis.runtime import answers
from exegesis.verify.budget import Budget
from exegesis.verify.judge import Judge
from exegesis.verify.mutants import Mutant
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

_DOMAIN = 16384  # inputs of a finite domain on which mutants are compared with the program


@dataclass(frozen=True, eq=False)
class Fate:
    """What became of one mutant.

    Attributes:
        mutant: it.
        changes: the share of the program's answers that it changes, over all splits and the domain (or a sample of it).
        killed_by: the stage at which it was found not to hold; empty where it survived.
        reason: why it survived.
    """

    mutant: Mutant
    changes: float
    killed_by: str
    reason: str = ""


@dataclass(frozen=True)
class KillRate:
    """What became of all mutants."""

    fates: tuple[Fate, ...]

    @property
    def changing(self) -> tuple[Fate, ...]:
        """Those that change any answer."""
        return tuple(f for f in self.fates if f.changes > 0)

    @property
    def rate(self) -> float:
        """The share of killed ones among those that change any answer; 1 where none does."""
        return sum(bool(f.killed_by) for f in self.changing) / max(1, len(self.changing)) if self.changing else 1.0

    @property
    def survivors(self) -> tuple[Fate, ...]:
        """Those that change an answer and were not killed."""
        return tuple(f for f in self.changing if not f.killed_by)


def kill_rate(
    program: Judged,
    reference: Reference,
    mutants: Sequence[Mutant],
    *,
    rule: VerdictRule | None = None,
    budget: float = 30.0,
    progress: Progress | None = None,
) -> KillRate:
    """Judges each mutant, up to the first stage at which it fails.

    Args:
        program: what the mutants were made of.
        reference: the network; what it says on the splits is asked once for all mutants.
        mutants: the planted faults.
        rule: by which a mutant would hold; the default over the held-out splits when None.
        budget: seconds for each mutant.
        progress: told of each.
    """
    rule = rule or VerdictRule.for_splits(reference.behavior.splits)
    watch = progress or Silent()
    splits = _everywhere(reference)
    own = [answers(program.executor, s, reference.behavior.readout) for s in splits]
    watch.stage("mutants", len(mutants))
    fates = []
    for mutant in mutants:
        judged = Judged(mutant.graph)
        changes = _changes(judged, reference, splits, own)
        judge = Judge(judged, reference, rule, Budget(budget), Silent())
        killed_by = judge.first_failure() if changes else ""
        fates.append(Fate(mutant, changes, killed_by, "" if killed_by else _reason(changes, judge)))
        watch.advance()
    return KillRate(tuple(fates))


def _everywhere(reference: Reference) -> list[SequenceSplit]:
    """All splits, and the domain where that is finite: whole or a sample of it."""
    behavior = reference.behavior
    splits = [behavior.sequences(name) for name in behavior.splits]
    domain = behavior.domain
    if isinstance(domain, ProductDomain | StringsDomain):
        size = domain.size()
        batches = domain.enumerate(_DOMAIN) if size <= _DOMAIN else domain.sample(_DOMAIN, reference.rng("mutants"))
        splits += [domain_split(behavior, ids) for ids in batches]
    return splits


def _changes(judged: Judged, reference: Reference, splits: Sequence[SequenceSplit], own: Sequence[np.ndarray]) -> float:
    readout = reference.behavior.readout
    different = total = 0
    for split, before in zip(splits, own, strict=True):
        same = readout.equal(answers(judged.executor, split, readout), before)
        different, total = different + int((~same).sum()), total + len(same)
    return different / total


def _reason(changes: float, judge: Judge) -> str:
    if not changes:
        return "equivalent: it changes no answer"
    undecided = [f.sentence for f in judge.findings() if f.met is None]
    if undecided:
        return f"it changes {changes:.3%} of the answers and is undecided: {undecided[0]}"
    return f"it changes {changes:.3%} of the answers, less than the rule asks for, and no input outside is asked about"
