"""Claim 2: where the domain is finite and fits the budget, every input of it is run through program and network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Bool, Int

from exegesis.behavior import Answers, ProductDomain, SequenceBatch, StringsDomain, domain_split
from exegesis.evidence import Claim, Measurement, Status
from exegesis.ir import Json
from exegesis.ir.progress import Progress
from exegesis.runtime import Executor, batch_answers
from exegesis.verify.agreement import plain
from exegesis.verify.budget import Deadline
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged

METRIC = "share of the domain's inputs on which program and network say the same"
_CHUNKS = (256, 512, 1024, 2048)
_PROBE = 2048  # inputs that a chunk size is tried on
_SAMPLE = 4096  # inputs that are drawn where the domain does not fit


@dataclass(frozen=True)
class Coverage:
    """What was run of a finite domain.

    Attributes:
        size: inputs of the domain.
        checked: inputs that were run.
        differing: of these, how many program and network answer differently at a scored position.
        smallest: the first of them (the shortest, then the first in the domain's order) with both answers, or None.
        drawn: whether the inputs were drawn at random; else they are the first of the domain.
        chunk: how many inputs were run at once.
        per_second: inputs per second, program and network together.
    """

    size: int
    checked: int
    differing: int
    smallest: Json
    drawn: bool
    chunk: int
    per_second: float


def is_finite(reference: Reference) -> bool:
    """Whether the behaviour's inputs can all be listed."""
    return isinstance(reference.behavior.domain, ProductDomain | StringsDomain)


def cover_domain(program: Judged, reference: Reference, deadline: Deadline, progress: Progress) -> Coverage:
    """Runs program and network on every input of a product or strings domain, or on a sample where that takes too long.

    How long it takes is found out first. Inputs come in the domain's order, shortest first, so that the first
    difference is the smallest counterexample; the count goes on behind it.

    Args:
        program: what is judged.
        reference: the network, with a finite domain.
        deadline: by then it is over, wherever it is.
        progress: told of every chunk.
    """
    domain = reference.behavior.domain
    assert isinstance(domain, ProductDomain | StringsDomain)
    size = domain.size()
    runner = _Runner(program, reference)
    chunk, rate = runner.best_chunk(min(size, _PROBE))
    fits = size / rate <= deadline.left
    rng = reference.rng("domain")
    batches = domain.enumerate(chunk) if fits else _in_chunks(domain.sample(_SAMPLE, rng), chunk)
    progress.stage("domain", -(-(size if fits else _SAMPLE) // chunk))
    checked = differing = 0
    smallest: Json = None
    began = time.perf_counter()
    for ids in batches:
        same, witness = runner.compare(ids)
        checked += len(same)
        differing += int((~same).sum())
        smallest = witness if smallest is None else smallest
        progress.advance()
        if deadline.over:
            break
    return Coverage(
        size, checked, differing, smallest, not fits, chunk, checked / max(time.perf_counter() - began, 1e-9)
    )


def _in_chunks(batches: Iterator[Int[np.ndarray, "b s"]], chunk: int) -> Iterator[Int[np.ndarray, "b s"]]:
    for ids in batches:
        for start in range(0, len(ids), chunk):
            yield ids[start : start + chunk]


class _Runner:
    """Runs both on token ids; what is scored is found out once per length."""

    def __init__(self, program: Judged, reference: Reference) -> None:
        self.program = program
        self.reference = reference
        self._rows: dict[int, SequenceBatch] = {}

    def _row(self, ids: Int[np.ndarray, "b s"]) -> SequenceBatch:
        length = ids.shape[1]
        if length not in self._rows:
            self._rows[length] = domain_split(self.reference.behavior, ids[:1]).gather(np.arange(1))
        return self._rows[length]

    def batch(self, ids: Int[np.ndarray, "b s"]) -> SequenceBatch:
        """The ids as a batch of the behaviour."""
        row, b = self._row(ids), len(ids)
        scored = np.repeat(row.scored, b, axis=0)
        positions = None if row.position_ids is None else np.repeat(row.position_ids, b, axis=0)
        return SequenceBatch(np.arange(b), ids, positions, scored, np.arange(int(scored.sum())), None)

    def answers(self, batch: SequenceBatch) -> tuple[Answers, Answers]:
        """What program and network say."""
        with torch.inference_mode():
            executor: Executor = self.program.executor
            said = batch_answers(executor, batch, self.reference.behavior.readout)
            return said, self.reference.says(batch)

    def compare(self, ids: Int[np.ndarray, "b s"]) -> tuple[Bool[np.ndarray, " b"], Json]:
        """Per input whether both say the same everywhere, and the first on which they do not."""
        batch = self.batch(ids)
        said, network = self.answers(batch)
        per_answer = self.reference.behavior.readout.equal(said, network)
        row_of = np.nonzero(batch.scored)[0]
        same = np.bincount(row_of[~per_answer], minlength=len(ids)) == 0
        if same.all():
            return same, None
        at = int(np.argmin(per_answer))
        row, position = (int(axis[at]) for axis in np.nonzero(batch.scored))
        return same, {
            "input_ids": ids[row].tolist(),
            "position": position,
            "program": plain(said[at]),
            "network": plain(network[at]),
        }

    def best_chunk(self, count: int) -> tuple[int, float]:
        """The chunk size that runs the most inputs per second on the longest inputs' like, and that rate."""
        domain = self.reference.behavior.domain
        assert isinstance(domain, ProductDomain | StringsDomain)
        (ids,) = islice(domain.sample(1, np.random.default_rng(0)), 1)
        ids = np.repeat(ids, count, axis=0)
        self.compare(ids[:1])  # binds the program's nodes
        rates = {}
        for chunk in _CHUNKS:
            began = time.perf_counter()
            for start in range(0, count, chunk):
                self.compare(ids[start : start + chunk])
            rates[chunk] = count / (time.perf_counter() - began)
            if chunk >= count:
                break
        best = max(rates, key=lambda chunk: rates[chunk])
        return best, rates[best]


def domain_claim(coverage: Coverage, seed: int) -> Claim:
    """What covering the domain amounts to: proved, refuted with the smallest counterexample, or tested."""
    same, share = coverage.checked - coverage.differing, coverage.checked / coverage.size
    note = f"{coverage.checked} of {coverage.size} inputs ({share:.3%})"
    if coverage.drawn:
        measured = Measurement.proportion(METRIC, same, coverage.checked, seed=seed, note=f"{note}, drawn at random")
    else:
        whole = coverage.checked == coverage.size
        note = note if whole else f"{note}, the first of the domain's order"
        measured = Measurement(metric=METRIC, value=same / coverage.checked, n=coverage.checked, note=note)
    if coverage.differing:
        status = Status.REFUTED
    else:
        status = Status.PROVED if coverage.checked == coverage.size and not coverage.drawn else Status.TESTED
    return Claim(
        statement="The program says what the network says on every input of the domain.",
        domain=f"the behaviour's domain of {coverage.size} inputs",
        status=status,
        evidence=(measured,),
        witness=coverage.smallest if status is Status.REFUTED else None,
        seed=seed if coverage.drawn else None,
    )
