"""Claim 3: swapping a variable inside the network does to its answer what swapping it in the program does.

Source of the method: interchange interventions and causal abstraction (Geiger et al., 2021, arXiv 2106.02997). Every
case is one pair of inputs and one scored position, so that cases are independent. Which cases count is decided by the
program alone, before the network is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from exegesis.behavior import Answers, ProductDomain, SequenceBatch, StringsDomain
from exegesis.evidence import Bound
from exegesis.ir import Json
from exegesis.ir.progress import Progress
from exegesis.verify.agreement import plain
from exegesis.verify.alignment import Aligned, align, without_alignment
from exegesis.verify.budget import Deadline
from exegesis.verify.network import Reference
from exegesis.verify.nulls import other_site, random_subspace
from exegesis.verify.picks import JOINT, ONE_POSITION, WHOLE, Cases, cases, draw, other_sources, pools
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool
from exegesis.verify.tallies import Experiment, Interchange, conclude

ASKED = Bound(at_least=0.9, lower_at_least=0.85)
"""What is asked of each variable where the rule asks nothing of the joint accuracy."""


@dataclass(frozen=True)
class Effort:
    """How many cases are looked at; less where time runs out.

    Attributes:
        changed: per variable and kind of swap, cases in which the answer should change.
        unchanged: per variable and kind of swap, cases in which it should stay.
        null: per variable and null, cases.
        pools, pool_size: from how many lengths, and how many inputs of each.
        legible, heads, opaque: how many groups of variables are swapped one by one, of those that a reader of the
            program sees, of heads that nobody explained, and of what else is only a value of the network; the others
            are swapped jointly.
        rounds: how often candidates are drawn until enough of them change the program's answer.
    """

    changed: int = 160
    unchanged: int = 48
    null: int = 64
    pools: int = 8
    pool_size: int = 48
    legible: int = 24
    heads: int = 12
    opaque: int = 6
    rounds: int = 6


def measure_interchange(
    program: Judged,
    reference: Reference,
    split: str,
    asked: Bound,
    deadline: Deadline,
    progress: Progress,
    effort: Effort | None = None,
) -> Interchange:
    """Swaps variables one by one and jointly, on pairs of inputs of a split.

    Args:
        program, reference: the two sides.
        split: where the inputs come from.
        asked: the accuracy that each variable is said to have.
        deadline: no new length is begun after it.
        progress: told of every length.
        effort: how many cases.

    Raises:
        InputError: a variable lives at a site that the network does not have, or torch.export rejects the network.
    """
    effort = effort or Effort()
    groups = align(program.graph, reference.exported)
    unaligned = without_alignment(program.graph)
    found = pools(program, reference, groups, split, count=effort.pools, size=effort.pool_size) if groups else []
    partial = np.array([_has_positions(g) and (not g.is_input or _any_mixture(reference)) for g in groups], np.bool_)
    experiments = _experiments(groups, partial, effort, reference.rng("interchange variables"))
    progress.stage("interchange", len(found))
    for number, pool in enumerate(found):
        rng = reference.rng(f"interchange {split} {number}")
        share = 1 / (len(found) - number)
        _run_pool(pool, experiments, partial, effort, share, rng)
        progress.advance()
        if deadline.over:
            break
    return conclude(groups, experiments, asked, split, unaligned, reference.seed)


def _has_positions(group: Aligned) -> bool:
    """Whether variables can be swapped at one position: a site without positions only changes as a whole."""
    return all(place.position is not None for place in group.places)


def _any_mixture(reference: Reference) -> bool:
    """Whether the behaviour asks about what comes of mixing the tokens of two inputs, position by position."""
    return isinstance(reference.behavior.domain, ProductDomain | StringsDomain)


def _experiments(groups: Sequence[Aligned], partial: np.ndarray, effort: Effort, rng: Generator) -> list[Experiment]:
    if not groups:
        return []
    order = rng.permutation(len(groups)).tolist()
    legible = [g for g in order if groups[g].is_legible][: effort.legible]
    heads = [g for g in order if groups[g].is_opaque_head][: effort.heads]
    opaque = [g for g in order if not groups[g].is_legible and g not in heads][: effort.opaque]
    single = [Experiment(kind, g) for g in sorted([*legible, *heads, *opaque]) for kind in (WHOLE, ONE_POSITION)]
    single = [e for e in single if e.kind == WHOLE or partial[e.group]]
    return [*single, Experiment(JOINT, -1)]


def _run_pool(
    pool: Pool, experiments: Sequence[Experiment], partial: np.ndarray, effort: Effort, share: float, rng: Generator
) -> None:
    """Every experiment on one pool: its share of what is still to be done."""
    if pool.length == 1:
        experiments = [e for e in experiments if e.kind != ONE_POSITION]
    for experiment in experiments:
        want = [
            int(np.ceil(share * max(0, total - tally.asked)))
            for total, tally in ((effort.changed, experiment.changed), (effort.unchanged, experiment.unchanged))
        ]
        changes, stays = _candidates(pool, experiment, partial, want, effort, rng)
        both = [(t, c) for t, c in ((experiment.changed, changes), (experiment.unchanged, stays)) if c is not None]
        if not both:
            continue
        network = _asked(pool, [c for _, c in both])
        for (tally, found), said in zip(both, network, strict=True):
            right = pool.reference.behavior.readout.equal(found.said, said)
            tally.add(right)
            if tally.failure is None and not right.all():
                tally.failure = _failure(pool, found, int(np.argmin(right)), said)
        if changes is not None:
            _nulls(pool, experiment, changes, network[0], int(np.ceil(share * effort.null)), rng)


def _asked(pool: Pool, parts: Sequence[Cases]) -> list[Answers]:
    """What the network says in the cases of each part, asked at once."""
    everything = Cases.joined(parts)
    said = everything.among(pool, pool.network_says(everything.swaps))
    return np.split(said, np.cumsum([len(p) for p in parts])[:-1])


def _candidates(
    pool: Pool, experiment: Experiment, partial: np.ndarray, want: Sequence[int], effort: Effort, rng: Generator
) -> list[Cases | None]:
    """Cases that should change, and cases that should not, as many as wanted where the draws give them."""
    parts: list[list[Cases]] = [[], []]
    for _ in range(effort.rounds):
        missing = [w - sum(map(len, p)) for w, p in zip(want, parts, strict=True)]
        if missing[0] <= 0 and (missing[1] <= 0 or parts[0]):
            break
        swaps = draw(pool, experiment.kind, experiment.group, partial, 2 * max(sum(want), 8), rng)
        if not len(swaps):
            break
        for part, found, room in zip(parts, cases(pool, swaps, rng), missing, strict=True):
            if room > 0 and len(found):
                part.append(found.take(np.arange(min(room, len(found)))))
    return [Cases.joined(p) if p else None for p in parts]


def _nulls(pool: Pool, experiment: Experiment, found: Cases, network: np.ndarray, n: int, rng: Generator) -> None:
    """The same cases against values from another source, random subspaces, and other sites."""
    equal = pool.reference.behavior.readout.equal
    other = found.among(pool, pool.program_says(other_sources(pool, found.swaps, rng)))
    experiment.permuted.add(equal(other, network))
    few = found.take(np.arange(min(n, len(found))))
    numbers = [experiment.group] if experiment.group >= 0 else list(range(len(pool.groups)))
    subspaces = [random_subspace(pool.groups[g].places, pool.reference.exported, rng) for g in numbers]
    elsewhere = [other_site(pool.groups[g].places, pool, rng) for g in numbers]
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
            if isinstance(pool.batch, SequenceBatch):
                taken["from_input_ids"] = pool.batch.input_ids[source].tolist()
            else:
                taken["from_row"] = int(pool.batch.rows[source])
            shown["swapped"].append(taken)
    without, said = plain(found.before[row]), plain(found.said[row])
    return {**shown, "without_swap": without, "program": said, "network": plain(network[row])}
