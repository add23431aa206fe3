"""Replaces everything between the program's variables and the answer (MLPs, norms, unembedding) by a short readout.

What: the answer as a copy, a table, a largest share, thresholds of linear forms, or a decision list over the variables that raised heads offer.
Why valid: it gives the network's answers on inputs it was not fitted to; the shortest total description (readout and its
exceptions) wins among those that do.
Refuses when: no readout reaches the tolerance; the tail of the network then stays as it is, opaque and priced.
Guarantee: statistical (agreement on held-out rows).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from exegesis.behavior import Argmax, Sign
from exegesis.ir import Axis, Graph, Type
from exegesis.measure import Bench
from exegesis.passes.draft import Draft
from exegesis.passes.raising.head_view import SEQUENCE
from exegesis.passes.raising.observations import Observations
from exegesis.passes.raising.readouts import Readout, propose

NAME = "raise_readout"
_PERIODS = (2, 3, 4)


@dataclass(frozen=True)
class Settings:
    """How well a readout must do.

    Attributes:
        tolerance: share of fitted positions it may get wrong.
        held_out: share of held-out positions it must get right to be accepted.
    """

    tolerance: float = 0.002
    held_out: float = 0.99


@dataclass(frozen=True)
class RaisedReadout:
    """The graph with the readout in place (or as it was), which idiom it is, and the candidates with their bits and agreement."""

    graph: Graph
    idiom: str | None
    tried: tuple[tuple[str, float, float], ...]


def raise_readout(graph: Graph, fit: Bench, held: Bench, settings: Settings = Settings()) -> RaisedReadout:
    """Fits readouts over the graph's offered variables (its outputs after the first) and puts the best in place.

    Args:
        graph: a graph whose first output is the network's, the others the variables on offer.
        fit: inputs to fit on.
        held: inputs to accept on.
        settings: thresholds.
    """
    if not isinstance(fit.readout, Argmax | Sign):
        return RaisedReadout(graph, None, ())
    draft = Draft(graph, NAME)
    variables = _variables(graph, draft)
    offered = draft.whole()
    seen = _observe(offered, fit, variables)
    tried = []
    for readout in propose(seen, tolerance=settings.tolerance, answer=_answer_type(graph, fit)):
        placed = _place(offered, readout)
        agreement = held.agreement(placed)
        tried.append((readout.idiom, readout.total(seen), agreement))
        if agreement >= settings.held_out:
            return RaisedReadout(placed, readout.idiom, tuple(tried))
    return RaisedReadout(replace(graph, outputs=graph.outputs[:1]).pruned(), None, tuple(tried))


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


def _observe(graph: Graph, bench: Bench, variables: list[str]) -> Observations:
    values = bench.at_scored(graph, variables)
    categories = {v: values[v].astype(np.int64) for v in variables if graph[v].type.kind == "category"}
    counts = {v: values[v].astype(np.float64) for v in variables if graph[v].type.kind == "real"}
    sizes = {v: graph.axes[graph[v].type.of or ""].size or 0 for v in categories}
    return Observations(categories, sizes, counts, bench.answers)


def _answer_type(graph: Graph, bench: Bench) -> Type:
    last = graph[graph.outputs[0]].type.axes[-1]
    return Type("bool", (*SEQUENCE, last)) if isinstance(bench.readout, Sign) else Type("category", SEQUENCE, last)


def _place(graph: Graph, readout: Readout) -> Graph:
    """The graph that answers by the readout alone."""
    draft = Draft(graph, NAME)
    answer = readout.write(draft)
    return draft.whole(outputs=(answer,)).pruned()
