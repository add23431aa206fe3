"""Claim 3: swapping a variable inside the network does to its answer what swapping it in the program does.

Source of the method: interchange interventions and causal abstraction (Geiger et al., 2021, arXiv 2106.02997). Every
case is one pair of inputs and one scored position, so that cases are independent. Which cases count is decided by the
program alone, before the network is asked.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from exegesis.behavior import Answers, ProductDomain, SequenceBatch, StringsDomain
from exegesis.evidence import Bound
from exegesis.ir import Json
from exegesis.ir.progress import Progress
from exegesis.verify.agreement import plain
from exegesis.verify.alignment import Aligned, align, without_alignment
from exegesis.verify.between import can_move, draw_between, lone_pools, moved
from exegesis.verify.budget import Deadline
from exegesis.verify.network import Reference
from exegesis.verify.nulls import other_site, random_subspace
from exegesis.verify.picks import (
    BETWEEN,
    JOINT,
    JOINT_BETWEEN,
    ONE_POSITION,
    WHOLE,
    Cases,
    cases,
    draw,
    other_sources,
    pools,
)
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool, Swaps
from exegesis.verify.tallies import Experiment, Interchange, conclude, more_cases, undecided

ASKED = Bound(at_least=0.9, lower_at_least=0.85)
"""What is asked of each variable where the rule asks nothing of the joint accuracy."""
LOOKS = 4
"""How often more cases are asked for, twice as many as before each time, while a claim is open."""


@dataclass(frozen=True)
class Effort:
    """How many cases are looked at; less where time runs out.

    Attributes:
        changed: per variable and kind of swap, cases in which the answer should change.
        unchanged: per variable and kind of swap, cases in which it should stay.
        null: per variable and null, cases.
        pools, pool_size: from how many lengths, and how many inputs of each.
        legible, heads, called, opaque: how many groups of variables are swapped one by one, of those that a reader of
            the program sees, of heads that nobody explained, of what functions over arrays compute, and of what else is
            only a value of the network; the others are swapped jointly.
        rounds: how often candidates are drawn until enough of them change the program's answer.
    """

    changed: int = 160
    unchanged: int = 48
    null: int = 64
    pools: int = 8
    pool_size: int = 48
    legible: int = 24
    heads: int = 12
    called: int = 16
    opaque: int = 6
    rounds: int = 6


class Exchange:
    """Swaps of variables one by one and jointly, on pairs of inputs of a split; can be stopped and continued.

    Where no two inputs of equal length differ, variables are swapped between positions (`between`).

    Args:
        program, reference: the two sides.
        split: where the inputs come from.
        asked: the accuracy that each variable is said to have.
        effort: how many cases.

    Raises:
        InputError: a variable lives at a site that the network does not have, or torch.export rejects the network.
    """

    def __init__(
        self, program: Judged, reference: Reference, split: str, asked: Bound, effort: Effort | None = None
    ) -> None:
        self.reference, self.split, self.asked = reference, split, asked
        self.effort = effort or Effort()
        self.unaligned = without_alignment(program.graph)
        arrays = not reference.behavior.is_sequence
        self.inside = {n for f in program.graph.functions for n in f.nodes if arrays}
        groups = align(program.graph, reference.exported)
        count, size = self.effort.pools, self.effort.pool_size
        self.pools = pools(program, reference, groups, split, count=count, size=size) if groups else []
        self.between = not self.pools
        if self.between:
            groups = align(program.graph, reference.exported, places=True)
            self.pools = lone_pools(program, reference, groups, split, count=count)
        self.groups = groups
        self.partial = np.array(
            [_has_positions(g) and (not g.is_input or _any_mixture(reference)) for g in groups], np.bool_
        )
        self.movable = [g for g, group in enumerate(groups) if can_move(group, program)]
        self.experiments = self._planned(reference.rng("interchange variables"))
        self.visits = 0

    def _planned(self, rng: Generator) -> list[Experiment]:
        if not self.between:
            return _experiments(self.groups, self.partial, self.effort, self.inside, rng)
        single = [Experiment(BETWEEN, g) for g in self.movable[: self.effort.legible]]
        return [*single, Experiment(JOINT_BETWEEN, -1)] if single else []

    def run(self, deadline: Deadline, progress: Progress) -> None:
        """Looks at every length once, then again for what is still open; no new length is begun after the deadline.

        What is called again goes on where it stopped, with what is open alone.
        """
        chosen = self.open if self.visits else self.experiments
        progress.stage("interchange", len(self.pools))
        while chosen and self.pools:
            look, number = divmod(self.visits, len(self.pools))
            rng = self.reference.rng(f"interchange {self.split} {self.visits}")
            for experiment in chosen:
                experiment.looks = look + 1
                began = time.perf_counter()
                self._visit(self.pools[number], experiment, 1 / (len(self.pools) - number), rng)
                experiment.seconds += time.perf_counter() - began
            self.visits += 1
            progress.advance()
            if deadline.over:
                return
            if self.visits % len(self.pools) == 0:
                chosen = self.open if self.visits < LOOKS * len(self.pools) else []

    @property
    def open(self) -> list[Experiment]:
        """The experiments that leave a claim open which more cases would decide."""
        own = [[e for e in self.experiments if e.group == g] for g in dict.fromkeys(e.group for e in self.experiments)]
        still = [e for group in own for e, _ in undecided(group, self.asked, self.reference.seed)]
        return [e for e in self.experiments if e in still]

    def seconds_to_decide(self) -> float | None:
        """How much more time would decide what is open; None where no time would."""
        needed = 0.0
        for experiment in self.open:
            done = experiment.changed.asked + experiment.unchanged.asked
            for _, measured in undecided([experiment], self.asked, self.reference.seed):
                more = more_cases(measured, self.asked)
                if more is None:
                    return None
                needed += more * experiment.seconds / max(1, done)
        return needed

    def concluded(self) -> Interchange:
        """What that amounts to so far."""
        seed = self.reference.seed
        return conclude(self.groups, self.experiments, self.asked, self.split, self.unaligned, seed)

    def _visit(self, pool: Pool, experiment: Experiment, share: float, rng: Generator) -> None:
        """One experiment on one pool: its share of what is still to be done."""
        if pool.length == 1 and experiment.kind == ONE_POSITION:
            return
        effort, more = self.effort, 2 ** (experiment.looks - 1)
        want = [
            int(np.ceil(share * max(0, more * total - tally.asked)))
            for total, tally in ((effort.changed, experiment.changed), (effort.unchanged, experiment.unchanged))
        ]
        changes, stays = self._candidates(pool, experiment, want, rng)
        both = [(t, c) for t, c in ((experiment.changed, changes), (experiment.unchanged, stays)) if c is not None]
        if not both:
            return
        network = _asked(pool, [c for _, c in both])
        for (tally, found), said in zip(both, network, strict=True):
            right = pool.reference.behavior.readout.equal(found.said, said)
            tally.add(right)
            if tally.failure is None and not right.all():
                tally.failure = _failure(pool, found, int(np.argmin(right)), said)
        if changes is not None:
            _nulls(pool, experiment, changes, network[0], int(np.ceil(share * effort.null)), rng)

    def _candidates(
        self, pool: Pool, experiment: Experiment, want: Sequence[int], rng: Generator
    ) -> list[Cases | None]:
        """Cases that should change, and cases that should not, as many as wanted where the draws give them.

        Where no swap has ever changed the program's answer, none is sought for long.
        """
        never = not experiment.decides_by_changes and experiment.unchanged.asked
        parts: list[list[Cases]] = [[], []]
        for _ in range(1 if never else self.effort.rounds):
            missing = [w - sum(map(len, p)) for w, p in zip(want, parts, strict=True)]
            if missing[0] <= 0 and (missing[1] <= 0 or parts[0]):
                break
            swaps = self._drawn(pool, experiment, 2 * max(sum(want), 8), rng)
            if not len(swaps):
                break
            drawn = cases(pool, swaps, rng)
            if not pool.reference.behavior.is_sequence:
                experiment.draws += sum(map(len, drawn))
                experiment.changes += len(drawn[0])
            for part, found, room in zip(parts, drawn, missing, strict=True):
                if room > 0 and len(found):
                    part.append(found.take(np.arange(min(room, len(found)))))
        return [Cases.joined(p) if p else None for p in parts]

    def _drawn(self, pool: Pool, experiment: Experiment, n: int, rng: Generator) -> Swaps:
        if experiment.is_between:
            groups = self.movable if experiment.is_joint else [experiment.group]
            return draw_between(pool, groups, experiment.is_joint, n, rng)
        return draw(pool, experiment.kind, experiment.group, self.partial, n, rng)


def _has_positions(group: Aligned) -> bool:
    """Whether variables can be swapped at one position: a site without positions only changes as a whole."""
    return all(place.position is not None for place in group.places)


def _any_mixture(reference: Reference) -> bool:
    """Whether the behaviour asks about what comes of mixing the tokens of two inputs, position by position."""
    return isinstance(reference.behavior.domain, ProductDomain | StringsDomain)


def _experiments(
    groups: Sequence[Aligned], partial: np.ndarray, effort: Effort, inside: Collection[str], rng: Generator
) -> list[Experiment]:
    if not groups:
        return []
    order = rng.permutation(len(groups)).tolist()
    legible = [g for g in order if groups[g].is_legible][: effort.legible]
    heads = [g for g in order if groups[g].is_opaque_head][: effort.heads]
    rest = [g for g in order if not groups[g].is_legible and g not in heads]
    called = [g for g in rest if any(n.id in inside for n in groups[g].nodes)][: effort.called]
    opaque = [g for g in rest if g not in called][: effort.opaque]
    single = [
        Experiment(kind, g) for g in sorted([*legible, *heads, *called, *opaque]) for kind in (WHOLE, ONE_POSITION)
    ]
    single = [e for e in single if e.kind == WHOLE or partial[e.group]]
    return [*single, Experiment(JOINT, -1)]


def _asked(pool: Pool, parts: Sequence[Cases]) -> list[Answers]:
    """What the network says in the cases of each part, asked at once."""
    everything = Cases.joined(parts)
    said = everything.among(pool, pool.network_says(everything.swaps))
    return np.split(said, np.cumsum([len(p) for p in parts])[:-1])


def _nulls(pool: Pool, experiment: Experiment, found: Cases, network: np.ndarray, n: int, rng: Generator) -> None:
    """The same cases against values from another source, random subspaces, and other sites."""
    equal = pool.reference.behavior.readout.equal
    between = experiment.is_between
    others = moved(pool, found.swaps, rng) if between else other_sources(pool, found.swaps, rng)
    other = found.among(pool, pool.program_says(others))
    experiment.permuted.add(equal(other, network))
    if between and (same := equal(other, found.said)).any():
        experiment.alike.add(equal(found.among(pool, pool.network_says(others)), network)[same])
    few = found.take(np.arange(min(n, len(found))))
    numbers = [experiment.group] if experiment.group >= 0 else list(range(len(pool.groups)))
    subspaces = [random_subspace(pool.groups[g].places, pool.reference.exported, rng) for g in numbers]
    elsewhere = [other_site(pool.groups[g].places, pool, rng) for g in numbers]
    alone = [[replace(p, echo=None) for p in pool.groups[g].places] for g in numbers]
    if len(few) and any(p.echo is not None for g in numbers for p in pool.groups[g].places):
        said = pool.network_says(few.swaps, dict(zip(numbers, alone, strict=True)))
        experiment.alone.add(equal(few.said, few.among(pool, said)))
    for tally, chosen in ((experiment.subspace, subspaces), (experiment.elsewhere, elsewhere)):
        places = {g: p for g, p in zip(numbers, chosen, strict=True) if p is not None}
        enough = all(g in places or (experiment.group < 0 and pool.groups[g].is_input) for g in numbers)
        if places and enough and len(few):
            tally.add(equal(few.said, few.among(pool, pool.network_says(few.swaps, places))))


def _failure(pool: Pool, found: Cases, row: int, network: np.ndarray) -> dict[str, Json]:
    """One case in which the network did something else, as a person would replay it."""
    swaps, base = found.swaps, int(found.swaps.base[row])
    shown: dict[str, Json] = {}
    if isinstance(pool.batch, SequenceBatch):
        shown["input_ids"] = pool.batch.input_ids[base].tolist()
        if pool.batch.position_ids is not None:
            shown["position_ids"] = pool.batch.position_ids[base].tolist()
        shown["position"] = int(np.flatnonzero(pool.scored[base])[found.nth[row]])
    else:
        shown["row"] = int(pool.batch.rows[base])
    shown["swapped"] = []
    for g, group in enumerate(pool.groups):
        where = swaps.where[g, row]
        if where.any():
            source = int(swaps.source[g, row])
            taken: dict[str, Json] = {
                "variable": group.name,
                "positions": "all" if where.all() else np.flatnonzero(where).tolist(),
            }
            if swaps.at is not None:
                taken["from_positions"] = swaps.at[g, row][where].tolist()
            if isinstance(pool.batch, SequenceBatch):
                taken["from_input_ids"] = pool.batch.input_ids[source].tolist()
            else:
                taken["from_row"] = int(pool.batch.rows[source])
            shown["swapped"].append(taken)
    without, said = plain(found.before[row]), plain(found.said[row])
    return {**shown, "without_swap": without, "program": said, "network": plain(network[row])}
