"""Finds where the conditions of a program live, where what heads gather does not change hands as the program says.

What: a head often gathers the same thing by several ways, or nothing of use where the answer does not hang on it, or
a little of the token that asks, which is taken back behind it. Then exchanging what it gathered does not do what the
program says, but what is made of it has a subspace of the residual stream for itself. Numbers made of what was gathered
are looked for first, then the conditions nearest to it, then those that decide.
Why valid: what the program computes stays as it is. Subspaces are judged on inputs that they were not fitted to, by
exchanges that change the program's answer and by some that change nothing.
Refuses when: the network follows the program already, some of what was gathered reaches the answer by no condition,
positions see what comes after them, nothing is computed behind the heads, or no subspace does better than these.
Guarantee: exact.
Example: a head that looks one token back only where the token itself is 0 does not hold the token before; whether both
are 0 is held behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from exegesis.behavior import Argmax, Sign
from exegesis.ir import Graph, Level, Node
from exegesis.measure.rotations import Found, Rows, Search, Swapper
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.exchanges import Exchanges
from exegesis.passes.raising.heads import attention_blocks
from exegesis.passes.raising.subspaces import filled_up, places, sites_of

NAME = "locate_conditions"
_SEARCH = Search(steps=50, batch=128, judged=500, enough=0.995)


@dataclass(frozen=True)
class LocateConditions:
    """When a place is worth noting.

    Attributes:
        enough: nothing is sought where the network follows the program this often after exchanges in heads.
        least: how often it must do so after exchanges in subspaces, and keep to its answer where nothing changes;
        better: how much more often than in heads;
        above: and how much more often than in random subspaces.
        sure: an accuracy beyond which nothing else is tried.
        worse: where the last place is this much worse than enough, no other is looked at.
        dimensions: of subspaces that are tried, smallest first.
        most: no more conditions than this are looked for together.
        rows: how many inputs swaps are drawn from.
        tokens: about how many tokens exchanges in heads are tried on.
    """

    enough: float = 0.985
    least: float = 0.95
    better: float = 0.02
    above: float = 0.15
    sure: float = 0.995
    worse: float = 0.1
    dimensions: tuple[int, ...] = (1, 2, 4)
    most: int = 3
    rows: int = 200
    tokens: int = 8192

    name = NAME
    stage = "raise"
    guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """Answers, and a variable in a head."""
        if graph[graph.outputs[0]].type.kind == "real":
            return "the program gives no answers yet"
        return None if _gathered(graph) else "no variable has an alignment"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the language."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph whose conditions live in subspaces, or as it is."""
        network = setting.held.graph
        if not isinstance(setting.readout, Argmax | Sign) or not all(b.causal for b in attention_blocks(network)):
            return Outcome(graph)
        names = [n.id for n in graph.nodes]
        swaps = Exchanges(setting.held.sample(self.tokens), graph, names, seed=setting.seed + 2)
        followed = swaps.agreement(graph)
        if not swaps or followed >= self.enough:
            return Outcome(graph)
        fit, held = (filled_up(bench, self.rows) for bench in (setting.fit, setting.held))
        if fit is None or held is None or not places(network):
            return Outcome(graph)
        attempts: list[Attempt] = []
        best: tuple[tuple[str, ...], Found] | None = None
        for variables in _cuts(graph, self.most):
            found = self._located(graph, network, variables, (fit, held), setting.seed)
            good = found.worst >= max(self.least, followed + self.better)
            good = good and found.accuracy >= found.null + self.above
            figures = (("interchange", found.accuracy), ("kept", found.kept), ("in heads", followed))
            attempts.append(Attempt(", ".join(variables), f"lives at {found.node}", good, figures))
            if good and (best is None or found.worst > best[1].worst):
                best = variables, found
            if best is not None and best[1].worst >= self.sure:
                break
        if best is None:
            return Outcome(graph, tuple(attempts))
        return Outcome(_moved(graph, network, *best), tuple(attempts))

    def _located(
        self, graph: Graph, network: Graph, variables: tuple[str, ...], rows: tuple[Rows, Rows], seed: int
    ) -> Found:
        """The best place, the earliest of several; there in as few dimensions as do it."""
        answer, many = graph.outputs[0], len(variables)
        fit, held = (Swapper(network, answer, variables, r, seed + k, program=graph) for k, r in enumerate(rows))
        best: Found | None = None
        stops = places(network)
        sizes = [k for k in self.dimensions if k * many <= fit.values(stops[0]).shape[-1]] or [1]
        for node in reversed(stops):
            found = _SEARCH.find(fit, held, node, [sizes[-1]] * many, seed)
            if best is not None and found.worst < best.worst:
                break
            best = found
            if best.worst < self.enough - self.worse:
                return best
        assert best is not None
        for size in sizes[:-1]:
            found = _SEARCH.find(fit, held, best.node, [size] * many, seed)
            if found.worst >= min(self.sure, best.worst):
                return found
        return best


def _gathered(graph: Graph) -> list[str]:
    """What lives somewhere, and decides the answer."""
    used = graph.upstream(graph.outputs[:1])
    return [n.id for n in graph.nodes if n.id in used and n.level is Level.SYMBOLIC and n.sites]


def _cuts(graph: Graph, most: int) -> Iterator[tuple[str, ...]]:
    """Sets of variables by which alone what was gathered reaches the answer: numbers made of it, the conditions nearest
    to it, the last ones."""
    gathered, out = _gathered(graph), graph.outputs[0]
    after, used = graph.downstream(gathered) - set(gathered), graph.upstream([out])
    scalars = [n for n in graph.nodes if n.id in after & used and n.id != out and len(n.type.axes) == 2]
    conditions = [n.id for n in scalars if n.type.kind == "bool"]
    numbers = [n.id for n in scalars if n.op == "symbolic.form"]
    last = [c for c in conditions if c in graph[out].inputs]
    tried: list[list[str]] = []
    for cut in (_nearest(graph, [*numbers, *conditions]), _nearest(graph, conditions), last):
        if cut and len(cut) <= most and cut not in tried and not _passed_by(graph, gathered, cut):
            tried.append(cut)
            yield tuple(cut)


def _nearest(graph: Graph, variables: list[str]) -> list[str]:
    """Those that no other comes before, in order of computation."""
    return [n.id for n in graph.nodes if n.id in variables and len(graph.upstream([n.id]).intersection(variables)) == 1]


def _passed_by(graph: Graph, gathered: list[str], cut: list[str]) -> bool:
    """Whether something gathered reaches the answer, or one of the cut another, not through the cut."""
    reached = set(gathered)
    for node in graph.nodes:
        if node.id not in cut and reached.intersection(node.inputs):
            reached.add(node.id)
    return graph.outputs[0] in reached or bool(reached.intersection(cut))


def _moved(graph: Graph, network: Graph, variables: tuple[str, ...], found: Found) -> Graph:
    """The graph whose conditions live there, and what they are made of nowhere in particular."""
    sites, tensors = sites_of(network, variables, found)
    before = set(_gathered(graph))
    nodes = [replace(n, sites=sites.get(n.id, () if n.id in before else n.sites)) for n in graph.nodes]
    called = {n.id: _called(n, graph) for n in nodes if n.id in variables}
    ids = {old: node.id for old, node in called.items()}
    nodes = [called.get(n.id, n) for n in nodes]
    return graph.with_nodes([replace(n, inputs=tuple(ids.get(i, i) for i in n.inputs)) for n in nodes], tensors=tensors)


def _called(node: Node, graph: Graph) -> Node:
    """A condition that decides is called after what it decides."""
    answer = graph[graph.outputs[0]]
    outputs = graph.axes[answer.type.of or answer.type.axes[-1]].labels
    if node.name or answer.op not in ("symbolic.allow", "symbolic.choose") or not outputs:
        return node
    conditions = answer.inputs[1:] if answer.op == "symbolic.allow" else answer.inputs
    decided = [outputs[g] for g, c in zip(answer.attrs["gives"], conditions, strict=True) if c == node.id]
    if not decided:
        return node
    if answer.op == "symbolic.allow":
        name, doc = f"allows_{'_and_'.join(decided)}", f"Whether {' and '.join(decided)} may follow."
    else:
        unless = "" if node.id == conditions[0] else ", unless something before decides"
        name, doc = f"answers_{decided[0]}", f"Whether the answer is {decided[0]}{unless}."
    name = re.sub(r"\W+", "_", name).strip("_")
    return replace(node, id=node.id if name in graph.by_id else name, name=name, doc=doc)
