"""Replaces a network by a program for the whole of it whose variables were found inside.

What: hypotheses (balance of brackets, …) propose programs with named variables. One that gives the network's
answers is searched for in the residual stream: subspaces, one per variable, in which a swap does what the program says.
Why valid: the program says what the network says on the bench and on held-out rows, and its variables can be swapped
inside the network, on rows that the subspaces were not fitted to, far better than in random subspaces.
Refuses when: no hypothesis gives nearly all answers, or its variables are found nowhere.
Guarantee: statistical (agreement on the bench).

Example: a transformer that judges parentheses holds two truth values where it answers: whether one was closed before
it was opened, and whether one was left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from exegesis.behavior import Argmax
from exegesis.ir import Graph, price
from exegesis.measure import Bench
from exegesis.measure.rotations import Found, Rows, Search, Swapper
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.heads import attention_blocks
from exegesis.passes.raising.properties import HYPOTHESES, Evidence, Proposal
from exegesis.passes.raising.subspaces import places, sites_of

NAME = "raise_properties"
_QUICK = Search(steps=40, batch=96, judged=400)


@dataclass(frozen=True)
class RaiseProperties:
    """When a hypothesis counts as found.

    Attributes:
        keep: share of answers that its program must give.
        found: accuracy that the interchange of its variables must have, on other rows;
        above: and how far that must be above random subspaces.
        sure: an accuracy beyond which no better place is looked for, and no coarse proposal is tried.
        finer: a coarse proposal must be better by more than this.
        worse: places before one that is this much worse than the best are not looked at.
        dimensions: of subspaces that are tried, smallest first.
        rows: how many inputs swaps are drawn from.
    """

    keep: float = 0.985
    found: float = 0.9
    above: float = 0.15
    sure: float = 0.98
    finer: float = 0.03
    worse: float = 0.1
    dimensions: tuple[int, ...] = (2, 4, 8, 16)
    rows: int = 1500

    name = NAME
    stage = "raise"
    guarantee = Guarantee.STATISTICAL

    def requires(self, graph: Graph) -> str | None:
        """One input of tokens, attention, and no answer yet."""
        if [n.op for n in graph.inputs] != ["input.tokens"]:
            return "the network reads more than tokens"
        if graph[graph.outputs[0]].type.kind != "real":
            return "the program gives answers already"
        return None if any(attention_blocks(graph)) else "no attention block was recognised"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The program of the hypothesis whose variables are found best, or the graph as it is."""
        if not isinstance(setting.readout, Argmax):
            return Outcome(graph, (Attempt("answers", "are no categories", False),))
        causal = all(b.causal for b in attention_blocks(graph))
        fit, held = (
            Evidence(replace(graph, outputs=graph.outputs[:1]), bench, setting.readout, NAME, causal, setting.domain)
            for bench in (setting.fit, setting.held)
        )
        attempts: list[Attempt] = []
        best: tuple[Proposal, Found] | None = None
        for proposal in self._fitting(fit, attempts):
            if proposal.coarse and best is not None and best[1].worst >= self.sure:
                continue
            found = self._located(proposal, fit, held, setting)
            good = found.worst >= self.found and found.accuracy >= found.null + self.above
            figures = (("interchange", found.accuracy), ("random subspaces", found.null), ("kept", found.kept))
            attempts.append(Attempt(proposal.what, f"variables at {found.node}", good, figures))
            wins = best is None or found.worst > best[1].worst + (self.finer if proposal.coarse else 0.0)
            if good and wins:
                best = proposal, found
        if best is None:
            return Outcome(graph, tuple(attempts) or (Attempt("answers", "no hypothesis fits them", False),))
        return Outcome(_placed(*best), tuple(attempts))

    def _fitting(self, seen: Evidence, attempts: list[Attempt]) -> list[Proposal]:
        """Proposals that give the network's answers, those with the shortest programs first, coarse ones last."""
        good: list[tuple[bool, float, int, Proposal]] = []
        for hypothesis in HYPOTHESES:
            for proposal in hypothesis(seen):
                kept = seen.bench.agreement(proposal.program)
                if kept >= self.keep:
                    good.append((proposal.coarse, price(proposal.program).symbolic_bits, len(good), proposal))
                else:
                    attempts.append(Attempt(proposal.what, "says something else", False, (("agreement", kept),)))
        return [g[-1] for g in sorted(good, key=lambda g: g[:3])]

    def _located(self, proposal: Proposal, fit: Evidence, held: Evidence, setting: Setting) -> Found:
        """The best place for the variables of a proposal, all in one node of the residual stream."""
        seed = setting.seed
        swappers = [
            Swapper(
                proposal.graph,
                proposal.answer,
                proposal.variables,
                rows,
                seed + k,
            )
            for k, rows in enumerate(self._rows_of(proposal, fit, held, setting))
        ]
        many, best = len(proposal.variables), -1.0
        kinds = max(len(torch.unique(swappers[0].held(v))) for v in proposal.variables)
        ranked: list[tuple[float, str, list[int]]] = []
        for node in reversed(places(proposal.graph)):  # the later, the sooner done
            width = swappers[0].values(node).shape[-1]
            sizes = [k for k in self.dimensions if 2 * k * many <= width] or [1]
            sizes = [k for k in sizes if 2 * k > min(kinds, sizes[-1])]  # fewer could not tell the values apart
            quick = _QUICK.find(swappers[0], swappers[1], node, [sizes[min(1, len(sizes) - 1)]] * many, seed).worst
            ranked.append((quick, node, sizes))
            if best >= self.found and quick < best - self.worse:
                break
            best = max(best, quick)
        _, node, sizes = max(ranked, key=lambda r: r[0])
        return self._grown(swappers, node, sizes, many, seed)

    def _rows_of(self, proposal: Proposal, fit: Evidence, held: Evidence, setting: Setting) -> tuple[Rows, Rows]:
        """Rows to fit subspaces to, and others to judge them by: four fifths and a fifth of all there are."""
        rows = setting.rows
        if rows is None:
            return fit.stirred(proposal.material, self.rows, setting.seed), held.longest
        order = np.random.default_rng(setting.seed).permutation(len(rows))[: self.rows]
        cut = len(order) * 4 // 5
        first, second = (
            replace(fit, bench=Bench(fit.graph, fit.readout, rows.select(np.sort(part))))
            for part in (order[:cut], order[cut:])
        )
        return first.stirred(proposal.material, cut, setting.seed), second.longest

    def _grown(self, swappers: Sequence[Swapper], node: str, sizes: Sequence[int], many: int, seed: int) -> Found:
        """The subspaces of a node, in as few dimensions as do it."""
        best: Found | None = None
        for size in sizes:
            found = Search().find(swappers[0], swappers[1], node, [size] * many, seed)
            if best is not None and found.worst < best.worst + 0.005:
                break
            best = found
            if best.worst >= self.sure:
                break
        assert best is not None
        return best


def _placed(proposal: Proposal, found: Found) -> Graph:
    """The program, with what was found as the sites of its variables."""
    sites, tensors = sites_of(proposal.graph, proposal.variables, found)
    nodes = [replace(n, sites=sites.get(n.id, n.sites)) for n in proposal.graph.nodes]
    return proposal.graph.with_nodes(nodes, outputs=(proposal.answer,), tensors=tensors).pruned()
