"""What is counted of swaps, and what it amounts to: figures and claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from exegesis.evidence import Bound, Claim, Measurement, Status
from exegesis.ir import Json
from exegesis.verify.alignment import Aligned
from exegesis.verify.picks import JOINT, ONE_POSITION, WHOLE


@dataclass
class Tally:
    """Successes and trials of one experiment, and its first failure."""

    right: int = 0
    asked: int = 0
    failure: Json = None

    def add(self, right: np.ndarray) -> None:
        """Counts a batch of cases."""
        self.right += int(right.sum())
        self.asked += len(right)

    def measurement(self, metric: str, null: float | None, seed: int, note: str = "") -> Measurement | None:
        """The share with its bounds; None where nothing was asked."""
        if not self.asked:
            return None
        return Measurement.proportion(metric, self.right, self.asked, null_value=null, seed=seed, note=note)

    @property
    def share(self) -> float | None:
        """Successes by trials."""
        return self.right / self.asked if self.asked else None


@dataclass
class Experiment:
    """One kind of swap of one group (or jointly), with everything that is counted of it."""

    kind: str
    group: int
    changed: Tally = field(default_factory=Tally)
    unchanged: Tally = field(default_factory=Tally)
    permuted: Tally = field(default_factory=Tally)
    subspace: Tally = field(default_factory=Tally)
    elsewhere: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Interchange:
    """What the swaps amount to: figures by variable, and claims."""

    whole: dict[str, Measurement]
    one_position: dict[str, Measurement]
    unchanged: dict[str, Measurement]
    joint: Measurement | None
    without_alignment: tuple[str, ...]
    claims: tuple[Claim, ...]


def conclude(
    groups: Sequence[Aligned],
    experiments: Sequence[Experiment],
    asked: Bound,
    split: str,
    unaligned: tuple[str, ...],
    seed: int,
) -> Interchange:
    figures: dict[str, dict[str, Measurement]] = {WHOLE: {}, ONE_POSITION: {}}
    unchanged: dict[str, Tally] = {}
    claims = []
    joint = None
    for experiment in experiments:
        measured = measured_of(experiment, seed)
        if experiment.kind == JOINT:
            joint = measured
        elif measured is not None and experiment.changed.asked:
            figures[experiment.kind][groups[experiment.group].name] = measured
        if experiment.group >= 0:
            both = unchanged.setdefault(groups[experiment.group].name, Tally())
            both.right += experiment.unchanged.right
            both.asked += experiment.unchanged.asked
    domain = f"pairs of inputs of equal length of split {split}"
    for g, group in enumerate(groups):
        own = [e for e in experiments if e.group == g]
        if own:
            statement = f"Swapping {group.name} at {group.where} does to the network what the program says."
            claims.append(_claim(statement, domain, own, asked, seed))
    if any(e.kind == JOINT for e in experiments):
        statement = "Swapping any of the variables together does to the network what the program says."
        claims.append(_claim(statement, domain, [e for e in experiments if e.kind == JOINT], asked, seed))
    kept = {
        name: tally.measurement("answers that stay as the program says", None, seed)
        for name, tally in unchanged.items()
    }
    return Interchange(
        whole=figures[WHOLE],
        one_position=figures[ONE_POSITION],
        unchanged={name: m for name, m in kept.items() if m is not None},
        joint=joint,
        without_alignment=unaligned,
        claims=tuple(claims),
    )


_ENOUGH = 30  # cases from which on a share that is neither high nor low enough leaves a claim open
_METRIC = {
    WHOLE: "interchange accuracy, the whole variable",
    ONE_POSITION: "interchange accuracy, at one position",
    JOINT: "interchange accuracy, random subsets of the variables",
}


def measured_of(experiment: Experiment, seed: int) -> Measurement | None:
    """The accuracy beside its nulls; how many answers stay, where none should change."""
    if not experiment.changed.asked:
        note = "the program's answer never changes, so that what counts is whether the network's stays"
        return experiment.unchanged.measurement(_METRIC[experiment.kind], None, seed, note)
    named = {
        "values from another source": experiment.permuted.share,
        "random subspaces of equal dimension": experiment.subspace.share,
        "other sites of equal width": experiment.elsewhere.share,
    }
    note = "; ".join(f"{name}: {'not possible' if share is None else f'{share:.3f}'}" for name, share in named.items())
    return experiment.changed.measurement(_METRIC[experiment.kind], experiment.permuted.share, seed, note)


def _claim(statement: str, domain: str, own: Sequence[Experiment], asked: Bound, seed: int) -> Claim:
    """Refuted where any part is surely too low, tested where all are high enough, else left open.

    The first experiment must be large enough to decide; the others, where they are small, can only refute.
    """
    evidence: list[Measurement] = []
    decided: list[bool | None] = []
    witness: Json = None
    for experiment in own:
        parts = [
            (measured_of(experiment, seed), experiment.changed if experiment.changed.asked else experiment.unchanged)
        ]
        if experiment.changed.asked:
            metric = f"answers that stay as the program says, {experiment.kind}"
            parts.append((experiment.unchanged.measurement(metric, None, seed), experiment.unchanged))
        for measured, tally in parts:
            if measured is None:
                continue
            outcome = settled(measured, asked)
            if outcome is not None or not decided or measured.n >= _ENOUGH:
                decided.append(outcome)
            evidence.append(measured)
            witness = tally.failure if outcome is False and witness is None else witness
    if False in decided:
        status = Status.REFUTED
    else:
        status = Status.TESTED if decided and None not in decided else Status.CONJECTURED
    return Claim(
        statement=statement,
        domain=domain,
        status=status,
        evidence=tuple(evidence),
        witness=witness if status is Status.REFUTED else None,
        seed=seed,
    )


def settled(measured: Measurement, asked: Bound) -> bool | None:
    """True: as large as asked. False: surely smaller. None: the sample does not tell."""
    assert measured.lower is not None
    assert measured.upper is not None
    if measured.value >= asked.at_least and measured.lower >= asked.lower_at_least:
        return True
    return False if measured.upper < asked.at_least else None
