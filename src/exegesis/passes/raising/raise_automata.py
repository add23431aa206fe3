"""Replaces recurrent layers by the finite automaton that they run.

What: hidden states on the behaviour are clustered; clusters are states, the steps between them transitions; states that
nothing tells apart are merged (`automata`). The program is a table of transitions and an answer for every state.
Why valid: it says what the network says on inputs that nothing was fitted to, and strings that lead to one state can
trade places in the network: it goes on as if nothing had happened. The state lives in the hidden state of the last
layer.
Refuses when: the network looks at more than its recurrent state, reads from both sides, or answers with numbers; no
number of clusters gives its answers; exchanged strings are told apart; or the table is no shorter than what it would
explain.
Guarantee: statistical (agreement on the bench, exchanges on the network itself).

Example: a GRU that says whether a string has an odd number of ones has two states, which a one turns into each other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exegesis.behavior import Answers, Sign, Value
from exegesis.ir import Axis, Graph, Type, price
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.automata import Automaton, Exchange, Walks, by_clusters, exchanged, merge_states

NAME = "raise_automata"
STATE = "mode"
"""The axis of an automaton's states."""
_POSITIONWISE = frozenset({
    "component.embed", "component.linear", "component.activation", "component.add", "component.scale",
    "component.norm", "component.gate", "component.join", "component.constant", "component.recurrent",
})  # fmt: skip


@dataclass(frozen=True)
class RaiseAutomata:
    """When an automaton counts as found.

    Attributes:
        keep: share of answers that it must give, of rows it was made from and of others.
        equal: share of exchanged strings that must go on as before, for two states to be one and of the whole.
        above: how far that must be above strings of other states.
        clusters: how many are tried, fewest first.
        most_states: an automaton with more explains nothing.
        points: how many hidden states are clustered.
        share: what it may cost at most, of the bits of the network.
    """

    keep: float = 0.995
    equal: float = 0.98
    above: float = 0.1
    clusters: tuple[int, ...] = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
    most_states: int = 32
    points: int = 3000
    share: float = 0.5

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """Recurrent layers over tokens, read from the beginning, and nothing else that looks at other positions."""
        layers = [n for n in graph.nodes if n.op == "component.recurrent"]
        if not layers:
            return "the network has no recurrent layer"
        if [n.op for n in graph.inputs] != ["input.tokens"]:
            return "the network reads more than tokens"
        if any(n.attrs.get("reverse") for n in layers):
            return "a layer reads from the end"
        needed = graph.upstream(graph.outputs[:1])
        other = next((n for n in graph.nodes if n.id in needed and n.op not in {*_POSITIONWISE, "input.tokens"}), None)
        return None if other is None else f"{other.id!r} ({other.op}) may look at more than the recurrent state"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The automaton's program, or the graph as it is."""
        if isinstance(setting.readout, Value):
            return Outcome(graph, (Attempt("answers", "are numbers, of which there is no end", False),))
        layers = [n.id for n in graph.nodes if n.op == "component.recurrent"]
        fit, held = (Walks.of(graph, layers, bench) for bench in (setting.fit, setting.held))
        attempts: list[Attempt] = []
        for size in self.clusters:
            first = by_clusters(fit, size, self.points, setting.seed).begun()
            kept = first.agreement(fit)
            if kept < self.keep:
                attempts.append(Attempt(f"{size} clusters", "say something else", False, (("agreement", kept),)))
                continue
            asked = Exchange(graph, setting.readout, fit)
            machine, ways = merge_states(first, asked, self.equal, setting.seed).reached()
            attempt = self._judged(graph, machine, asked, held, setting)
            if not attempt.applied:
                attempts.append(attempt)
                continue
            raised = _program(graph, machine, ways, fit.answers, isinstance(setting.readout, Sign))
            if price(raised).symbolic_bits > self.share * price(graph).opaque_bits:
                return Outcome(graph, (*attempts, Attempt(attempt.where, "is no shorter than the network", False)))
            return Outcome(raised, (*attempts, attempt))
        return Outcome(graph, tuple(attempts))

    def _judged(self, graph: Graph, machine: Automaton, asked: Exchange, held: Walks, setting: Setting) -> Attempt:
        """Whether an automaton counts as found."""
        where = f"automaton of {len(machine.table)} states"
        if len(machine.table) > self.most_states:
            return Attempt(where, "has too many states to be read", False)
        kept = _said_alike(machine, asked.walks, held, setting)
        same, other = exchanged(machine, asked, setting.seed)
        figures = (("agreement", kept), ("exchanged", same), ("other states", other))
        if kept < self.keep:
            return Attempt(where, "says something else on other rows", False, figures)
        if same < self.equal or (len(machine.table) > 1 and same < other + self.above):
            return Attempt(where, "the network tells strings of one state apart", False, figures)
        return Attempt(where, "strings of one state can trade places in the network", True, figures)


def _said_alike(machine: Automaton, fit: Walks, held: Walks, setting: Setting) -> float:
    """The share of answers on other rows, whose answers are numbered otherwise."""
    states, scored = machine.states(held.tokens), held.said >= 0
    says = np.where(states >= 0, machine.says[np.maximum(states, 0)], -1)[scored]
    known = says >= 0
    equal = setting.readout.equal(fit.answers[np.maximum(says, 0)], held.answers[held.said[scored]])
    return float((equal & known).mean())


def _program(graph: Graph, machine: Automaton, ways: Sequence[tuple[int, ...]], answers: Answers, sets: bool) -> Graph:
    """The automaton, and what is answered in each of its states."""
    draft = Draft(graph, NAME)
    tokens, logits = graph.inputs[0], graph[graph.outputs[0]]
    last = next(n for n in reversed(graph.nodes) if n.op == "component.recurrent")
    labels = tuple(_called(way, _labels(graph, tokens.type.of)) for way in ways)
    draft.axes[STATE] = Axis(STATE, len(labels), labels)
    rows = [
        [state, token, int(after)]
        for state, row in enumerate(machine.table)
        for token, after in enumerate(row)
        if after not in (-1, state)
    ]
    held = Type("category", tokens.type.axes, STATE)
    attrs = {"start": 0, "transitions": rows}
    states = draft.add("symbolic.automaton", [tokens.id], held, attrs, hint="states", sites=last.sites)
    if sets:
        answer = _allowed(draft, states, machine, answers, logits.type)
    else:
        said = [[s, int(answers[a])] for s, a in enumerate(machine.says) if a >= 0]
        values, counts = np.unique([out for _, out in said], return_counts=True)
        other = int(values[counts.argmax()])
        kept = [row for row in said if row[1] != other]
        kind = Type("category", tokens.type.axes, logits.type.axes[-1])
        answer = draft.add("symbolic.lookup", [states], kind, {"rows": kept, "other": other}, hint="answer")
    return draft.whole(outputs=(answer,)).pruned()


def _allowed(draft: Draft, states: str, machine: Automaton, answers: Answers, logits: Type) -> str:
    """The set of outputs that each state allows."""
    asked = np.flatnonzero(machine.says >= 0)
    allowed = np.asarray(answers)[machine.says[asked]]
    gives, conditions, always = list[int](), list[str](), list[int]()
    for output in range(allowed.shape[1]):
        where = asked[allowed[:, output]].tolist()
        if len(where) == len(asked):
            always.append(output)
        elif where:
            gives.append(output)
            kind = Type("bool", logits.axes[:-1])
            conditions.append(draft.add("symbolic.is_in", [states], kind, {"values": where}, hint=f"allows_{output}"))
    attrs = {"gives": gives, "always": always}
    return draft.add("symbolic.allow", [states, *conditions], Type("bool", logits.axes), attrs, hint="allowed")


def _labels(graph: Graph, axis: str | None) -> tuple[str, ...] | None:
    return graph.axes[axis].labels if axis is not None else None


def _called(way: tuple[int, ...], labels: tuple[str, ...] | None) -> str:
    """A state by the shortest string that leads there."""
    words = [_spelled(labels[t]) if labels is not None and t < len(labels) else str(t) for t in way]
    return f"after {' '.join(_grouped(words))}" if words else "start"


def _spelled(label: str) -> str:
    """A label in letters and digits: signs by their names."""
    if any(c.isalnum() for c in label):
        return label
    return " ".join(unicodedata.name(c, "sign").lower() for c in label)


def _grouped(words: Sequence[str]) -> Iterator[str]:
    """Words that come several times in a row are counted."""
    at = 0
    while at < len(words):
        many = next((k for k in range(at, len(words)) if words[k] != words[at]), len(words)) - at
        yield words[at] if many == 1 else f"{many} times {words[at]}"
        at += many
