"""Claim 5, first half: an adversarial search for inputs on which program and network differ.

Each restart pushes an input towards a difference: the margin by which the network favours the program's answer goes
down. Candidates come from random changes of single tokens and from the gradient of the margin at the embedding
(Ebrahimi et al., 2018, arXiv 1712.06751; Zou et al., 2023, arXiv 2307.15043); a beam keeps the lowest margins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor

from exegesis.behavior import Answers
from exegesis.ir.progress import Progress
from exegesis.runtime import batch_answers
from exegesis.verify.budget import Deadline
from exegesis.verify.inputs import Ids, Inputs, Space
from exegesis.verify.margins import margins
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.swaps import Rows


@dataclass(frozen=True)
class Effort:
    """The budget of a search, beside its time.

    Attributes:
        probes: random inputs that are tried first; the most promising become restarts.
        restarts: inputs that are pushed.
        steps: how often each is pushed.
        candidates: changes that are tried of each in a step, half of them by gradient where there is one.
        beam: how many changed inputs of a restart are kept.
    """

    probes: int = 512
    restarts: int = 24
    steps: int = 12
    candidates: int = 16
    beam: int = 2


@dataclass(frozen=True, eq=False)
class Difference:
    """An input on which program and network differ, and the input that it came from.

    Attributes:
        inputs: the one input.
        origin: the input of the behaviour that was changed into it.
    """

    inputs: Inputs
    origin: Ids


@dataclass
class Search:
    """What a search did and found."""

    queries: int = 0
    restarts: int = 0
    found: list[Difference] = field(default_factory=list)
    worst_margin: float | None = None
    probes: int = 0
    probes_differing: int = 0


class Attacker:
    """Asks program and network about changed inputs, and counts the questions."""

    def __init__(self, program: Judged, reference: Reference) -> None:
        self.program = program
        self.reference = reference
        self.space = Space(reference)
        self.search = Search()
        self._embedding: tuple[str, Tensor] | None = None
        self._looked_for = False

    def margin(self, inputs: Inputs) -> tuple[Float[np.ndarray, " b"], Answers]:
        """Per input the smallest margin over its scored positions, and the program's answers."""
        said = self.says(inputs)
        out = self._output(inputs)
        self.search.queries += len(inputs)
        return self._smallest(out, said, inputs).numpy(), said

    def says(self, inputs: Inputs) -> Answers:
        """What the program says at the scored positions."""
        return batch_answers(self.program.executor, inputs.batch, self.reference.behavior.readout)

    def _output(self, inputs: Inputs) -> Tensor:
        """The network's output, by the user's own module."""
        batch = inputs.batch
        takes = self.reference.network.takes_positions and batch.position_ids is not None
        positions = torch.from_numpy(batch.position_ids) if takes else None
        return self.reference.network.logits(torch.from_numpy(batch.input_ids), positions)

    def _smallest(self, out: Tensor, said: Answers, inputs: Inputs) -> Tensor:
        at_scored = out[torch.from_numpy(inputs.scored)]
        each = margins(at_scored, said, self.reference.behavior.readout)
        rows = torch.from_numpy(inputs.row_of_answers)
        lowest = torch.full((len(inputs),), torch.inf, dtype=each.dtype)
        return lowest.scatter_reduce(0, rows, each, "amin")

    @property
    def embedding(self) -> tuple[str, Tensor] | None:
        """The value that token ids become, and each letter there [letters, d]; None where that is not clear."""
        if not self._looked_for:
            self._looked_for = True
            self._embedding = _embedding(self.reference, self.space.letters)
        return self._embedding

    def gradient(self, inputs: Inputs, said: Answers) -> Tensor | None:
        """What each letter at each position would change the margin by, to first order: [b, s, letters]."""
        if self.embedding is None:
            return None
        name, table = self.embedding
        exported, arguments = self.reference.exported, self.reference.arguments(inputs.batch)
        leaf = exported.run(arguments, [name])[name].requires_grad_()
        out = exported.run(arguments, given={name: leaf}, gradients=True)[exported.output]
        (slope,) = torch.autograd.grad(self._smallest(out, said, inputs).sum(), leaf)
        return torch.einsum("bsd,vd->bsv", slope, table) - (slope * leaf.detach()).sum(-1, keepdim=True)


def _embedding(reference: Reference, letters: Int[np.ndarray, " letters"]) -> tuple[str, Tensor] | None:
    """The first real value [b, s, d] that is computed from token ids alone and is the same at every position."""
    exported = reference.exported
    argument = next(iter(exported.values))
    for value in exported.values.values():
        if not value.dtype.is_floating_point or len(value.shape) != 3:
            continue
        inputs = [n for n in exported.before([value.name]) if n in exported.values and exported.values[n].op == "input"]
        if inputs != [argument]:
            return None
        batch = reference.example()
        assert not hasattr(batch, "x")
        ids = np.repeat(letters[:, None], batch.input_ids.shape[1], axis=1)
        arguments = {k: v[:1].expand(len(ids), -1) for k, v in reference.arguments(batch).items()}
        arguments[next(iter(arguments))] = torch.from_numpy(ids)
        found = exported.run(arguments, [value.name])[value.name]
        return (value.name, found[:, 0]) if bool(torch.allclose(found, found[:, :1])) else None
    return None


def attack(
    attacker: Attacker, split: str, deadline: Deadline, progress: Progress, effort: Effort | None = None
) -> Search:
    """Searches until the effort is spent or the deadline is over.

    Args:
        attacker: program, network and counters.
        split: where starting inputs come from.
        deadline: no new step is begun after it.
        progress: told of every restart.
        effort: how much is tried.
    """
    effort = effort or Effort()
    rng = attacker.reference.rng("attack")
    search = attacker.search
    groups = attacker.space.starts(split, effort.restarts * 2, rng)
    progress.stage("attack", len(groups))
    for group in groups:
        origins, starts = _promising(attacker, group, effort, len(groups), rng)
        if len(starts):
            _push(attacker, starts, origins, effort, deadline, rng)
        progress.advance()
        if deadline.over:
            break
    return search


def _promising(attacker: Attacker, group: Inputs, effort: Effort, parts: int, rng: Generator) -> tuple[Ids, Inputs]:
    """Probes random letters in the skeletons of the group, and takes the lowest margins among probes and group."""
    search, space = attacker.search, attacker.space
    n = -(-effort.probes // parts)
    rows = rng.integers(len(group), size=n)
    skeletons = group.take(rows)
    probes = space.mutated(skeletons, space.changeable(skeletons) & (rng.random(skeletons.ids.shape) < 0.9), rng)
    everything = Inputs.stacked([group, probes])
    origins = np.concatenate([group.ids, skeletons.ids])
    margin, _ = attacker.margin(everything)
    search.probes += n
    search.probes_differing += int((margin[len(group) :] < 0).sum())
    _note(search, everything, origins, margin, room=4)
    alive = np.flatnonzero(margin >= 0)
    count = -(-effort.restarts // parts)
    best = alive[np.argsort(margin[alive], kind="stable")][: -(-count // 2)]
    rest = np.setdiff1d(alive, best)
    others = rng.permutation(rest)[: count - len(best)]
    chosen = np.concatenate([best, others]).astype(np.int64)
    search.restarts += len(chosen)
    return origins[chosen], everything.take(chosen)


def _push(attacker: Attacker, starts: Inputs, origins: Ids, effort: Effort, deadline: Deadline, rng: Generator) -> None:
    """A beam per restart: each step keeps the changed inputs with the lowest margins."""
    search = attacker.search
    owner = np.arange(len(starts))
    beam = starts
    open_ = np.ones(len(starts), dtype=np.bool_)
    for _ in range(effort.steps):
        keep = open_[owner]
        owner, beam = owner[keep], beam.take(np.flatnonzero(keep))
        if not len(owner) or deadline.over:
            return
        candidates = _candidates(attacker, beam, effort.candidates, rng)
        owners = np.repeat(owner, effort.candidates)
        margin, _ = attacker.margin(candidates)
        for row in np.flatnonzero(margin < 0):
            if open_[owners[row]]:
                open_[owners[row]] = False
                one = candidates.take(np.array([row]))
                search.found.append(Difference(one, origins[owners[row]][None]))
        search.worst_margin = float(min(margin.min(), np.inf if search.worst_margin is None else search.worst_margin))
        best = _best_of(owners, margin, candidates, effort.beam)
        owner, beam = owners[best], candidates.take(best)


def _best_of(owners: Int[np.ndarray, " n"], margin: Float[np.ndarray, " n"], inputs: Inputs, beam: int) -> Rows:
    """The `beam` lowest margins of each restart, each input once."""
    order = np.lexsort((margin, owners))
    chosen: list[int] = []
    taken: dict[int, set[bytes]] = {}
    for row in order.tolist():
        kept = taken.setdefault(int(owners[row]), set())
        content = inputs.ids[row].tobytes()
        if len(kept) < beam and content not in kept:
            kept.add(content)
            chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def _candidates(attacker: Attacker, beam: Inputs, n: int, rng: Generator) -> Inputs:
    """n inputs per input of the beam, each with one token changed: by the gradient first, the rest at random."""
    space = attacker.space
    allowed = space.allowed(beam.length)[None] & (space.letters[None, None] != beam.ids[..., None])
    allowed = allowed & space.changeable(beam)[..., None]
    score = rng.random(allowed.shape)
    slope = None if attacker.embedding is None else attacker.gradient(beam, attacker.says(beam))
    if slope is not None:
        attacker.search.queries += len(beam)
        guided = -slope.numpy()
        guided = np.where(allowed, guided, -np.inf).reshape(len(beam), -1)
        top = np.argsort(-guided, axis=1, kind="stable")[:, : n // 2]
        np.put_along_axis(score.reshape(len(beam), -1), top, 2.0, axis=1)
    score = np.where(allowed, score, -1.0).reshape(len(beam), -1)
    pick = np.argsort(-score, axis=1, kind="stable")[:, :n]
    pick = np.resize(pick, (len(beam), n)) if pick.shape[1] < n else pick
    position, letter = np.divmod(pick, len(space.letters))
    repeated = beam.take(np.repeat(np.arange(len(beam)), n))
    ids = repeated.ids.copy()
    flat = position.reshape(-1)
    possible = np.take_along_axis(score, pick, 1).reshape(-1) >= 0
    rows = np.arange(len(ids))
    ids[rows, flat] = np.where(possible, space.letters[letter.reshape(-1)], ids[rows, flat])
    return repeated.with_ids(ids)


def _note(search: Search, inputs: Inputs, origins: Ids, margin: Float[np.ndarray, " b"], room: int) -> None:
    """Keeps the first few inputs that differ, and the lowest margin."""
    for row in np.flatnonzero(margin < 0)[:room]:
        search.found.append(Difference(inputs.take(np.array([row])), origins[row][None]))
    lowest = float(margin.min())
    search.worst_margin = lowest if search.worst_margin is None else min(search.worst_margin, lowest)
