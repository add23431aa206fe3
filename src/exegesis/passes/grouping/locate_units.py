"""Finds where in the network the units of a compressed layer are: in themselves, and in what repeats them.

What: a program keeps some units of a layer and lets them stand in for the others. The network has the others still, and
they go on saying what they said: with four of sixteen channels exchanged, twelve speak for the old input. How each unit
that was dropped follows the kept ones is fitted by least squares to the network's own values (an *echo*), and a layer's
variable is then said to live in its units and their echo.

Why valid: nothing is computed differently. That answers follow the units with their echo, and stay when all that no
echo accounts for is another input's, is what the judge tests.

Refuses: echoes that do not make the network follow the program more often than the units alone do, on inputs that they
were not fitted to.

Guarantee: exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from exegesis.behavior import Answers
from exegesis.ir import Graph, Node
from exegesis.measure import Bench
from exegesis.measure.bench import Observed
from exegesis.passes.compressing.least_squares import Moments
from exegesis.passes.manager import Attempt, Guarantee, Outcome, Setting
from exegesis.runtime import Executor
from exegesis.runtime.answers import read_answers

ROWS = 512  # inputs that an echo is judged on
WIDEST = 4096  # units of a layer; a wider one would have an echo of gigabytes
HEAD = "head"


@dataclass(frozen=True)
class LocateUnits:
    """Finds where in the network the units of a compressed layer are: in themselves, and in what repeats them."""

    name: str = "locate_units"
    stage: str = "group"
    guarantee: Guarantee = Guarantee.EXACT

    def requires(self, graph: Graph) -> str | None:
        """A value of which only some entries stayed."""
        some = any(n.op == "component.keep" or _axis(n) for n in graph.nodes)
        return None if some else "no layer has lost units"

    def ensures(self, graph: Graph) -> str | None:
        """Nothing beyond the specification."""
        return None

    def run(self, graph: Graph, setting: Setting) -> Outcome:
        """The program with an echo at every site where that makes the network follow better."""
        network = setting.network
        if network is None:
            return Outcome(graph, (Attempt("all layers", "the network is not at hand", False),))
        nodes, tensors, attempts = [], dict(graph.tensors), []
        for node in graph.nodes:
            here = _kept_site(graph, network, node) if node.op == "component.keep" else node
            if here.id in network.by_id or here.sites != node.sites:
                here, echo, attempt = _located(graph, network, here, setting)
                attempts += [] if attempt is None else [attempt]
                if echo is not None:
                    tensors[f"{node.id}.echo"] = echo
            nodes.append(here)
        return Outcome(graph.with_nodes(nodes, tensors=tensors), tuple(attempts))


def _axis(node: Node) -> str | None:
    """The axis of which a node's only site names entries."""
    axes = {axis for site in node.sites for axis, _ in site.index}
    return axes.pop() if len(node.sites) == 1 and len(axes) == 1 and HEAD not in axes else None


def _kept_site(graph: Graph, network: Graph, node: Node) -> Node:
    """A node that keeps entries of a value, with these entries as its site."""
    source = node.inputs[0]
    numbers = _numbers(graph, network, source)
    if numbers is None or node.sites:
        return node
    mask = np.asarray(graph.tensors[node.tensors["mask"]])
    (site,) = network[source].sites
    kept = tuple((site.axes[-1], int(i)) for i in numbers[mask])
    return replace(node, sites=(replace(site, index=kept),))


def _numbers(graph: Graph, network: Graph, name: str) -> Int[np.ndarray, " e"] | None:
    """Which of the network's entries a vector of the program still has."""
    if name not in network.by_id or len(network[name].sites) != 1 or network[name].sites[0].index:
        return None
    before, now = (_size(g, g[name].type.axes[-1]) for g in (network, graph))
    if before == now:
        return np.arange(now)
    first = graph[graph[name].inputs[0]]
    axis = _axis(first)
    if graph[name].op != "component.flatten" or axis is None:
        return None
    units = np.array([number for _, number in first.sites[0].index])
    each = now // len(units)
    found: Int[np.ndarray, " e"] = (units[:, None] * each + np.arange(each)).ravel()
    return found


def _size(graph: Graph, axis: str) -> int:
    size = int(axis[1:]) if axis.startswith("=") else graph.axes[axis].size
    assert size is not None
    return size


def _located(
    graph: Graph, network: Graph, node: Node, setting: Setting
) -> tuple[Node, Float[np.ndarray, "k width"] | None, Attempt | None]:
    """A node with the echo of its units, where that is worth it."""
    axis = _axis(node)
    if axis is None:
        return node, None, None
    (site,) = node.sites
    source = node.id if node.id in network.by_id else node.inputs[0]
    at = site.axes.index(axis)
    units = np.array([number for _, number in site.index])
    width = _size(network, network[source].type.axes[at])
    if width > WIDEST or width == len(units) or len(network[source].type.axes) != len(site.axes):
        return node, None, None
    echo, share = _echo(setting.fit, network, source, at, np.sort(units))
    alone, both = _followed(setting.held, graph, network, (node.id, source), at, units, echo)
    figures = (("alone", alone), ("with echo", both), ("variance", share))
    said = f"the network follows in {alone:.1%} of swaps of {len(units)} units, in {both:.1%} with what repeats them"
    if both <= alone:
        return node, None, Attempt(node.id, said, False, figures)
    made = replace(node, sites=(replace(site, echo=f"{node.id}.echo"),))
    return made, echo, Attempt(node.id, said, True, figures)


def _echo(
    bench: Bench, network: Graph, name: str, at: int, units: Int[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, "k width"], float]:
    """How all units follow the kept ones, and which share of the others' variance that is."""
    total, products, count = np.zeros(0), np.zeros(0), 0
    for _, values in bench.each(network, [name]):
        rows = values[name].movedim(at, -1).flatten(0, -2).double().numpy()
        total, products, count = total + rows.sum(0) if count else rows.sum(0), products, count + len(rows)
        products = products + rows.T @ rows if products.size else rows.T @ rows
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    rest = np.setdiff1d(np.arange(len(mean)), units)
    moments = Moments(
        mean_x=mean[units],
        mean_z=mean[rest],
        xx=covariance[np.ix_(units, units)],
        xz=covariance[np.ix_(units, rest)],
        zz=np.diag(covariance)[rest],
        n=count,
    )
    weight = moments.fitted(np.zeros((len(units), len(rest))))
    echo = np.zeros((len(units), len(mean)), dtype=np.float32)
    echo[:, rest] = weight
    echo[:, units] = np.eye(len(units))
    return echo, 1 - moments.error(weight)


def _followed(
    bench: Bench,
    graph: Graph,
    network: Graph,
    names: tuple[str, str],
    at: int,
    units: Int[np.ndarray, " k"],
    echo: Float[np.ndarray, "k width"],
) -> tuple[float, float]:
    """How often program and network say the same after a swap of a layer, without and with what follows its units."""
    here, there = names
    runs = Executor(graph), Executor(network)
    seen, same = 0, np.zeros(2)
    follows, picked = torch.from_numpy(echo), torch.from_numpy(np.sort(units))
    for batch in bench.batches:
        if len(batch.answers) < 2 or seen >= ROWS:
            continue
        own, value = runs[0].run(batch.inputs, [here])[here], runs[1].run(batch.inputs, [there])[there]
        said = _said(runs[0], bench, batch, {here: own.roll(1, 0)})
        moved = (value.roll(1, 0) - value).index_select(at, picked).movedim(at, -1)
        for i, by in enumerate((torch.eye(len(echo[0]))[picked], follows)):
            swapped = value + (moved @ by.to(value)).movedim(-1, at)
            same[i] += bench.readout.equal(said, _said(runs[1], bench, batch, {there: swapped})).sum()
        seen += len(batch.answers)
    alone, both = same / max(seen, 1)
    return float(alone), float(both)


def _said(run: Executor, bench: Bench, seen: Observed, given: dict[str, Tensor]) -> Answers:
    """What a graph answers when a value is given."""
    out = run.graph.outputs[0]
    found = run.run(seen.inputs, [out], given=given)[out]
    return read_answers(run, found.numpy(), seen.batch, bench.readout)
