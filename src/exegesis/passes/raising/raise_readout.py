"""Replaces everything between the program's variables and the answer (MLPs, norms, unembedding) by a short readout.

What: the answer as a copy, a table, a largest share, thresholds of linear forms, or a decision list over the
variables that raised heads offer.
Why valid: it gives the network's answers on inputs it was not fitted to; the shortest total description (readout and
its exceptions) wins among those that do. Where a network hesitates, so that none is as right as asked on the inputs it
is fitted to, it may be as wrong there as on others.
Refuses when: no readout reaches the tolerance; the tail of the network then stays as it is, opaque and priced.
Guarantee: statistical (agreement on held-out rows).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from exegesis.behavior import Argmax, Sign
from exegesis.ir import Axis, Graph, Type, price
from exegesis.ir.spec import axis_size
from exegesis.measure import Bench
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.align_variables import AlignVariables
from exegesis.passes.raising.exchanges import Exchanges
from exegesis.passes.raising.head_view import SELECTOR, SEQUENCE
from exegesis.passes.raising.locate_conditions import LocateConditions
from exegesis.passes.raising.observations import Observations
from exegesis.passes.raising.readouts import CASES, Readout, propose

NAME = "raise_readout"
_PERIODS = (2, 3, 4)
_TOKENS = 12_000
_ROUNDS = 3


@dataclass(frozen=True)
class RaiseReadout:
    """How well a readout must do.

    Attributes:
        tolerance: share of fitted positions it may get wrong.
        held_out: share of held-out positions it must get right to be accepted.
        exchanged: where the network follows a readout less often than this when variables change hands, one is sought
            that knows what becomes of exchanged variables (unless it consists of cases: another tree takes long),
        tolerances: which may get these shares of its rows wrong,
        worth: and has to be followed more often by this.
        trials: how many readouts are tried on held-out rows.
        tokens: about how many tokens exchanges are tried on.
    """

    tolerance: float = 0.002
    held_out: float = 0.99
    exchanged: float = 0.98
    tolerances: tuple[float, ...] = (0.002, 0.01, 0.03)
    worth: float = 0.02
    trials: int = 6
    tokens: int = 8192

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """A token input, and an output that is not an answer yet."""
        if not any(n.op == "input.tokens" for n in graph.inputs):
            return "the network reads no tokens"
        return None if graph[graph.outputs[0]].type.kind == "real" else "the program gives answers already"

    def ensures(self, graph: Graph) -> str | None:
        """One output is left."""
        return None if len(graph.outputs) == 1 else "variables are still on offer"

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """Fits readouts over the offered variables (the outputs after the first) and puts the shortest in place."""
        without = replace(graph, outputs=graph.outputs[:1]).pruned()
        if not isinstance(setting.readout, Argmax | Sign):
            return Outcome(without, (Attempt("readout", "a real-valued answer has no readout idiom", False),))
        draft = Draft(graph, NAME)
        variables = _variables(graph, draft)
        offered = draft.whole()
        seen = _observe(offered, setting.fit, variables, setting.seed)
        attempts: list[Attempt] = []
        answer = _answer_type(graph, setting.fit)
        best = self._best(offered, propose(seen, tolerance=self.tolerance, answer=answer), seen, setting, attempts)
        if best is None:  # a network that hesitates
            loose = propose(seen, tolerance=1 - self.held_out, answer=answer)
            best = self._best(offered, loose, seen, setting, attempts)
        if best is not None and best.attempt.outcome != CASES and best.exchanged < self.exchanged:
            nearest = propose(_nearest(seen, graph), tolerance=self.tolerance, answer=answer)
            other = self._best(offered, nearest, seen, setting, attempts)
            best = other if other and other.located and other.exchanged > best.exchanged + self.worth else best
        if best is not None and best.attempt.outcome != CASES and best.exchanged < self.exchanged:
            elsewhere = LocateConditions().run(AlignVariables().run(best.placed, setting).graph, setting)
            if any(a.applied for a in elsewhere.attempts):
                attempts = [replace(a, applied=a is best.attempt) for a in attempts]
                return Outcome(elsewhere.graph, (*attempts, *elsewhere.attempts))
            attempts += elsewhere.attempts
            marked, offsets = _marked(offered, best.placed)
            if (swapped := _observe_exchanged(marked, setting, offsets)) is not None:
                found = (r for t in self.tolerances for r in propose(swapped, tolerance=t, answer=answer))
                other = self._best(marked, found, swapped, setting, attempts)
                best = other if other and other.located and other.exchanged > best.exchanged + self.worth else best
        if best is None:
            return Outcome(without, tuple(attempts))
        attempts = [replace(a, applied=a is best.attempt) for a in attempts]
        return Outcome(best.placed, tuple(attempts))

    def _best(
        self,
        offered: Graph,
        readouts: Iterable[Readout],
        seen: Observations,
        setting: Setting,
        attempts: list[Attempt],
    ) -> _Tried | None:
        """The first readout that is right on held-out rows and after exchanges, else the one that is best there."""
        best: _Tried | None = None
        for readout in islice(readouts, self.trials):
            placed = _place(offered, readout)
            agreement = setting.held.agreement(placed)
            swaps = Exchanges(setting.held.sample(self.tokens), placed, [n.id for n in placed.nodes], seed=setting.seed)
            exchanged = swaps.agreement(placed) if agreement >= self.held_out else 0.0
            figures = (("bits", readout.total(seen)), ("held-out agreement", agreement), ("exchanged", exchanged))
            attempts.append(Attempt("readout", readout.idiom, False, figures))
            if agreement >= self.held_out and (best is None or exchanged > best.exchanged):
                best = _Tried(placed, exchanged, attempts[-1], bool(swaps))
            if best is not None and best.exchanged >= self.exchanged:
                break
        return best


@dataclass(frozen=True, eq=False)
class _Tried:
    """A program with a readout in place, how often the network follows it after exchanges, and whether there
    are any to exchange."""

    placed: Graph
    exchanged: float
    attempt: Attempt
    located: bool


def _nearest(seen: Observations, graph: Graph) -> Observations:
    """What is seen of inputs, and for each head of the view that is nearest to its attention alone."""
    first = {graph[v].doc: v for v in reversed(graph.outputs[1:]) if graph[v].sites}
    kept = {v for v in (*seen.categories, *seen.counts) if v not in graph.outputs[1:] or v in first.values()}
    return replace(
        seen,
        categories={k: v for k, v in seen.categories.items() if k in kept},
        counts={k: v for k, v in seen.counts.items() if k in kept},
    )


def _marked(graph: Graph, placed: Graph) -> tuple[Graph, tuple[tuple[str, str], ...]]:
    """The graph with what a program copies, with shares of what it counts, and with the token that asks as a variable.

    A head may look a little more at this or that depending on the token that asks, and the embedding of that token take
    it back: unseen on natural inputs, where it is one token.

    Returns:
        The graph, whose outputs after the first are tokens, shares, copies, and marks; and pairs of mark and tokens.
    """
    draft = Draft(graph, NAME)
    tokens = next(n for n in graph.inputs if n.op == "input.tokens")
    here = draft.add("symbolic.back", [tokens.id], SELECTOR, {"by": 0}, hint="here")
    held, marks = list[str](), list[str]()
    for node in placed.nodes:
        if node.op not in ("symbolic.count", "symbolic.share", "symbolic.copy") or not node.sites:
            continue
        copied = node.op == "symbolic.copy"
        where = node.sites
        held.append(
            node.id if copied else draft.add("symbolic.share", node.inputs, node.type, hint="shares", sites=where)
        )
        marks.append(draft.add("symbolic.copy", [here, tokens.id], tokens.type, hint="asking", sites=where))
    marks = [m for m in dict.fromkeys(marks) if m not in held]
    return draft.whole(outputs=(graph.outputs[0], tokens.id, *held, *marks)), tuple((m, tokens.id) for m in marks)


def _observe_exchanged(graph: Graph, setting: Setting, offsets: tuple[tuple[str, str], ...]) -> Observations | None:
    """What is seen on natural inputs, and after exchanges of what heads gather; None where nothing can be exchanged."""
    names = list(graph.outputs[1:])
    seen = _observe(graph, setting.fit, names, setting.seed)
    swaps = Exchanges(setting.fit.sample(_TOKENS), graph, names, seed=setting.seed + 1, rounds=_ROUNDS)
    if not swaps:
        return None
    got = swaps.observe(names)
    return replace(
        seen,
        categories={v: np.concatenate([c, got.values[v].astype(np.int64)]) for v, c in seen.categories.items()},
        counts={v: np.concatenate([c, got.values[v].astype(np.float64)]) for v, c in seen.counts.items()},
        answers=np.concatenate([seen.answers, got.answers]),
        offsets=offsets,
    )


def _variables(graph: Graph, draft: Draft) -> list[str]:
    """What a readout may use: tokens, where in the sequence it is (modulo small periods), and all that heads offer."""
    tokens = next(n for n in graph.inputs if n.op == "input.tokens")
    place = draft.add("component.arange", [tokens.id], Type("int", SEQUENCE), hint="place")
    periods = []
    for period in _PERIODS:
        draft.axes[f"mod_{period}"] = Axis(f"mod_{period}", period)
        type = Type("category", SEQUENCE, f"mod_{period}")
        periods.append(draft.add("symbolic.mod", [place], type, {"period": period}, hint=f"place_mod_{period}"))
    return [tokens.id, *graph.outputs[1:], *periods]


def _observe(graph: Graph, bench: Bench, variables: list[str], seed: int) -> Observations:
    classes = axis_size(graph[graph.outputs[0]].type.axes[-1], graph) or 0
    values = bench.at_scored(graph, variables)
    categories = {v: values[v].astype(np.int64) for v in variables if graph[v].type.kind == "category"}
    counts = {v: values[v].astype(np.float64) for v in variables if graph[v].type.kind == "real"}
    sizes = {v: graph.axes[graph[v].type.of or ""].size or 0 for v in categories}
    cost = {v: _definition_bits(graph, v) for v in variables}
    places = frozenset(v for v in categories if graph[v].op == "symbolic.mod")
    return Observations(categories, sizes, counts, bench.answers, classes, cost, seed, places=places)


def _answer_type(graph: Graph, bench: Bench) -> Type:
    last = graph[graph.outputs[0]].type.axes[-1]
    return Type("bool", (*SEQUENCE, last)) if isinstance(bench.readout, Sign) else Type("category", SEQUENCE, last)


def _place(graph: Graph, readout: Readout) -> Graph:
    """The graph that answers by the readout alone."""
    draft = Draft(graph, NAME)
    answer = readout.write(draft)
    return draft.whole(outputs=(answer,)).pruned()


def _definition_bits(graph: Graph, variable: str) -> float:
    """What the program pays for having a variable: the symbolic nodes it is made of."""
    alone = replace(graph, outputs=(variable,)).pruned()
    return price(alone).symbolic_bits
