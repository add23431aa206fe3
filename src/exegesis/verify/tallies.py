"""What is counted of swaps, and what it amounts to: figures and claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from exegesis.evidence import Bound, Claim, Measurement, Status
from exegesis.evidence.intervals import clopper_pearson
from exegesis.ir import Json
from exegesis.verify.alignment import Aligned
from exegesis.verify.picks import BETWEEN, JOINT, JOINT_BETWEEN, ONE_POSITION, WHOLE


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

    def measurement(
        self, metric: str, null: float | None, seed: int, note: str = "", *, looks: int = 1
    ) -> Measurement | None:
        """The share with its bounds, wider with every further look; None where nothing was asked."""
        if not self.asked:
            return None
        if looks > 1:
            note = "; ".join(filter(None, (note, f"looked at {looks} times, each time with half the room for error")))
        return Measurement.proportion(
            metric, self.right, self.asked, confidence=confidence(looks), null_value=null, seed=seed, note=note
        )

    @property
    def share(self) -> float | None:
        """Successes by trials."""
        return self.right / self.asked if self.asked else None


def confidence(looks: int) -> float:
    """How sure a bound is after so many looks at the same cases and further ones: 0.95, 0.975, 0.9875 …"""
    room: float = 0.05 / 2.0 ** (looks - 1)
    return 1 - room


RARELY = 0.05
"""A swap that changes a smaller share of a program's answers is no test of where they change: the rule lets a program
differ from its network in a hundredth of all answers, which may be most of these."""


@dataclass
class Experiment:
    """One kind of swap of one group (or jointly), with everything that is counted of it.

    Attributes:
        kind, group: what is swapped; no group where it is several.
        changed, unchanged: of swaps after which the program says something else, and after which it does not.
        permuted, subspace, elsewhere: nulls.
        alone: the variables' own entries, where others follow them, swapped without these.
        alike: of swaps between positions, whether values that mean the same do the same wherever they come from.
        draws, changes: over arrays, of how many swaps it is known whether the program's answer changes, and how often.
        looks: how often more cases were asked for.
        seconds: how long that took.
    """

    kind: str
    group: int
    changed: Tally = field(default_factory=Tally)
    unchanged: Tally = field(default_factory=Tally)
    permuted: Tally = field(default_factory=Tally)
    subspace: Tally = field(default_factory=Tally)
    elsewhere: Tally = field(default_factory=Tally)
    alone: Tally = field(default_factory=Tally)
    alike: Tally = field(default_factory=Tally)
    draws: int = 0
    changes: int = 0
    looks: int = 1
    seconds: float = 0.0

    @property
    def is_between(self) -> bool:
        """Whether values change hands between positions."""
        return self.kind in (BETWEEN, JOINT_BETWEEN)

    @property
    def is_rare(self) -> bool:
        """Whether a swap changes so few of the program's answers that those may be the ones at which it is wrong."""
        return self.draws > 0 and clopper_pearson(self.changes, self.draws, 0.9)[1] < RARELY

    @property
    def decides_by_changes(self) -> bool:
        """Whether what counts is what the network says where the program's answer changes."""
        return self.changed.asked > 0 and not self.is_rare

    @property
    def is_joint(self) -> bool:
        """Whether random subsets of the variables are swapped."""
        return self.kind in (JOINT, JOINT_BETWEEN)


@dataclass(frozen=True)
class Interchange:
    """What the swaps amount to: figures by variable, and claims.

    Attributes:
        whole, one_position, between, unchanged: accuracies by variable.
        joint: of random subsets; of swaps between positions only where these decide.
        without_alignment: variables that live nowhere in particular.
        claims: what that means.
    """

    whole: dict[str, Measurement]
    one_position: dict[str, Measurement]
    between: dict[str, Measurement]
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
    """Figures and claims of what was counted."""
    figures: dict[str, dict[str, Measurement]] = {WHOLE: {}, ONE_POSITION: {}, BETWEEN: {}}
    unchanged: dict[str, Tally] = {}
    joint: Measurement | None = None
    for experiment in experiments:
        measured = measured_of(experiment, seed)
        if experiment.group < 0:
            decides = not experiment.is_between or _outcome([experiment], asked, seed) is not None
            joint = measured if decides else None
            continue
        name = groups[experiment.group].name
        if measured is not None and experiment.decides_by_changes:
            figures[experiment.kind][name] = measured
        both = unchanged.setdefault(name, Tally())
        both.right += experiment.unchanged.right
        both.asked += experiment.unchanged.asked
    kept = {
        name: tally.measurement("answers that stay as the program says", None, seed)
        for name, tally in unchanged.items()
    }
    return Interchange(
        whole=figures[WHOLE],
        one_position=figures[ONE_POSITION],
        between=figures[BETWEEN],
        unchanged={name: m for name, m in kept.items() if m is not None},
        joint=joint,
        without_alignment=unaligned,
        claims=tuple(_claims(groups, experiments, asked, split, seed)),
    )


def _claims(
    groups: Sequence[Aligned], experiments: Sequence[Experiment], asked: Bound, split: str, seed: int
) -> Iterator[Claim]:
    for g in sorted({e.group for e in experiments}, key=lambda g: (g < 0, g)):
        own = [e for e in experiments if e.group == g]
        what = f"{groups[g].name} at {groups[g].where}" if g >= 0 else "any of the variables together"
        between = own[0].is_between
        moved = " between positions" if between else ""
        pairs = "positions of one input, or of two inputs of equal length," if between else "inputs of equal length"
        yield _claim(
            f"Swapping {what}{moved} does to the network what the program says.",
            f"pairs of {pairs} of split {split}",
            own,
            asked,
            seed,
        )


_ENOUGH = 30  # cases from which on a share that is neither high nor low enough leaves a claim open
_METRIC = {
    WHOLE: "interchange accuracy, the whole variable",
    ONE_POSITION: "interchange accuracy, at one position",
    JOINT: "interchange accuracy, random subsets of the variables",
    BETWEEN: "interchange accuracy, between positions",
    JOINT_BETWEEN: "interchange accuracy, random subsets of the variables, between positions",
}
_ALIKE = "values that mean the same and do the same, from whichever position they come"


def measured_of(experiment: Experiment, seed: int) -> Measurement | None:
    """The accuracy beside its nulls; how many answers stay, where none should change."""
    looks = experiment.looks
    if not experiment.decides_by_changes:
        note = "the program's answer never changes, so that what counts is whether the network's stays"
        if experiment.changed.asked:
            followed = f"{experiment.changed.right} of {experiment.changed.asked}"
            note = (
                f"the program's answer changes in {experiment.changes} of {experiment.draws} swaps only of which it is "
                f"certain, so that what counts is whether the network's stays in the others; it follows in {followed}"
            )
        return experiment.unchanged.measurement(_METRIC[experiment.kind], None, seed, note, looks=looks)
    named = {
        "values from another source": experiment.permuted.share,
        "random subspaces of equal dimension": experiment.subspace.share,
        "other sites of equal width": experiment.elsewhere.share,
    }
    note = "; ".join(f"{name}: {'not possible' if share is None else f'{share:.3f}'}" for name, share in named.items())
    if experiment.alone.share is not None:
        note += f"; without what follows them: {experiment.alone.share:.3f}"
    return experiment.changed.measurement(_METRIC[experiment.kind], experiment.permuted.share, seed, note, looks=looks)


def _parts(experiment: Experiment, seed: int) -> list[tuple[Measurement, Tally]]:
    """What is measured of an experiment, with the counts behind it: what should change first."""
    changes = experiment.decides_by_changes
    found = [(measured_of(experiment, seed), experiment.changed if changes else experiment.unchanged)]
    if changes:
        metric = f"answers that stay as the program says, {experiment.kind}"
        found.append(
            (experiment.unchanged.measurement(metric, None, seed, looks=experiment.looks), experiment.unchanged)
        )
    return [(measured, tally) for measured, tally in found if measured is not None]


def undecided(own: Sequence[Experiment], asked: Bound, seed: int) -> list[tuple[Experiment, Measurement]]:
    """Of the experiments behind one claim, what leaves it open.

    The first part must be large enough to decide; the others, where they are small, can only refute.
    """
    first, found = True, []
    for experiment in own:
        for measured, _ in _parts(experiment, seed):
            if settled(measured, asked) is None and (first or measured.n >= _ENOUGH):
                found.append((experiment, measured))
            first = False
    return found


def _outcome(own: Sequence[Experiment], asked: Bound, seed: int) -> bool | None:
    """False where any part is surely too low, True where all are high enough, else None.

    A value that is put in at another position may fail for being written differently there. So a failure between
    positions counts only where values that mean the same are surely seen to do the same.
    """
    parts = [(e, m) for e in own for m, _ in _parts(e, seed)]
    if any(settled(m, asked) is False and (not e.is_between or _same_code(e, asked, seed)) for e, m in parts):
        return False
    if not parts or undecided(own, asked, seed) or any(settled(m, asked) is False for _, m in parts):
        return None
    if any(e.is_between and not e.changed.asked for e in own):
        return None  # nothing changed hands
    return True


def _same_code(experiment: Experiment, asked: Bound, seed: int) -> bool:
    measured = experiment.alike.measurement(_ALIKE, None, seed, looks=experiment.looks)
    return measured is not None and settled(measured, asked) is True


def _claim(statement: str, domain: str, own: Sequence[Experiment], asked: Bound, seed: int) -> Claim:
    outcome = _outcome(own, asked, seed)
    parts = [(e, m, tally) for e in own for m, tally in _parts(e, seed)]
    evidence = [m for _, m, _ in parts]
    evidence += [m for e in own if (m := e.alike.measurement(_ALIKE, None, seed, looks=e.looks)) is not None]
    status = {True: Status.TESTED, False: Status.REFUTED, None: Status.CONJECTURED}[outcome]
    failures = [t.failure for _, m, t in parts if settled(m, asked) is False]
    return Claim(
        statement=statement,
        domain=domain,
        status=status,
        evidence=tuple(evidence),
        witness=failures[0] if outcome is False else None,
        seed=seed,
        missing=_missing(own, asked, seed) if outcome is None else "",
    )


def _missing(own: Sequence[Experiment], asked: Bound, seed: int) -> str:
    """Why a claim is open, and how many more cases would decide it."""
    if not any(m.n for e in own for m, _ in _parts(e, seed)):
        return "no case was looked at"
    still = undecided(own, asked, seed)
    if not still and any(e.is_between and not e.changed.asked for e in own):
        return "no swap changes what the program says"
    if not still:
        return "what is put in at another position may be written differently there, so that its failure tells nothing"
    return "; ".join(f"{m.metric}: {open_because(m, asked)}" for _, m in still)


def open_because(measured: Measurement, asked: Bound) -> str:
    """What a sample says that does not tell, and how many cases would."""
    more = more_cases(measured, asked)
    bounds = f"{measured.value:.3f} of {measured.n} cases, between {measured.lower:.3f} and {measured.upper:.3f}"
    would = "no sample would tell soon" if more is None else f"about {more} more cases would tell"
    return f"{bounds}, where {asked.at_least:g} is asked; {would}"


MOST_CASES = 20_000


def more_cases(measured: Measurement, asked: Bound) -> int | None:
    """How many more cases would decide, if they went like those before; None: more than anyone would ask."""
    assert measured.confidence is not None
    n = measured.n
    while n <= MOST_CASES:
        likely = Measurement.proportion(measured.metric, round(measured.value * n), n, confidence=measured.confidence)
        if settled(likely, asked) is not None:
            return n - measured.n
        n += max(1, n // 8)
    return None


def settled(measured: Measurement, asked: Bound) -> bool | None:
    """True: as large as asked. False: surely smaller. None: the sample does not tell."""
    assert measured.lower is not None
    assert measured.upper is not None
    if measured.value >= asked.at_least and measured.lower >= asked.lower_at_least:
        return True
    return False if measured.upper < asked.at_least else None
