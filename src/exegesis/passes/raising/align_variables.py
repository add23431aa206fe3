"""Finds the other places where a variable lives: heads that do the same once more.

What: a variable found in one head is noted to live in a further head as well, where exchanging both together makes the
network follow the program more often than exchanging the first alone.
Why valid: what the program computes stays as it is; a copy that is left behind answers for the one that is exchanged,
and one that is exchanged with it does not. Places are tried on inputs that nothing was fitted to.
Refuses when: the network follows the program already, or no further head makes it do so clearly more often.
Guarantee: exact.
Example: a network that counts in two layers goes by the second when the first is exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exegesis.ir import Graph, Level, Site
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.passes.raising.exchanges import Exchanges, Group
from exegesis.passes.raising.heads import attention_blocks

NAME = "align_variables"


@dataclass(frozen=True)
class AlignVariables:
    """When a place is worth noting.

    Attributes:
        enough: nothing is sought where the network follows the program this often.
        better: how much more often it must do so for a place to be noted.
        tokens: about how many tokens exchanges are tried on.
        most: no network with more heads is searched.
    """

    enough: float = 0.99
    better: float = 0.01
    tokens: int = 4096
    most: int = 32

    name = NAME
    stage = "raise"
    guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """Answers, and a variable in a head."""
        if graph[graph.outputs[0]].type.kind == "real":
            return "the program gives no answers yet"
        held = any(n.sites and n.level is Level.SYMBOLIC for n in graph.nodes)
        return None if held else "no variable has an alignment"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the language."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The graph whose variables live in further heads too."""
        heads = head_sites(setting.held.graph)
        followed = self._followed(graph, setting)
        attempts: list[Attempt] = []
        while len(heads) <= self.most and followed < self.enough:
            options = [
                (self._followed(changed, setting), k, changed, group, site)
                for k, (changed, group, site) in enumerate(_extensions(graph, heads, setting))
            ]
            if not options:
                break
            best, _, changed, group, site = max(options, key=lambda o: (o[0], -o[1]))
            where, worth = f"{group.variables[0]} in {site.label}", best >= followed + self.better
            attempts.append(
                Attempt(where, "lives there too" if worth else "gains nothing", worth, (("exchanged", best),))
            )
            if not worth:
                break
            graph, followed = changed, best
        return Outcome(graph, tuple(attempts))

    def _followed(self, graph: Graph, setting: Setting) -> float:
        """How often the network follows the program when variables are exchanged."""
        names = [n.id for n in graph.nodes]
        return Exchanges(setting.held.sample(self.tokens), graph, names, seed=setting.seed + 2).agreement(graph)


def head_sites(network: Graph) -> list[Site]:
    """Where each head of a network has what it gathers."""
    return [
        replace(s, index=(*s.index, ("head", h)), label=f"{block.layer}H{h}")
        for block in attention_blocks(network)
        for h in range(block.heads)
        for s in network[block.mix].sites[:1]
    ]


def _extensions(graph: Graph, heads: list[Site], setting: Setting) -> list[tuple[Graph, Group, Site]]:
    """The graph with one group of variables living in one further head, which nothing lives in yet."""
    names = [n.id for n in graph.nodes]
    groups = Exchanges(setting.held.sample(1), graph, names, seed=setting.seed).groups
    taken = {(s.value, s.index) for n in graph.nodes for s in n.sites}
    return [
        (_living(graph, group, site), group, site)
        for group in groups
        for site in heads
        if (site.value, site.index) not in taken
    ]


def _living(graph: Graph, group: Group, site: Site) -> Graph:
    """The graph with a group's variables at one more site."""
    moved = [replace(n, sites=(*n.sites, site)) if n.id in group.variables else n for n in graph.nodes]
    return graph.with_nodes(moved)
