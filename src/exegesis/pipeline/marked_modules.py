"""The module of a network's graph that carries a mark: a trigger, a patch, anything that inputs show or do not show.

Units of the dense layers at the end of a network, and single places of what the first of them reads, are clustered by
how much passes along their edges on the way to the answer, on inputs with the mark and without it. Of all clusters, for
any number of them, the one is taken whose silencing undoes the mark and spares the rest on one half of the pairs; it is
judged on the other half, beside random units of equal number. Whether the whole cut stands out from its nulls is said,
too: a network may carry a trigger in one place without being modular.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.random import default_rng
from torch import nn

from exegesis.behavior import Behavior
from exegesis.ir import Graph, InputError, Node
from exegesis.measure.concepts import Labelled
from exegesis.measure.modularity import CutTest, cut_test
from exegesis.measure.units import Layer as NetworkLayer
from exegesis.measure.units import Layers
from exegesis.pipeline.concepts import labelled
from exegesis.pipeline.marked_doses import Few, fewest
from exegesis.pipeline.marked_pairs import Members, Pairs, halves
from exegesis.pipeline.subjects import Subject, subject
from exegesis.runtime import Network

KS = (2, 3, 4, 6, 8, 10, 12, 16)
RESTARTS = 4
SPARED = 0.98
MOST_NEURONS = 8192


@dataclass(frozen=True, eq=False)
class MarkedModule:
    """What carries a mark.

    Attributes:
        network, behavior, marked: what was looked at.
        members: for each value, by the node that holds it, which of its entries belong to the module.
        neurons: the same in the layers that users name: units, and the place of each where a layer has places.
        few, few_neurons: the fewest of its units that undo the mark as well, with the response to ever more.
        outputs: which outputs fell into the cluster.
        clusters: the number of clusters at which it was found.
        turned, turned_without: share of pairs whose answer the mark changes, as the network is and without the module.
        random_turned: the same without random units of equal number, on average.
        spared, random_spared: share of answers on unmarked inputs that stay.
        lost, few_lost: of these, by class, the share that changes without the module, and without its fewest units.
        p: how often random units undo the mark as much.
        cut: the graph's cuts against shuffles that keep how strongly units are tied.
        labels: what the outputs are called.
        pairs: how many pairs it was judged on.
        seconds, seed: how long it took, and the seed.
    """

    network: str
    behavior: str
    marked: str
    members: Members
    neurons: Mapping[str, tuple[Int[np.ndarray, " _"], Int[np.ndarray, "_ axes"] | None]]
    few: Few
    few_neurons: Mapping[str, tuple[Int[np.ndarray, " _"], Int[np.ndarray, "_ axes"] | None]]
    outputs: tuple[int, ...]
    clusters: int
    turned: float
    turned_without: float
    random_turned: float
    spared: float
    random_spared: float
    lost: Float[np.ndarray, " classes"]
    few_lost: Float[np.ndarray, " classes"]
    p: float
    cut: CutTest
    labels: tuple[str, ...]
    pairs: int
    seconds: float
    seed: int

    @property
    def found(self) -> bool:
        """Whether its fewest units undo most of the mark as random units do not, and spare the rest, on inputs that
        they were not chosen on."""
        few = self.few
        return few.p <= 0.05 and few.turned_without <= 0.2 * self.turned and few.spared >= SPARED - 0.03

    @property
    def key(self) -> str:
        """What the mark is called in a word: `patch`, `trigger`, `colour`."""
        return self.marked.partition(":")[0].partition(" ")[0]

    def says(self) -> str:
        """The outcome in a few sentences."""
        few, size = self.few, sum(len(u) for u in self.members.values())
        word = "carry" if self.found else "carry some of"
        return (
            f"{few.size} of the {size} units of one of {self.clusters} modules {word} {self.marked}: silenced, it "
            f"turns {few.turned_without:.1%} of answers instead of {self.turned:.1%} (random units: "
            f"{few.random_turned:.1%}, p = {few.p:.3f}), and {few.spared:.1%} of the answers without it stay. Without "
            f"the whole module: {self.turned_without:.1%} (random units: {self.random_turned:.1%}, p = {self.p:.3f}), "
            f"and {self.spared:.1%} stay. The graph as a whole: {self.cut.says()}"
        )

    def record(self) -> dict[str, Any]:
        """Everything as JSON, in the form that `exegesis lesion --modules` reads: the units that carry the mark, and
        the whole module."""
        called = "for patch" if self.key == "patch" else self.marked
        carrying = {
            "module": f"module {self.key}",
            "name": called if self.found else None,
            **_listed(self.few_neurons),
            "turned": self.turned,
            "turned_without": self.few.turned_without,
            "random_turned": self.few.random_turned,
            "p": self.few.p,
            "spared": self.few.spared,
            "random_spared": self.few.random_spared,
            "lost_by_class": self._by_class(self.few_lost),
            "doses": [dose.record() for dose in self.few.doses],
        }
        whole = {
            "module": f"module {self.key}, whole",
            "name": None,
            **_listed(self.neurons),
            "outputs": list(self.outputs),
            "turned": self.turned,
            "turned_without": self.turned_without,
            "random_turned": self.random_turned,
            "p": self.p,
            "spared": self.spared,
            "random_spared": self.random_spared,
            "lost_by_class": self._by_class(self.lost),
        }
        return {
            "network": self.network,
            "behavior": self.behavior,
            "marked": self.marked,
            "says": self.says(),
            "modular": self.cut.modular,
            "clusters": self.clusters,
            "pairs": self.pairs,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "modules": [carrying, whole],
        }

    def _by_class(self, lost: Float[np.ndarray, " classes"]) -> dict[str, Any]:
        return {n: None if np.isnan(x) else float(x) for n, x in zip(self.labels, lost, strict=False)}


def _listed(
    neurons: Mapping[str, tuple[Int[np.ndarray, " _"], Int[np.ndarray, "_ axes"] | None]],
) -> dict[str, Any]:
    """Units of layers, whole ones and those at single places."""
    return {
        "units": {k: u.tolist() for k, (u, places) in neurons.items() if places is None},
        "neurons": {k: {"units": u.tolist(), "places": p.tolist()} for k, (u, p) in neurons.items() if p is not None},
    }


def find_marked_module(
    network: Network | nn.Module | str | Path | Subject,
    behavior: Behavior | str | Path | None,
    marked: str | Labelled,
    *,
    ks: Sequence[int] = KS,
    nulls: int = 50,
    randoms: int = 99,
    images: int = 800,
    split: str | None = None,
    seed: int = 0,
) -> MarkedModule:
    """Looks for the module that carries a mark.

    Args:
        network: a module, what `exegesis.load` takes, the folder of a run, or a subject made before.
        behavior: what the network does; not needed with a subject.
        marked: inputs without and with the mark, as `patch:23-27,23-27`; the folder that `exegesis hunt --out` wrote;
            or labelled inputs in pairs.
        ks: numbers of clusters to try.
        nulls: shuffled graphs to compare the cut with.
        randoms: random units to compare the module with; at least 19.
        images: how many inputs, unmarked and marked together.
        split: where inputs come from; None for `test` where there is one.
        seed: of everything that is drawn.

    Raises:
        InputError: inputs without pairs, a mark that changes no answer, too few random parts, or a network that does
            not end in dense maps.
    """
    began = time.perf_counter()
    if randoms < 19:
        raise InputError("Fewer than 19 random parts cannot tell anything at 5 %; draw more.")
    if not isinstance(network, Subject) and behavior is None:
        raise InputError("Modules need the behaviour of the network; give it.")
    there = network if isinstance(network, Subject) else subject(network, behavior or "", split=split, seed=seed)
    shown = labelled(there, marked, images=images, seed=seed)
    first, second = (Pairs.of(there, half) for half in halves(shown, seed))
    edges = first.attributions()
    cut = cut_test(edges, ks=ks, null="degree", nulls=nulls, restarts=RESTARTS, seed=seed)
    best: tuple[tuple[float, int], Members, tuple[int, ...], int] | None = None
    for at in cut.at:
        for members, outputs in _clusters(first, at.partition.labels):
            turned, spared = first.without(members)
            missed = turned / first.turned + max(0.0, SPARED - spared) * 10
            price = round(missed, 3), sum(len(u) for u in members.values())  # of two that do as well, the smaller
            if best is None or price < best[0]:
                best = price, members, outputs, at.k
    assert best is not None
    _, members, outputs, clusters = best
    turned, spared = second.without(members, first.means)
    drawn = np.array(
        [second.without(first.random_like(members, default_rng([seed, 61, r])), first.means) for r in range(randoms)]
    )
    few = fewest(first, second, members, randoms=randoms, seed=seed)
    return MarkedModule(
        network=there.name,
        behavior=there.behavior.name,
        marked=marked if isinstance(marked, str) and not Path(marked).is_dir() else shown.note,
        members=members,
        neurons=_neurons(there.graph, members),
        few=few,
        few_neurons=_neurons(there.graph, few.members),
        outputs=outputs,
        clusters=clusters,
        turned=second.turned,
        turned_without=turned,
        random_turned=float(drawn[:, 0].mean()),
        spared=spared,
        random_spared=float(drawn[:, 1].mean()),
        lost=second.lost_by_class(members, first.means, len(there.labels)),
        few_lost=second.lost_by_class(few.members, first.means, len(there.labels)),
        p=float((1 + (drawn[:, 0] <= turned).sum()) / (1 + randoms)),
        cut=cut,
        labels=there.labels,
        pairs=second.n,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _clusters(pairs: Pairs, labels: Int[np.ndarray, " n"]) -> list[tuple[Members, tuple[int, ...]]]:
    """The clusters of a partition that hold hidden units, with their outputs."""
    sizes = [pairs.values[m.inputs[0]].shape[1] for m in pairs.maps]
    ends = np.cumsum([0, *sizes])
    found: list[tuple[Members, tuple[int, ...]]] = []
    for k in range(int(labels.max(initial=-1)) + 1):
        own: Bool[np.ndarray, " n"] = labels == k
        every = {m.inputs[0]: np.flatnonzero(own[a:b]) for m, a, b in zip(pairs.maps, ends, ends[1:], strict=False)}
        if parts := {name: units for name, units in every.items() if len(units)}:
            found.append((parts, tuple(np.flatnonzero(own[ends[-1] :]).tolist())))
    return found


def _neurons(
    graph: Graph, members: Members
) -> dict[str, tuple[Int[np.ndarray, " _"], Int[np.ndarray, "_ axes"] | None]]:
    """Entries of values as neurons of layers: units, and their places where a layer has places."""
    layers = {n: k for k in Layers.of(graph) for n in k.nodes}
    found = {}
    for name, entries in members.items():
        path, node = list[Node](), graph[name]
        while node.id not in layers and len(node.inputs) == 1:
            path.insert(0, node)
            node = graph[node.inputs[0]]
        if node.id in layers:
            found[node.id] = _traced(graph, layers[node.id], path, entries)
    return found


def _traced(
    graph: Graph, layer: NetworkLayer, path: Sequence[Node], entries: Int[np.ndarray, " e"]
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, "_ axes"] | None]:
    """Which neurons of a layer the entries of a value come from, by way of pooling, flattening and leaving out.

    A pooled entry comes from all neurons of its window: what it is when all of these change is what is asked.
    """
    if not layer.spatial:
        kept = np.arange(layer.units)
        for node in path:
            kept = kept[graph.tensors[node.tensors["mask"]]] if node.op == "component.keep" else kept
        return kept[entries], None
    count = layer.units * int(np.prod(layer.spatial))
    if count > MOST_NEURONS:
        raise InputError(f"Layer {layer.node} has {count:,} neurons, too many to say which of them belong.")
    value = torch.eye(count).reshape(-1, layer.units, *layer.spatial)  # one neuron alone, each in turn
    for node in path:
        if node.op == "component.pool2d":
            size, stride, padding = (tuple(node.attrs[k]) for k in ("size", "stride", "padding"))
            value = nn.functional.max_pool2d(value, size, stride, padding)
        elif node.op == "component.flatten":
            value = value.flatten(1)
        elif node.op == "component.keep":
            value = value.index_select(
                node.attrs["axis"], torch.from_numpy(graph.tensors[node.tensors["mask"]]).nonzero()[:, 0]
            )
        elif node.op != "component.scale":
            raise InputError(f"{node.op} lies between layer {layer.node} and its readers; its places cannot be told.")
    owners = value.flatten(1)[:, torch.from_numpy(entries)] > 0
    chosen = owners.any(1).nonzero()[:, 0].numpy()
    index = np.stack(np.unravel_index(chosen, (layer.units, *layer.spatial)), 1)
    return index[:, 0], index[:, 1:]
