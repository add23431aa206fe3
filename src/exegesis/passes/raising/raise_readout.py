"""Replaces everything between the program's variables and the answer (MLPs, norms, unembedding) by a short readout.

What: the answer as a copy, a table, a largest share, thresholds of linear forms, or a decision list over the
variables that raised heads offer.
Why valid: it gives the network's answers on inputs it was not fitted to; the shortest total description (readout and
its
exceptions) wins among those that do.
Refuses when: no readout reaches the tolerance; the tail of the network then stays as it is, opaque and priced.
Guarantee: statistical (agreement on held-out rows).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from exegesis.behavior import Argmax, Sign
from exegesis.ir import Axis, Graph, Type, price
from exegesis.ir.spec import axis_size
from exegesis.measure import Bench
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.head_view import SEQUENCE
from exegesis.passes.raising.observations import Observations
from exegesis.passes.raising.readouts import Readout, propose

NAME = "raise_readout"
_PERIODS = (2, 3, 4)


@dataclass(frozen=True)
class RaiseReadout:
    """How well a readout must do.

    Attributes:
        tolerance: share of fitted positions it may get wrong.
        held_out: share of held-out positions it must get right to be accepted.
    """

    tolerance: float = 0.002
    held_out: float = 0.99

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
        attempts = []
        for readout in propose(seen, tolerance=self.tolerance, answer=_answer_type(graph, setting.fit)):
            placed = _place(offered, readout)
            agreement = setting.held.agreement(placed)
            figures = (("bits", readout.total(seen)), ("held-out agreement", agreement))
            attempts.append(Attempt("readout", readout.idiom, agreement >= self.held_out, figures))
            if agreement >= self.held_out:
                return Outcome(placed, tuple(attempts))
        return Outcome(without, tuple(attempts))


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
    return Observations(categories, sizes, counts, bench.answers, classes, cost, seed)


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
