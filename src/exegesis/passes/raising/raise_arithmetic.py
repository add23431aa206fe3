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
from exegesis.measure.harmonics import blocks, concentration, shares
from exegesis.measure.pairs import Pairs
from exegesis.measure.responses import plane, respond
from exegesis.passes.draft import Draft
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.arithmetic.cyclic import draft_addition, inner_variables, read_addition
from exegesis.passes.raising.arithmetic.names import Words
from exegesis.passes.raising.arithmetic.places import Placed, at_carriers, find_place, with_places

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
    explained: float = 0.7
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
        scored = {int(t) for b in setting.fit.batches for t in np.flatnonzero(b.batch.scored.any(0))}
        if len(scored) != 1:
            return _refused(graph, "more than one position counts")
        pairs = Pairs.of(graph, setting.domain, setting.readout, scored.pop())
        if isinstance(pairs, str):
            return _refused(graph, pairs)
        return _Reader(graph, pairs, setting.seed, self).outcome()


def _refused(graph: Graph, why: str, figures: dict[str, float] | None = None) -> Outcome:
    return Outcome(graph, (Attempt("the table of answers", why, False, tuple((figures or {}).items())),))
