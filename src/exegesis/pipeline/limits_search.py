"""Inputs on which a network leaves its task though it is right on all that the data hold.

Changes of whole stretches come first, then the judge's own search for differences, against a program or against the
truth. What is found is shrunk by the judge.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from exegesis.behavior import Answers, Behavior
from exegesis.ir import Graph, Json
from exegesis.ir.progress import Silent
from exegesis.pipeline.limits_moves import evolve
from exegesis.pipeline.limits_truth import Truth, true_answers
from exegesis.runtime import Network
from exegesis.verify.budget import Budget
from exegesis.verify.inputs import Inputs
from exegesis.verify.network import Reference
from exegesis.verify.program import Judged
from exegesis.verify.search import Attacker, Effort, attack
from exegesis.verify.witnesses import witnesses

_EFFORT = Effort(probes=1024, restarts=32, steps=16, candidates=16, beam=2)


@dataclass(frozen=True)
class Counterexample:
    """An input on which the network differs from what it is compared with.

    Attributes:
        input_ids: the tokens.
        text: the letters among them.
        letters: how many.
        said: what the network says at the first scored position where they differ.
        right: what it is compared with says.
        cause: in words, and how many inputs have it in common.
        count: how many were found.
    """

    input_ids: tuple[int, ...]
    text: str
    letters: int
    said: Json
    right: Json
    cause: str
    count: int


@dataclass(frozen=True)
class Hunt:
    """What a search found.

    Attributes:
        against: what the network was compared with.
        queries, restarts, seconds: how hard was searched.
        found: counterexamples, the shortest first.
        closed: whether all inputs that were tried are inputs that the behaviour asks about.
    """

    against: str
    queries: int
    restarts: int
    seconds: float
    found: tuple[Counterexample, ...]
    closed: bool


class TruthAttacker(Attacker):
    """Searches for inputs on which the network does not say what is true.

    Args:
        graph: the lifted network.
        reference: the network.
        truth: what is true.
    """

    def __init__(self, graph: Graph, reference: Reference, truth: Truth) -> None:
        super().__init__(Judged(graph), reference)
        self.truth = truth

    def says(self, inputs: Inputs) -> Answers:
        """What is true at the scored positions."""
        return true_answers(
            self.truth, self.reference.behavior, inputs.ids.tolist(), [_places(row) for row in inputs.scored]
        )


def _places(scored: Bool[np.ndarray, " s"]) -> list[int]:
    places: list[int] = np.flatnonzero(scored).tolist()
    return places


def hunt(
    network: Network, behavior: Behavior, graph: Graph, truth: Truth | None, *, against: str, seconds: float, seed: int
) -> Hunt:
    """Searches for inputs on which a network differs from the truth or from a program.

    Args:
        network, behavior: whose inputs are changed.
        graph: the program; with a truth, the lifted network.
        truth: what is true, or None to compare with the program.
        against: what to call what the network is compared with.
        seconds: nothing new is begun after so many seconds of computing.
        seed: of everything that is drawn.
    """
    began, budget = time.monotonic(), Budget(seconds)
    reference = Reference(network, behavior, seed)
    attacker = Attacker(Judged(graph), reference) if truth is None else TruthAttacker(graph, reference, truth)
    split = "test" if "test" in behavior.splits else next(iter(behavior.splits))
    evolve(attacker, split, budget.part(0.5))
    search = attack(attacker, split, budget.part(0.3), Silent(), _EFFORT)
    search.found.sort(key=lambda d: int(np.isin(d.inputs.ids, behavior.alphabet).sum()))
    found = witnesses(attacker, search, budget.whole)
    examples = [
        Counterexample(
            input_ids=w.input_ids,
            text=_text(behavior, w.input_ids),
            letters=int(np.isin(w.input_ids, behavior.alphabet).sum()),
            said=w.network,
            right=w.program,
            cause=w.cause.replace("the program says", f"{against} says"),
            count=w.count,
        )
        for w in found
        if w.kind == "differs"
    ]
    examples.sort(key=lambda e: (e.letters, len(e.input_ids), e.input_ids))
    taken = time.monotonic() - began
    return Hunt(against, search.queries, search.restarts, taken, tuple(examples), attacker.space.closed)


def _text(behavior: Behavior, ids: Sequence[int]) -> str:
    """The letters of an input, written together where each is one sign."""
    letters = [behavior.vocabulary.label(t) for t in ids if t in behavior.alphabet]
    return ("" if all(len(x) == 1 for x in letters) else " ").join(letters)


def hunt_record(found: Hunt) -> dict[str, Any]:
    """Everything as JSON."""
    return {
        "against": found.against,
        "queries": found.queries,
        "restarts": found.restarts,
        "seconds": round(found.seconds, 2),
        "closed": found.closed,
        "found": [{**vars(e), "input_ids": list(e.input_ids)} for e in found.found],
    }
