"""Replaces a network that computes in a group by the waves, or motions, that it computes with.

What: a network that answers pairs of tokens as a cyclic or dihedral group multiplies its elements becomes a short
program: the waves (motions) of the tokens at the network's own frequencies, how they meet, and votes for each answer.
Why valid: the program says what the network says on every pair of its domain; each variable was found inside the
network, where exchanging it does what the program says; and how the waves meet (multiplied, or added and doubled) was
told apart by exchanging the wave of one token at one frequency.
Refuses when: the answers are not the table of such a group; the tokens' vectors stand at no frequencies more than at
those of permuted tokens; the variables are found nowhere, or not better than in random subspaces; the program differs.
Guarantee: statistical (all pairs of the domain are compared).

Example: addition modulo 113 over frequencies 6 and 23 becomes
`largest(votes(add_angles(first, second), {23: 3, 6: 1}, 113))`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from exegesis.ir import Graph
from exegesis.measure.addition import distance_irrelevance, gradient_symmetricity
from exegesis.measure.exchanges import Program
from exegesis.measure.groups import Group, find_group
from exegesis.measure.harmonics import Key, blocks, concentration, shares
from exegesis.measure.pairs import Pairs
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.arithmetic.cyclic import write_addition
from exegesis.passes.raising.arithmetic.names import ORDINALS
from exegesis.passes.raising.arithmetic.noncommuting import write_composition
from exegesis.passes.raising.arithmetic.places import Gathered, Placed, Search, with_places
from exegesis.passes.raising.arithmetic.program import Written

NAME = "raise_arithmetic"


@dataclass(frozen=True)
class RaiseArithmetic:
    """When a network counts as explained.

    Attributes:
        carried: a frequency counts that carries this share of the answer's waves (the sum of their lengths).
        table: share of the domain on which the answers are those of the group, and later those of the program.
        explained: share of the variance of the logits that the program's votes must explain.
        exchanged: accuracy that the interchange of a variable must have for it to count as found.
    """

    carried: float = 0.03
    table: float = 0.999
    explained: float = 0.5
    exchanged: float = 0.9

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """One input of tokens."""
        return None if [n.op for n in graph.inputs] == ["input.tokens"] else "the network reads more than tokens"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The program, or the graph as it is with the reason."""
        scored = {int(t) for b in setting.fit.batches for t in np.flatnonzero(b.scored.numpy().any(0))}
        if len(scored) != 1:
            return _refused(graph, "more than one position counts")
        pairs = Pairs.of(graph, setting.domain, setting.readout, scored.pop())
        if isinstance(pairs, str):
            return _refused(graph, pairs)
        return _Reader(graph, pairs, setting.seed, self).outcome()


def _refused(graph: Graph, why: str, figures: dict[str, float] | None = None) -> Outcome:
    return Outcome(graph, (Attempt("the table of answers", why, False, tuple((figures or {}).items())),))


def _mixing(placed: Placed, alone: float) -> str:
    """What the exchange says of where two tokens first meet."""
    where = " and ".join(part.node.id for part in placed.parts)
    return (
        f"A part of it stands at {where} already: exchanging the waves alone there does what the program says in "
        f"{alone:.0%} of cases, with their angles in {placed.found.accuracy:.0%}."
    )


class _Reader:
    """One network on its way to a program; every step may end in a refusal."""

    def __init__(self, graph: Graph, pairs: Pairs, seed: int, settings: RaiseArithmetic) -> None:
        self.graph = graph
        self.pairs = pairs
        self.seed = seed
        self.settings = settings
        self.figures: dict[str, float] = {}
        self.mixing = ""

    def outcome(self) -> Outcome:
        """The program with its places, or the graph as it is."""
        group = find_group(self.pairs.table, seed=self.seed)
        if group is None:
            return self._refused("the answers are the table of no group")
        if reason := self._no_group(group) or self._no_waves(group):
            return self._refused(reason)
        draft = Draft(self.graph, NAME)
        write = write_addition if group.kind == "cyclic" else write_composition
        written = write(self.pairs, group, self._frequencies(group), draft, self.seed)
        if written is None:
            return self._refused("no frequency of the logits is explained by what the tokens' motions make together")
        self.figures |= dict(written.figures) | self._adding_or_multiplying(group)
        program = draft.into({self.graph.outputs[0]: written.answer})
        runner = Program(program, self.pairs)
        if reason := self._differs(runner, written):
            return self._refused(reason)
        placed = self._places(runner, written)
        if isinstance(placed, str):
            return self._refused(placed)
        why = f"a {group.kind} group of order {group.order}: {len(placed)} places, all pairs agree"
        attempt = Attempt("the table of answers", why, True, tuple(self.figures.items()))
        graph = with_places(program, placed)
        first = written.inner[1][0]
        nodes = [replace(n, doc=f"{n.doc} {self.mixing}".strip()) if n.id == first else n for n in graph.nodes]
        return Outcome(replace(graph, nodes=tuple(nodes)), (attempt,))

    def _refused(self, why: str) -> Outcome:
        return _refused(self.graph, why, self.figures)

    def _no_group(self, group: Group) -> str | None:
        self.figures |= {"table": group.agreement, "associative": group.associative}
        if group.kind == "other":
            return f"the answers are the table of a group of order {group.order} that is neither cyclic nor dihedral"
        if group.agreement < self.settings.table:
            return f"only {group.agreement:.4f} of the answers are those of a {group.kind} group of order {group.order}"
        return None

    def _no_waves(self, group: Group) -> str | None:
        if self.pairs.carriers is None:
            return "the vectors of the tokens were not found"
        bases = blocks(group.kind, group.period)
        for which, names in enumerate((group.rows, group.columns)):
            found = concentration(self.pairs.vectors(which), names, bases, self.seed)
            self.figures[f"concentration {which}"] = found.value
            self.figures[f"concentration {which}, tokens permuted"] = found.null
            if not found.holds:
                return (
                    "the vectors of the tokens stand at no frequencies of the group more than those of permuted tokens"
                )
        return None

    def _frequencies(self, group: Group) -> list[Key]:
        """Those that carry enough of the answer's waves."""
        found = shares(self.pairs.logits.T, group.answers, blocks(group.kind, group.period))
        lengths = {f: float(np.sqrt(v)) for f, v in found.items()}
        return [f for f, v in lengths.items() if v >= self.settings.carried * sum(lengths.values())]

    def _adding_or_multiplying(self, group: Group) -> dict[str, float]:
        figures = {"gradient symmetricity": gradient_symmetricity(self.pairs, self.seed)}
        if group.kind == "cyclic":
            steps = (group.rows[:, None] - group.columns[None]) % group.period
            n = self.pairs.n
            logits = self.pairs.logits.reshape(n, n, n)
            figures["distance irrelevance"] = distance_irrelevance(logits, self.pairs.table, steps)
        return figures

    def _differs(self, program: Program, written: Written) -> str | None:
        """Why the program is not the network's, judged by its votes and its answers to all pairs."""
        every = np.arange(len(self.pairs.ids))
        network = np.array(self.pairs.outputs)[self.pairs.logits.argmax(1)]
        self.figures["pairs that agree"] = agree = float((program.answers(every) == network).mean())
        if agree < self.settings.table:
            return f"the program gives the network's answer to {agree:.4f} of the pairs only"
        explained = written.figures["logit variance explained"]
        if explained < self.settings.explained:
            return f"its votes explain {explained:.2f} of the variance of the logits only"
        return None

    def _places(self, program: Program, written: Written) -> list[Placed] | str:
        """Where its variables live, or which of them were not found."""
        search = Search(program, self.settings.exchanged, self.seed)
        waves, angles = written.inner
        made = search.find(angles)
        if made is None:
            return f"{' and '.join(angles)} were found nowhere in the network"
        gathered = search.gathered(waves, made) if waves else Gathered(None, None)
        if gathered.placed is not None and gathered.alone is not None:
            self.mixing = _mixing(gathered.placed, gathered.alone)
        placed = [*([gathered.placed] if gathered.placed is not None else []), made]
        for which, span in enumerate(written.spans):
            variables = tuple(nodes[min(which, len(nodes) - 1)] for nodes in written.tokens)
            found = search.at_carrier(variables, which, span)
            if not search.accepts(found):
                return f"{' and '.join(variables)} are not all that the network reads off the {ORDINALS[which]} token"
            placed.append(found)
        for k, found in enumerate(placed):
            self.figures |= {f"{name} ({k})": value for name, value in found.figures.items()}
        return placed
