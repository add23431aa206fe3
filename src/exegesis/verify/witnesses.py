"""Claim 5, what a search found: shrunk to minimal witnesses, replayed, grouped by cause, the most surprising first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from exegesis.behavior import Answers, StringsDomain, domain_split
from exegesis.evidence import Witness
from exegesis.ir import Json
from exegesis.runtime import batch_inputs
from exegesis.runtime.answers import read_answers
from exegesis.verify.agreement import plain
from exegesis.verify.budget import Deadline
from exegesis.verify.inputs import Ids, Inputs
from exegesis.verify.search import Attacker, Difference, Search
from exegesis.verify.ties import may_tie, run_with_last

_SHRUNK = 12  # differences that are shrunk; the others are only counted


@dataclass(frozen=True, eq=False)
class Minimal:
    """A shrunk difference.

    Attributes:
        inputs: the one input.
        changed: the positions at which it differs from the input that it was made from; none where it was shortened.
        program, network: what each says at the first scored position where they differ.
        silent: why the program's answer there is none that it stands for, where it is: a tie, or nothing to look at.
    """

    inputs: Inputs
    changed: tuple[int, ...]
    program: Json
    network: Json
    silent: str = ""


def differs(attacker: Attacker, inputs: Inputs) -> Bool[np.ndarray, " b"]:
    """Which inputs program and network answer differently at a scored position."""
    same = attacker.reference.behavior.readout.equal(attacker.says(inputs), attacker.reference.says(inputs.batch))
    attacker.search.queries += len(inputs)
    found: Bool[np.ndarray, " b"] = np.bincount(inputs.row_of_answers[~same], minlength=len(inputs)) > 0
    return found


def shrink(attacker: Attacker, difference: Difference) -> Minimal | None:
    """A difference with as little as possible changed; None where it does not come back when it is replayed.

    Changed positions are taken back as long as the difference stays; where shorter strings belong to the domain,
    letters are left out; what is left is replaced by the first letter that keeps the difference.
    """
    inputs = difference.inputs
    if not differs(attacker, inputs)[0]:
        return None
    inputs = _taken_back(attacker, inputs, difference.origin)
    shorter = _shortened(attacker, inputs)
    if shorter is inputs:
        inputs = _plainer(attacker, inputs, np.flatnonzero((inputs.ids != difference.origin)[0]))
        changed = np.flatnonzero((inputs.ids != difference.origin)[0])
    else:
        changed = np.zeros(0, dtype=np.int64)
        inputs = _plainer(attacker, shorter, np.flatnonzero(attacker.space.changeable(shorter)[0]))
    said = attacker.says(inputs)
    network = attacker.reference.says(inputs.batch)
    same = attacker.reference.behavior.readout.equal(said, network)
    at = int(np.argmin(same))
    if same[at]:
        return None
    changes = tuple(int(p) for p in changed)
    return Minimal(inputs, changes, plain(said[at]), plain(network[at]), _silence(attacker, inputs, said, at))


def _silence(attacker: Attacker, inputs: Inputs, said: Answers, at: int) -> str:
    """Whether the program's answer hangs on how a tie is broken, or is none."""
    executor = attacker.program.executor
    if said.ndim == 1 and said.dtype.kind in "iu" and said[at] < 0:
        return "nothing is left for the program to look at"
    if may_tie(executor.graph):
        other = run_with_last(executor, batch_inputs(executor, inputs.batch))
        readout = attacker.reference.behavior.readout
        answers = read_answers(executor, other.numpy(), inputs.batch, readout)
        if not readout.equal(said[at : at + 1], answers[at : at + 1])[0]:
            return "there is a tie, which the program breaks by order"
    return ""


def _taken_back(attacker: Attacker, inputs: Inputs, origin: Ids) -> Inputs:
    """One changed position after the other gets its old token back, as long as the difference stays."""
    while True:
        changed = np.flatnonzero((inputs.ids != origin)[0])
        if not len(changed):
            return inputs
        tried = np.repeat(inputs.ids, len(changed), axis=0)
        tried[np.arange(len(changed)), changed] = origin[0, changed]
        candidates = inputs.take(np.zeros(len(changed), dtype=np.int64)).with_ids(tried)
        keeps = np.flatnonzero(differs(attacker, candidates))
        if not len(keeps):
            return inputs
        inputs = candidates.take(keeps[:1])


def _shortened(attacker: Attacker, inputs: Inputs) -> Inputs:
    """Letters left out one by one, where the domain holds shorter strings."""
    domain = attacker.reference.behavior.domain
    if not isinstance(domain, StringsDomain):
        return inputs
    low = domain.min_length + len(domain.prefix) + len(domain.suffix)
    while inputs.length > low:
        letters = range(len(domain.prefix), inputs.length - len(domain.suffix))
        ids = np.stack([np.delete(inputs.ids[0], p) for p in letters])
        batch = domain_split(attacker.reference.behavior, ids).gather(np.arange(len(ids)))
        candidates = Inputs.of(batch)
        keeps = np.flatnonzero(differs(attacker, candidates))
        if not len(keeps):
            return inputs
        inputs = candidates.take(keeps[:1])
    return inputs


def _plainer(attacker: Attacker, inputs: Inputs, places: Int[np.ndarray, " n"]) -> Inputs:
    """The first letter that keeps the difference at each of these places."""
    space = attacker.space
    allowed = space.allowed(inputs.length)
    for place in places[:32]:
        letters = space.letters[allowed[place]]
        letters = letters[letters < inputs.ids[0, place]]
        if not len(letters):
            continue
        tried = np.repeat(inputs.ids, len(letters), axis=0)
        tried[:, place] = letters
        candidates = inputs.take(np.zeros(len(letters), dtype=np.int64)).with_ids(tried)
        keeps = np.flatnonzero(differs(attacker, candidates))
        if len(keeps):
            inputs = candidates.take(keeps[:1])
    return inputs


def witnesses(attacker: Attacker, search: Search, deadline: Deadline) -> list[Witness]:
    """The differences that a search found, shrunk and grouped."""
    minimal: list[Minimal] = []
    for difference in search.found[:_SHRUNK]:
        if (one := shrink(attacker, difference)) is not None:
            minimal.append(one)
        if deadline.over:
            break
    groups = _grouped(minimal)
    more = len(search.found) - len(minimal)
    found = [_witness(attacker, search, group) for group in groups]
    if found and more > 0:
        found[0] = found[0].model_copy(update={"cause": f"{found[0].cause} {more} more differences were not shrunk."})
    return sorted(found, key=lambda w: (-w.surprise, w.input_ids))


def _grouped(minimal: Sequence[Minimal]) -> list[list[Minimal]]:
    """Together what has the same positions changed, or the same tokens there and the same answers."""
    groups: list[tuple[set[object], list[Minimal]]] = []
    for one in minimal:
        tokens = tuple(sorted({int(one.inputs.ids[0, p]) for p in one.changed}))
        keys: set[object] = {("tokens", tokens, str(one.program), str(one.network))}
        keys |= {("positions", one.inputs.length, one.changed)} if one.changed else set()
        keys |= {("input", one.inputs.ids.tobytes())}
        keys |= {("silent", one.silent)} if one.silent else set()
        joined = [g for g in groups if g[0] & keys]
        merged = (keys.union(*(g[0] for g in joined)), [m for g in joined for m in g[1]] + [one])
        groups = [g for g in groups if g not in joined] + [merged]
    return [members for _, members in groups]


def _witness(attacker: Attacker, search: Search, group: Sequence[Minimal]) -> Witness:
    one = min(group, key=lambda m: (m.inputs.length, len(m.changed), m.inputs.ids.tolist()))
    vocabulary = attacker.reference.behavior.vocabulary
    said = f"the program says {one.program} and the network {one.network}"
    if one.changed:
        tokens = ", ".join(f"{vocabulary.label(int(one.inputs.ids[0, p]))!r} at {p}" for p in one.changed[:6])
        cause = f"With {tokens}, {said}."
    else:
        cause = f"On an input of {one.inputs.length} tokens {said}."
    if one.silent:
        cause = f"{cause[:-1]}: {one.silent}."
    # Laplace's rule: how likely a random input shows a difference, as far as the probes tell.
    rate = (search.probes_differing + 1) / (search.probes + 2)
    return Witness(
        kind="differs",
        cause=cause,
        input_ids=tuple(one.inputs.ids[0].tolist()),
        position_ids=None if one.inputs.positions is None else tuple(one.inputs.positions[0].tolist()),
        positions=one.changed,
        program=one.program,
        network=one.network,
        count=len(group),
        surprise=-math.log2(rate),
        asked=attacker.space.closed,
    )
