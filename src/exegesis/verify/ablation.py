"""Claim 4: the answer survives without what the program does not use, and breaks without what it uses.

*Resample* ablation puts in what the part has on another input (a counterfactual), *mean* ablation what it has on
average over inputs, position by position. Figures of either hinge on that choice, so both are given.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int
from numpy.random import Generator

from exegesis.evidence import Bound, Claim, Measurement, Status
from exegesis.ir import Json
from exegesis.ir.progress import Progress
from exegesis.verify.agreement import plain
from exegesis.verify.alignment import Aligned, align, position_axis
from exegesis.verify.between import like_positions, lone_pools, moved
from exegesis.verify.budget import Deadline
from exegesis.verify.interchange import LOOKS
from exegesis.verify.network import Reference
from exegesis.verify.parts import Part, find_parts, used_parts
from exegesis.verify.picks import Cases, cases, pools, untouched
from exegesis.verify.places import Rest, rests
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Pool, Rows, Swaps, by_position
from exegesis.verify.tallies import Tally, more_cases, open_because, settled

RESAMPLE, MEAN, EQUAL = "resample", "mean", "resample among equal values"
REST = "resample what layers hold beside their variables"
SURVIVES = Bound(at_least=0.95, lower_at_least=0.9)
BREAKS = Bound(at_least=0.8, lower_at_least=0.7)
_CASES, _POOLS, _POOL_SIZE, _RANDOM_SETS = 160, 8, 48, 8
_ROUNDS = 6


@dataclass
class _Count:
    """What is counted of one ablation, and of random parts in its place."""

    own: Tally = field(default_factory=Tally)
    null: Tally = field(default_factory=Tally)
    note: str = ""


@dataclass(frozen=True)
class Ablation:
    """What ablations amount to.

    Attributes:
        sufficiency: by ablation, how often the answer survives without what the program does not use.
        necessity: by ablation (and by function), how often it breaks without what the program uses.
        unused: how many parts the program does not use; None where the network's parts were not recognised.
        claims: what that means.
    """

    sufficiency: dict[str, Measurement]
    necessity: dict[str, Measurement]
    unused: int | None
    claims: tuple[Claim, ...]


@dataclass(frozen=True, eq=False)
class _Setup:
    """Program, network and their parts."""

    program: Judged
    reference: Reference
    groups: tuple[Aligned, ...]
    parts: tuple[Part, ...]
    used: frozenset[int]

    @property
    def unused(self) -> list[int]:
        """The parts that the program does not use."""
        return [i for i in range(len(self.parts)) if i not in self.used]

    def functions(self) -> dict[str, list[int]]:
        """Groups of variables by the function of the program that computes them; by variable where it has none."""
        inner = [g for g, group in enumerate(self.groups) if not group.is_input and group.is_legible]
        found: dict[str, list[int]] = {}
        for function in self.program.graph.functions:
            own = [g for g in inner if any(n.id in function.nodes for n in self.groups[g].nodes)]
            if own:
                found[function.name] = own
        return found or {self.groups[g].name: [g] for g in inner}


class Ablations:
    """Ablates what the program does not use, and what it uses, on inputs of a split; can be stopped and continued.

    Where no two inputs of equal length differ, a part gets what it has at other positions of the same input.

    Args:
        program, reference: the two sides.
        split: where the inputs come from.
        survives, breaks: the shares that are claimed.
        uses_nothing: the program says the same whatever it is given, so that no part of the network may matter.

    Raises:
        InputError: a variable lives at a site that the network does not have, or torch.export rejects the network.
    """

    def __init__(
        self,
        program: Judged,
        reference: Reference,
        split: str,
        survives: Bound,
        breaks: Bound,
        *,
        uses_nothing: bool = False,
    ) -> None:
        exported = reference.exported
        groups, parts = align(program.graph, exported), find_parts(exported)
        self.pools = pools(program, reference, groups, split, count=_POOLS, size=_POOL_SIZE)
        if not self.pools:
            groups = align(program.graph, exported, places=True)
            self.pools = lone_pools(program, reference, groups, split, count=_POOLS)
        used = frozenset() if uses_nothing else frozenset(used_parts(parts, program.graph, groups, exported))
        self.setup = _Setup(program, reference, groups, parts, used)
        self.rests = () if reference.behavior.is_sequence else rests([p for g in groups for p in g.places], exported)
        self.split, self.survives, self.breaks = split, survives, breaks
        self.sufficient: dict[str, _Count] = {name: _Count() for name in (RESAMPLE, MEAN, EQUAL, REST)}
        self.necessary: dict[str, _Count] = {}
        self.visits = 0
        self.seconds = 0.0

    def run(self, deadline: Deadline, progress: Progress) -> None:
        """Looks at every length once, then again while a claim is open; no new length is begun after the deadline.

        What is called again goes on where it stopped, with what is open alone.
        """
        progress.stage("ablation", len(self.pools))
        first = not self.visits
        while self.pools and self.visits < LOOKS * len(self.pools):
            look, number = divmod(self.visits, len(self.pools))
            everything = first and not look
            kept, broken = self._open
            if not (everything or kept or broken):
                return
            rng = self.setup.reference.rng(f"ablation {self.split} {self.visits}")
            pool, each = self.pools[number], int(np.ceil(2 ** max(0, look - 1) * _CASES / len(self.pools)))
            began = time.perf_counter()
            if everything or kept:
                if self.setup.unused:
                    _without_unused(self.setup, pool, each, self.sufficient, rng)
                if self.rests:  # all that no variable says, whether or not other inputs have equal values
                    _without_rest(self.setup, self.rests, pool, each, self.sufficient[REST], rng)
                else:
                    _among_equals(self.setup, pool, each, self.sufficient[EQUAL], rng)
            if everything or broken:
                _without_used(self.setup, pool, each, self.necessary, rng)
            self.seconds += time.perf_counter() - began
            self.visits += 1
            progress.advance()
            if deadline.over:
                return

    @property
    def looks(self) -> int:
        """How often more cases were asked for."""
        return max(1, -(-self.visits // max(1, len(self.pools))))

    @property
    def _measured(self) -> tuple[dict[str, Measurement], dict[str, Measurement]]:
        """What survives and what breaks, by ablation."""
        seed, looks = self.setup.reference.seed, self.looks
        return (
            _measurements("answers that survive", self.sufficient, seed, looks),
            _measurements("answers that break as said", self.necessary, seed, looks),
        )

    @property
    def _open(self) -> tuple[list[Measurement], list[Measurement]]:
        """What leaves either claim open."""
        kept, broken = self._measured
        return (
            [m for m in kept.values() if settled(m, self.survives) is None],
            [m for name, m in broken.items() if name == RESAMPLE and settled(m, self.breaks) is None],
        )

    def seconds_to_decide(self) -> float | None:
        """How much more time would decide what is open; None where no time would."""
        bounds = (self.survives, self.breaks)
        more = [more_cases(m, b) for still, b in zip(self._open, bounds, strict=True) for m in still]
        if None in more:
            return None
        done = max((c.own.asked for c in (*self.sufficient.values(), *self.necessary.values())), default=0)
        return max((m or 0 for m in more), default=0) * self.seconds / max(1, done)

    def concluded(self) -> Ablation:
        """What that amounts to so far."""
        kept, broken = self._measured
        setup, seed = self.setup, self.setup.reference.seed
        left = [setup.parts[i].label for i in setup.unused] + [r.label for r in self.rests]
        claims = []
        domain = f"inputs of split {self.split}"
        if kept:
            what = f"what it does not use ({', '.join(left)})" if left else "what its variables do not tell apart"
            statement = f"The network's answer survives without {what}."
            failures = [c.own.failure for k, c in self.sufficient.items() if k in kept]
            claims.append(_claim(statement, domain, list(kept.values()), failures, self.survives, seed))
        if RESAMPLE in broken:
            failures = [self.necessary[RESAMPLE].own.failure]
            statement = "The network's answer breaks without what the program uses, where the program says so."
            rest = list(broken.values())[1:]
            claims.append(_claim(statement, domain, [broken[RESAMPLE]], failures, self.breaks, seed, rest))
        return Ablation(kept, broken, len(setup.unused) if setup.parts else None, tuple(claims))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Inputs, and where what is ablated in them comes from: another input, or other positions of the only one.

    Attributes:
        base, source: the inputs, [B].
        where: at which positions there is something to put in, [B, s].
        at: from which positions, [B, s]; None: from the same ones.
    """

    base: Rows
    source: Rows
    where: Bool[np.ndarray, "b s"]
    at: Int[np.ndarray, "b s"] | None

    @classmethod
    def of(cls, pool: Pool, n: int, rng: Generator) -> _Drawn:
        """n random ones."""
        base = rng.integers(pool.size, size=n)
        everywhere = np.ones((n, pool.length), dtype=np.bool_)
        if pool.size > 1:
            return cls(base, (base + rng.integers(1, pool.size, size=n)) % pool.size, everywhere, None)
        drawn = moved(pool, Swaps(base, base[None], everywhere[None]), rng)
        assert drawn.at is not None
        return cls(base, base, drawn.where[0], drawn.at[0])

    def ablating(self, groups: int, chosen: Sequence[int]) -> Swaps:
        """These swaps of the chosen groups of so many."""
        where = np.zeros((groups, *self.where.shape), dtype=np.bool_)
        where[list(chosen)] = self.where
        at = None if self.at is None else np.repeat(self.at[None], groups, axis=0)
        return Swaps(self.base, np.repeat(self.source[None], groups, axis=0), where, at)


def _without_unused(setup: _Setup, pool: Pool, n: int, counts: dict[str, _Count], rng: Generator) -> None:
    """Resamples and averages all unused parts at once, and as many random parts."""
    bare = Pool(pool.program, pool.reference, [Aligned((), (p.place,)) for p in setup.parts], pool.batch)
    drawn, parts = _Drawn.of(pool, n, rng), len(setup.parts)
    base = drawn.base
    clean = bare.network_says(untouched(bare, base))
    at = _one_answer_per_row(bare, base, rng)
    for name, mean in ((RESAMPLE, False), (MEAN, True)):
        kept = _kept(bare, drawn.ablating(parts, setup.unused), clean, at, mean)
        counts[name].own.add(kept)
        if counts[name].own.failure is None and not kept.all():
            counts[name].own.failure = _shown(pool, int(base[int(np.argmin(kept))]), f"{name} ablation of unused parts")
        order = rng.permutation(parts)
        for start in range(_RANDOM_SETS):  # sets that together hold every part about as often
            random = order.take(range(start, start + len(setup.unused)), mode="wrap").tolist()
            few = np.arange(-(-n // _RANDOM_SETS))
            part = drawn.ablating(parts, random).take(few)
            counts[name].null.add(_kept(bare, part, clean[: _answers_in(bare, base[few])], at[few], mean))


def _without_rest(setup: _Setup, rest: Sequence[Rest], pool: Pool, n: int, count: _Count, rng: Generator) -> None:
    """Resamples, in all layers at once and from one other input, what the variables there do not say: dropped units.

    The null resamples as many of the layers' entries at random, with nothing following.
    """
    bare = Pool(pool.program, pool.reference, [Aligned((), (r,)) for r in rest], pool.batch)
    drawn = _Drawn.of(pool, n, rng)
    clean = bare.network_says(untouched(bare, drawn.base))
    at, every = _one_answer_per_row(bare, drawn.base, rng), range(len(rest))
    kept = _kept(bare, drawn.ablating(len(rest), every), clean, at, False)
    count.own.add(kept)
    if count.own.failure is None and not kept.all():
        count.own.failure = _shown(pool, int(drawn.base[int(np.argmin(kept))]), REST)
    random = [r.random_entries(rng) for r in rest]
    other = Pool(pool.program, pool.reference, [Aligned((), (p,)) for p in random], pool.batch)
    count.null.add(_kept(other, drawn.ablating(len(rest), every), clean, at, False))


def _kept(pool: Pool, swaps: Swaps, clean: np.ndarray, at: np.ndarray, mean: bool) -> np.ndarray:
    """Per row, whether the network's answer at the place that is looked at stays what it was."""
    said = pool.network_says(swaps, mean=mean)
    same: np.ndarray = pool.reference.behavior.readout.equal(said[at], clean[at])
    return same


def _answers_in(pool: Pool, base: np.ndarray) -> int:
    return int(pool.scored[base].sum())


def _one_answer_per_row(pool: Pool, base: np.ndarray, rng: Generator) -> np.ndarray:
    counts = pool.scored[base].sum(1)
    starts = np.cumsum(counts) - counts
    chosen: np.ndarray = (starts + rng.integers(counts))[counts > 0]
    return chosen


def _among_equals(setup: _Setup, pool: Pool, n: int, count: _Count, rng: Generator) -> None:
    """Gives inner variables, position by position, the activation they have on another input where they are the same.

    Source: causal scrubbing (Chan et al., 2022), restricted to equal positions of inputs of equal length; a single
    input is its own other input, at other positions.
    """
    inner = [g for g, group in enumerate(setup.groups) if not group.is_input]
    if not inner:
        return
    base = rng.integers(pool.size, size=n)
    groups, lone = len(setup.groups), pool.size == 1
    own = np.arange(pool.length)[None, None] if lone else base[None, :, None]
    other = np.broadcast_to(own, (groups, n, pool.length)).copy()
    where = untouched(pool, base).where
    for g in inner:
        other[g], where[g] = (_equal_positions if lone else _equal_elsewhere)(pool, g, base, rng)
    rows = np.flatnonzero(where.any((0, 2)))
    if not len(rows):
        return
    same_input = np.repeat(base[None], groups, axis=0)
    swaps = (Swaps(base, same_input, where, other) if lone else Swaps(base, other, where)).take(rows)
    clean = pool.network_says(untouched(pool, swaps.base))
    at = _one_answer_per_row(pool, swaps.base, rng)
    same = pool.reference.behavior.readout.equal(pool.network_says(swaps)[at], clean[at])
    count.own.add(same)
    count.note = f"{where[inner].mean():.0%} of the positions have an equal elsewhere"
    if count.own.failure is None and not same.all():
        count.own.failure = _shown(pool, int(swaps.base[int(np.argmin(same))]), EQUAL)


def _equal_elsewhere(pool: Pool, group: int, base: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Per row and position, another input on which the group's variables are the same, and whether there is one."""
    same = np.ones((len(base), pool.size, pool.length), dtype=np.bool_)
    for node in pool.groups[group].nodes:
        part = pool.groups[group].part(node, pool.variables[node.id])
        value = by_position(part, position_axis(node, pool.program.graph), pool.length)
        if pool.length == 1:  # an array may be wide: each of its values is compared by its number
            number = np.unique(value[:, 0], axis=0, return_inverse=True)[1].reshape(-1, 1, 1)
            same &= (number[base][:, None] == number[None]).all(-1)
        else:
            same &= (value[base][:, None] == value[None]).all(-1)
    same[np.arange(len(base)), base] = False
    keys = np.where(same, rng.random(same.shape), -1.0)
    return keys.argmax(1), np.asarray(same.any(1))


def _equal_positions(pool: Pool, group: int, base: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Per row and position of the only input, another position where the group's variables are the same, if any."""
    same = like_positions(pool)
    for node in pool.groups[group].nodes:
        part = pool.groups[group].part(node, pool.variables[node.id])
        value = by_position(part, position_axis(node, pool.program.graph), pool.length)[0]
        same &= (value[:, None] == value[None]).all(-1)
    keys = np.where(same, rng.random((len(base), *same.shape)), -1.0)
    return keys.argmax(2), np.broadcast_to(same.any(1), (len(base), pool.length))


def _without_used(setup: _Setup, pool: Pool, n: int, counts: dict[str, _Count], rng: Generator) -> None:
    """Ablates all inner variables (or the inputs, where there are none), then those of each function."""
    functions = setup.functions()
    inner = [g for g, group in enumerate(setup.groups) if not group.is_input]
    # Tokens between positions would make inputs that nobody asks about.
    everything = inner or (list(range(len(setup.groups))) if pool.size > 1 else [])
    if not everything:
        return
    named = {"": everything} | ({f"{name}: ": own for name, own in functions.items()} if len(functions) > 1 else {})
    for name, own in named.items():
        found = _breaking(pool, own, n, rng)
        if found is None:
            continue
        clean = found.among(pool, pool.network_says(untouched(pool, found.swaps.base)))
        equal = pool.reference.behavior.readout.equal
        predicts_change = ~equal(found.said, found.before)
        for kind, mean in ((RESAMPLE, False), (MEAN, True)):
            if mean and not _has_mean(setup, own):
                continue
            said = found.among(pool, pool.network_says(found.swaps, mean=mean))
            as_said = equal(said, clean) != predicts_change
            count = counts.setdefault(f"{name}{kind}", _Count())
            count.own.add(as_said)
            if not predicts_change.any():
                count.note = "the program says that nothing breaks"
            if count.own.failure is None and not as_said.all():
                row = int(np.argmin(as_said))
                count.own.failure = _shown(pool, int(found.swaps.base[row]), f"{kind} ablation of what is used") | {
                    "program": plain(found.said[row]),
                    "network": plain(said[row]),
                }
            if setup.unused and predicts_change.any():
                count.null.add(_random_breaks(setup, pool, found, len(own), mean, rng))


def _has_mean(setup: _Setup, own: Sequence[int]) -> bool:
    """Token ids have no mean that is a token."""
    values = setup.reference.exported.values
    return all(values[p.value].dtype.is_floating_point for g in own for p in setup.groups[g].places)


def _breaking(pool: Pool, own: Sequence[int], n: int, rng: Generator) -> Cases | None:
    """Resamples of these groups after which the program says something else; any, where it never does."""
    parts: list[Cases] = []
    stays: list[Cases] = []
    for _ in range(_ROUNDS):
        missing = n - sum(map(len, parts))
        if missing <= 0:
            break
        swaps = _Drawn.of(pool, 2 * max(missing, 4), rng).ablating(len(pool.groups), own)
        changed, same = cases(pool, swaps, rng)
        parts += [changed.take(np.arange(min(missing, len(changed))))] if len(changed) else []
        stays += [same] if len(same) else []
    chosen = parts or stays
    return Cases.joined(chosen) if chosen else None


def _random_breaks(setup: _Setup, pool: Pool, found: Cases, size: int, mean: bool, rng: Generator) -> np.ndarray:
    """Whether the same cases break when as many random unused parts are ablated instead."""
    bare = Pool(pool.program, pool.reference, [Aligned((), (p.place,)) for p in setup.parts], pool.batch)
    random = [setup.unused[i] for i in rng.permutation(len(setup.unused))[:size]]
    at = None if found.swaps.at is None else found.swaps.at[0]
    drawn = _Drawn(found.swaps.base, found.swaps.source[0], np.asarray(found.swaps.where.any(0)), at)
    swaps = drawn.ablating(len(setup.parts), random)
    clean = found.among(pool, pool.network_says(untouched(pool, found.swaps.base)))
    broken: np.ndarray = ~pool.reference.behavior.readout.equal(
        found.among(bare, bare.network_says(swaps, mean=mean)), clean
    )
    return broken


def _shown(pool: Pool, row: int, what: str) -> dict[str, Json]:
    """The input of a case."""
    shown: dict[str, Json] = {"ablation": what}
    ids = getattr(pool.batch, "input_ids", None)
    return shown | ({"row": int(pool.batch.rows[row])} if ids is None else {"input_ids": ids[row].tolist()})


def _measurements(metric: str, counts: dict[str, _Count], seed: int, looks: int) -> dict[str, Measurement]:
    found = {}
    for name, count in counts.items():
        null = f"random parts: {count.null.share:.3f}" if count.null.share is not None else "no random parts to compare"
        note = "; ".join(filter(None, (count.note, null)))
        measured = count.own.measurement(metric, count.null.share, seed, note, looks=looks)
        if measured is not None:
            found[name] = measured
    return found


def _claim(
    statement: str,
    domain: str,
    deciding: Sequence[Measurement],
    failures: Sequence[Json],
    bound: Bound,
    seed: int,
    more: Sequence[Measurement] = (),
) -> Claim:
    outcomes = [settled(m, bound) for m in deciding]
    if False in outcomes:
        status, witness = Status.REFUTED, failures[outcomes.index(False)]
    else:
        status, witness = Status.CONJECTURED if None in outcomes else Status.TESTED, None
    still = [m for m, outcome in zip(deciding, outcomes, strict=True) if outcome is None]
    return Claim(
        statement=statement,
        domain=domain,
        status=status,
        evidence=(*deciding, *more),
        witness=witness,
        seed=seed,
        missing="; ".join(f"{m.metric}: {open_because(m, bound)}" for m in still)
        if status is Status.CONJECTURED
        else "",
    )
