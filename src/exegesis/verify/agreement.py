"""Claim 1: on each split, the program says what the network says, with an exact binomial bound."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from exegesis.behavior import Answers, SequenceSplit, Split
from exegesis.evidence import Bound, Claim, Measurement, Status, Threshold
from exegesis.ir import InputError, Json
from exegesis.ir.progress import Progress
from exegesis.runtime import answers, batch_answers
from exegesis.verify.budget import Deadline
from exegesis.verify.inputs import Space
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.tallies import more_cases, open_because

METRIC = "share of scored positions where program and network say the same"
EXACT = "share of inputs without any difference"
_RANDOM_INPUTS = 256


@dataclass(frozen=True)
class Agreement:
    """How one split went.

    Attributes:
        over_answers: over scored positions.
        over_inputs: over whole inputs.
        beyond: over the scored positions of inputs whose length no training input has; None where there are none.
        claim: what it amounts to; None where the rule asks nothing of the split.
        text: how often the emitted text says what its graph says: right answers, all, and the first that is not.
        complete: whether all rows were asked about.
    """

    over_answers: Measurement
    over_inputs: Measurement
    beyond: Measurement | None
    claim: Claim | None
    text: tuple[int, int, Json]
    complete: bool


class Agreements:
    """Agreement on every split, those of the rule first; can be stopped and continued.

    Args:
        program, reference: the two sides.
        thresholds: what the rule asks, by split.

    Raises:
        InputError: the rule asks for a split that the behaviour does not have.
    """

    def __init__(self, program: Judged, reference: Reference, thresholds: Sequence[Threshold]) -> None:
        self.program, self.reference = program, reference
        self.thresholds = {t.split: t for t in thresholds}
        splits = reference.behavior.splits
        if missing := sorted(set(self.thresholds) - set(splits)):
            raise InputError(f"The rule asks for agreement on split {missing[0]!r}, which the behaviour does not have.")
        self.names = (*self.thresholds, *(n for n in splits if n not in self.thresholds))
        self.found: dict[str, Agreement] = {}
        self.seconds: dict[str, float] = {}

    def run(self, deadline: Deadline, progress: Progress) -> None:
        """Asks about every split, each of the rule's for its share of the time; then again about what is open."""
        names = self.open if self.found else self.names
        progress.stage("agreement", len(names))
        asked = [n for n in names if n in self.thresholds]
        for number, name in enumerate(names):
            if name in self.thresholds or not deadline.over:
                own = deadline.first(1 / max(1, len(asked) - number))
                began = time.perf_counter()
                threshold = self.thresholds.get(name)
                self.found[name] = measure_agreement(self.program, self.reference, name, threshold, own)
                self.seconds[name] = time.perf_counter() - began
            progress.advance()

    @property
    def open(self) -> tuple[str, ...]:
        """Splits whose claim is open although not all of their rows were asked about."""
        return tuple(n for n, a in self.found.items() if a.claim is not None and a.claim.missing and not a.complete)

    def seconds_to_decide(self) -> float | None:
        """How much more time would decide what is open; None where no time would."""
        needed = 0.0
        for name in self.open:
            measured, threshold = self.found[name].over_answers, self.thresholds[name]
            more = more_cases(measured, _bound(threshold))
            if more is None:
                return None
            needed += self.seconds[name] * (1 + more / measured.n)  # it is asked again from the start
        return needed

    def claims(self) -> tuple[Claim, ...]:
        """What is claimed of the splits, and that text and graph are one program."""
        found = [a.claim for a in self.found.values() if a.claim is not None]
        one = one_program(list(self.found.values()), self.reference.seed)
        return (*found, one) if one is not None else tuple(found)


def _bound(threshold: Threshold) -> Bound:
    return Bound(at_least=threshold.at_least, lower_at_least=threshold.lower_at_least)


def measure_agreement(
    program: Judged, reference: Reference, name: str, threshold: Threshold | None, deadline: Deadline
) -> Agreement:
    """Asks program and network about every row of a split, in random order until the deadline.

    The emitted text is asked where there is one, else the graph; where there are both, they must say the same.

    Args:
        program: what is judged.
        reference: the network.
        name: of the split.
        threshold: what the rule asks on this split; None: nothing, and no claim is made of it.
        deadline: rows that are not reached are left out.
    """
    behavior = reference.behavior
    split, readout = behavior.split(name), behavior.readout
    network = reference.answers(name)
    rows, places = _order(split, reference.rng(f"agreement {name}"))
    text: tuple[int, int, Json] = (0, 0, None)
    graph = answers(program.executor, split, readout)
    if program.text is None:
        said, asked = graph, len(rows)
    else:
        given, asked = program.text.answers(split, rows, readout, deadline)
        places = places[:asked]
        at = np.concatenate(places)
        said = _scatter(graph, at, given)
        text = _compared(split, readout.equal(given, graph[at]), at, given, graph)
    at = np.concatenate(places[:asked])
    same = readout.equal(said[at], network[at])
    per_row = np.array([bool(s.all()) for s in np.split(same, np.cumsum([len(p) for p in places[: asked - 1]]))])
    null = _null(readout.equal, said[at], network[at], reference)
    note = "" if asked == len(rows) else f"{asked} of {len(rows)} inputs, for lack of time"
    over = Measurement.proportion(METRIC, int(same.sum()), len(same), null_value=null, seed=reference.seed, note=note)
    whole = Measurement.proportion(EXACT, int(per_row.sum()), len(per_row), seed=reference.seed, note=note)
    beyond = _beyond(reference, split, np.asarray(rows[:asked]), same, [len(p) for p in places[:asked]])
    claim = None
    if threshold is not None:
        witness = None if same.all() else _first_difference(split, at, same, said, network)
        claim = _claim(name, _domain(reference, split), over, whole, threshold, witness)
    return Agreement(over, whole, beyond, claim, text, asked == len(rows))


def is_constant(program: Judged, reference: Reference) -> bool | None:
    """Whether the program says the same everywhere: on all splits, and on as many inputs with any letters in them.

    None where the network does not, so that nothing hangs on it, and for arrays.
    """
    behavior = reference.behavior
    if not behavior.is_sequence or not _one_answer([reference.answers(name) for name in behavior.splits]):
        return None
    said = [answers(program.executor, behavior.split(name), behavior.readout) for name in behavior.splits]
    space, rng = Space(reference), reference.rng("constant")
    for inputs in space.starts(next(iter(behavior.splits)), _RANDOM_INPUTS, rng):
        mixed = space.mutated(inputs, space.changeable(inputs) & (rng.random(inputs.ids.shape) < 0.5), rng)
        said.append(batch_answers(program.executor, mixed.batch, behavior.readout))
    return _one_answer(said)


def _one_answer(said: Sequence[Answers]) -> bool:
    first = said[0][:1]
    return all(answer.shape[1:] == first.shape[1:] and bool((answer == first).all()) for answer in said)


def _order(split: Split, rng: np.random.Generator) -> tuple[Sequence[int], list[Int[np.ndarray, " k"]]]:
    """Rows in random order, and for each where its answers stand in the split."""
    rows = rng.permutation(len(split))
    if not isinstance(split, SequenceSplit):
        return rows.tolist(), [np.array([r]) for r in rows]
    starts = split.scored_offsets
    return rows.tolist(), [np.arange(starts[r], starts[r + 1]) for r in rows]


def _scatter(like: Answers, at: Int[np.ndarray, " k"], given: Answers) -> Answers:
    """`like` with `given` at these places; sets that are narrower are filled up with what is not in them."""
    width = given.shape[1:] if given.ndim == 1 else (max(like.shape[1], given.shape[1]),)
    found = np.zeros((len(like), *width), dtype=given.dtype)
    if given.ndim == 1:
        found[at] = given
    else:
        found[at, : given.shape[1]] = given
    return found


def _null(equal: object, said: Answers, network: Answers, reference: Reference) -> float | None:
    """Agreement when each answer is compared with the network's answer somewhere else; None where it never varies."""
    if (network == network[:1]).all():
        return None
    assert callable(equal)
    order = reference.rng("agreement null").permutation(len(network))
    return float(equal(said, network[order]).mean())


def _beyond(
    reference: Reference, split: Split, rows: Int[np.ndarray, " r"], same: Bool[np.ndarray, " n"], counts: list[int]
) -> Measurement | None:
    behavior = reference.behavior
    if not isinstance(split, SequenceSplit) or "train" not in behavior.splits:
        return None
    known = behavior.sequences("train").lengths
    outside = np.repeat((split.lengths < known.min())[rows] | (split.lengths > known.max())[rows], counts)
    if not outside.any():
        return None
    note = f"lengths outside {known.min()} to {known.max()}"
    return Measurement.proportion(METRIC, int(same[outside].sum()), int(outside.sum()), note=note)


def _domain(reference: Reference, split: Split) -> str:
    if not isinstance(split, SequenceSplit):
        return f"split {split.name} ({len(split)} inputs)"
    low, high = int(split.lengths.min()), int(split.lengths.max())
    lengths = f"{low} tokens" if low == high else f"{low} to {high} tokens"
    told = ""
    if "train" in reference.behavior.splits:
        known = reference.behavior.sequences("train").lengths
        if low > known.max() or high < known.min():
            told = ", all outside the lengths of training"
        elif low < known.min() or high > known.max():
            told = ", some outside the lengths of training"
    return f"split {split.name} ({len(split)} sequences of {lengths}{told})"


def _claim(name: str, domain: str, over: Measurement, whole: Measurement, threshold: Threshold, witness: Json) -> Claim:
    statement = f"The program says what the network says on at least {threshold.at_least:.0%} of {name}."
    assert over.lower is not None
    if over.value < threshold.at_least:
        status = Status.REFUTED
    else:
        status = Status.TESTED if over.lower >= threshold.lower_at_least else Status.CONJECTURED
    return Claim(
        statement=statement,
        domain=domain,
        status=status,
        evidence=(over, whole),
        witness=witness if status is Status.REFUTED else None,
        seed=over.seed,
        missing=open_because(over, _bound(threshold)) if status is Status.CONJECTURED else "",
    )


def _compared(
    split: Split, same: Bool[np.ndarray, " k"], at: Int[np.ndarray, " k"], text: Answers, graph: Answers
) -> tuple[int, int, Json]:
    if same.all():
        return len(same), len(same), None
    first = int(np.argmin(same))
    witness = _witness(split, int(at[first]), text[first], graph[at[first]])
    names = {"program": "program.py", "network": "program.json"}
    renamed = {names.get(key, key): value for key, value in witness.items()}
    return int(same.sum()), len(same), renamed


def one_program(found: Sequence[Agreement], seed: int) -> Claim | None:
    """That text and graph are one program, over all splits; None for a program without a text."""
    right, asked = (sum(f.text[i] for f in found) for i in (0, 1))
    if not asked:
        return None
    witness = next((f.text[2] for f in found if f.text[2] is not None), None)
    metric = "share of answers on which program.py and program.json say the same"
    return Claim(
        statement="program.py and program.json are one program.",
        domain="all splits",
        status=Status.TESTED if witness is None else Status.REFUTED,
        evidence=(Measurement.proportion(metric, right, asked),),
        witness=witness,
        seed=seed,
    )


def _first_difference(
    split: Split, at: Int[np.ndarray, " k"], same: Bool[np.ndarray, " k"], said: Answers, network: Answers
) -> dict[str, Json]:
    first = int(at[int(np.argmin(same))])
    return _witness(split, first, said[first], network[first])


def _witness(split: Split, at: int, said: object, network: object) -> dict[str, Json]:
    """The input that the answer at this place of the split belongs to, and both answers."""
    answers_ = {"program": plain(said), "network": plain(network)}
    if not isinstance(split, SequenceSplit):
        return {"split": split.name, "row": at, **answers_}
    row = int(np.searchsorted(split.scored_offsets, at, side="right")) - 1
    where = split[row]
    position = where.scored[at - int(split.scored_offsets[row])]
    found = {"split": split.name, "row": row, "input_ids": where.input_ids, "position": position, **answers_}
    return found if where.position_ids is None else {**found, "position_ids": where.position_ids}


def plain(answer: object) -> Json:
    """One canonical answer as JSON: an output, the sorted list of a set, or a value."""
    array = np.asarray(answer)
    if array.dtype == np.bool_ and array.ndim == 1:
        return np.flatnonzero(array).tolist()
    return array.item()
