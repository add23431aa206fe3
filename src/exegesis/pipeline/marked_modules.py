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
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.random import Generator, default_rng
from torch import Tensor, nn

from exegesis.behavior import Behavior
from exegesis.ir import Graph, InputError, Node
from exegesis.measure.concepts import Labelled
from exegesis.measure.modularity import Block, CutTest, Layer, UnitGraph, cut_test
from exegesis.measure.units import Layer as NetworkLayer
from exegesis.measure.units import Layers
from exegesis.pipeline.concepts import labelled
from exegesis.pipeline.subjects import Subject, subject
from exegesis.runtime import Executor, Network

KS = (2, 3, 4, 6, 8, 10, 12, 16)
RESTARTS = 4
SPARED = 0.98
MOST_NEURONS = 8192
Members: TypeAlias = Mapping[str, Int[np.ndarray, " _"]]  # node → entries of its value


@dataclass(frozen=True, eq=False)
class MarkedModule:
    """What carries a mark.

    Attributes:
        network, behavior, marked: what was looked at.
        members: for each value, by the node that holds it, which of its entries belong to the module.
        neurons: the same in the layers that users name: units, and the place of each where a layer has places.
        outputs: which outputs fell into the cluster.
        clusters: the number of clusters at which it was found.
        turned, turned_without: share of pairs whose answer the mark changes, as the network is and without the module.
        random_turned: the same without random units of equal number, on average.
        spared, random_spared: share of answers on unmarked inputs that stay.
        lost: of these, by class, the share that changes.
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
    outputs: tuple[int, ...]
    clusters: int
    turned: float
    turned_without: float
    random_turned: float
    spared: float
    random_spared: float
    lost: Float[np.ndarray, " classes"]
    p: float
    cut: CutTest
    labels: tuple[str, ...]
    pairs: int
    seconds: float
    seed: int

    @property
    def found(self) -> bool:
        """Whether it undoes most of the mark as random units do not, and spares the rest, on inputs it was not chosen
        on."""
        return self.p <= 0.05 and self.turned_without <= 0.2 * self.turned and self.spared >= SPARED - 0.03

    def says(self) -> str:
        """The outcome in a sentence or two."""
        size = sum(len(u) for u in self.members.values())
        word = "carries" if self.found else "carries some of"
        return (
            f"One of {self.clusters} modules, of {size} units, {word} {self.marked}: silenced, it turns "
            f"{self.turned_without:.1%} of answers instead of {self.turned:.1%} (random units: "
            f"{self.random_turned:.1%}, p = {self.p:.3f}), and {self.spared:.1%} of the answers without it stay. "
            f"The graph as a whole: {self.cut.says()}"
        )

    def record(self) -> dict[str, Any]:
        """Everything as JSON, in the form that `exegesis lesion --modules` reads."""
        whole = {k: u.tolist() for k, (u, places) in self.neurons.items() if places is None}
        single = {k: {"units": u.tolist(), "places": p.tolist()} for k, (u, p) in self.neurons.items() if p is not None}
        name = self.marked.partition(":")[0]
        module = {
            "module": f"module {name}",
            "name": f"for {name}" if self.found else None,
            "units": whole,
            "neurons": single,
            "outputs": list(self.outputs),
            "turned": self.turned,
            "turned_without": self.turned_without,
            "random_turned": self.random_turned,
            "p": self.p,
            "spared": self.spared,
            "random_spared": self.random_spared,
            "lost_by_class": {
                n: None if np.isnan(x) else float(x) for n, x in zip(self.labels, self.lost, strict=False)
            },
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
            "modules": [module],
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
        marked: inputs without and with the mark, as `patch:23-27,23-27`, or labelled inputs in pairs.
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
    first, second = (
        _Pairs.of(there, half) for half in _halves(labelled(there, marked, images=images, seed=seed), seed)
    )
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
    return MarkedModule(
        network=there.name,
        behavior=there.behavior.name,
        marked=marked if isinstance(marked, str) else marked.note,
        members=members,
        neurons=_neurons(there.graph, members),
        outputs=outputs,
        clusters=clusters,
        turned=second.turned,
        turned_without=turned,
        random_turned=float(drawn[:, 0].mean()),
        spared=spared,
        random_spared=float(drawn[:, 1].mean()),
        lost=second.lost_by_class(members, first.means, len(there.labels)),
        p=float((1 + (drawn[:, 0] <= turned).sum()) / (1 + randoms)),
        cut=cut,
        labels=there.labels,
        pairs=second.n,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _halves(found: Labelled, seed: int) -> list[Float[np.ndarray, "two n ..."]]:
    """Unmarked and marked inputs, pair by pair, of each half."""
    if found.pairs is None or len(found.attributes) != 1:
        raise InputError("A mark needs inputs in pairs, without it and with it; patch:R-R,C-C makes them.")
    shown = found.attributes[0].of == 1
    halves = []
    for rows in found.halves(seed):
        plain = rows[~shown[rows]]
        halves.append(np.stack([found.x[plain], found.x[found.pairs[plain]]]).astype(np.float32))
    return halves


@dataclass(frozen=True, eq=False)
class _Pairs:
    """A network's dense end on unmarked inputs and, after them, the same inputs marked.

    Attributes:
        graph: the program.
        maps: its last dense maps, each of which reads what the one before gives; the last gives the output.
        x: inputs, [2 n, ...].
        values: what each map reads, by node id, and the output.
        said: the answers, [2 n].
    """

    graph: Graph
    maps: tuple[Node, ...]
    x: Tensor
    values: Mapping[str, Tensor]
    said: Int[np.ndarray, " m"]

    @classmethod
    def of(cls, there: Subject, both: Float[np.ndarray, "two n ..."]) -> _Pairs:
        maps = _dense_end(there.graph)
        x = torch.from_numpy(both.reshape(-1, *both.shape[2:]))
        out = there.graph.outputs[0]
        values = Executor(there.graph).run({there.graph.inputs[0].id: x}, [*(m.inputs[0] for m in maps), out])
        pairs = cls(there.graph, maps, x, values, values[out].argmax(-1).numpy())
        if pairs.turned == 0:
            raise InputError("The mark changes no answer, so that nothing carries it to one.")
        return pairs

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.x) // 2

    @property
    def turned(self) -> float:
        """Share of pairs whose answer the mark changes."""
        return float((self.said[self.n :] != self.said[: self.n]).mean())

    @cached_property
    def means(self) -> Mapping[str, Tensor]:
        """What each map reads, on average over unmarked inputs."""
        return {m.inputs[0]: self.values[m.inputs[0]][: self.n].mean(0) for m in self.maps}

    @cached_property
    def changing(self) -> Members:
        """Which entries of what each map reads are not the same on all inputs."""
        return {m.inputs[0]: np.flatnonzero((self.values[m.inputs[0]].std(0) > 0).numpy()) for m in self.maps}

    def attributions(self) -> UnitGraph:
        """Units tied by |weight| · mean of |activation| · mean of |gradient of the answer's margin|."""
        run = Executor(self.graph)
        out = self.graph.outputs[0]
        x = self.x.clone().requires_grad_()
        found = run.run({self.graph.inputs[0].id: x}, [out, *(m.id for m in self.maps)], gradients=True)
        logits = found[out]
        margin = (logits.gather(-1, logits.argmax(-1, keepdim=True))[:, 0] - logits.mean(-1)).sum()
        slopes = torch.autograd.grad(margin, [found[m.id] for m in self.maps])
        blocks, layers = [], []
        for i, (where, slope) in enumerate(zip(self.maps, slopes, strict=True)):
            weight = np.abs(self.graph.tensors[where.tensors["weight"]].astype(np.float64)) * where.attrs.get("step", 1)
            passed = (self.values[where.inputs[0]].abs().T @ slope.abs()).numpy() / len(self.x)
            blocks.append(Block(i, i + 1, (weight * passed).astype(np.float32)))
            layers.append(Layer(where.inputs[0], len(weight), i))
        layers.append(Layer("output", blocks[-1].weights.shape[1]))
        return UnitGraph(tuple(layers), tuple(blocks), "attributions")

    def without(self, members: Members, means: Mapping[str, Tensor] | None = None) -> tuple[float, float]:
        """Share of pairs whose marked input is not answered as the unmarked one was, and of unmarked answers that
        stay, with a module at its mean."""
        said = self._said(members, means or self.means)
        plain = self.said[: self.n]
        return float((said[self.n :] != plain).mean()), float((said[: self.n] == plain).mean())

    def lost_by_class(
        self, members: Members, means: Mapping[str, Tensor], classes: int
    ) -> Float[np.ndarray, " classes"]:
        """Of unmarked inputs, the share of each answer that changes; NaN for answers that never come."""
        said, plain = self._said(members, means)[: self.n], self.said[: self.n]
        return np.array(
            [float((said != plain)[plain == c].mean()) if (plain == c).any() else np.nan for c in range(classes)]
        )

    def _said(self, members: Members, means: Mapping[str, Tensor]) -> Int[np.ndarray, " m"]:
        run, inputs = Executor(self.graph), {self.graph.inputs[0].id: self.x}
        given: dict[str, Tensor] = {}
        for where in self.maps:
            name = where.inputs[0]
            if name in members:
                held = run.run(inputs, [name], given=given)[name].clone()
                at = torch.from_numpy(members[name])
                held[:, at] = means[name][at]
                given[name] = held
        out = self.graph.outputs[0]
        said: Int[np.ndarray, " m"] = run.run(inputs, [out], given=given)[out].argmax(-1).numpy()
        return said

    def random_like(self, members: Members, rng: Generator) -> Members:
        """As many entries of the same values, of those that ever change."""
        drawn = {}
        for name, units in members.items():
            pool = self.changing[name]
            pool = pool if len(pool) >= len(units) else np.arange(self.values[name].shape[1])
            drawn[name] = np.sort(rng.choice(pool, len(units), replace=False))
        return drawn


def _dense_end(graph: Graph) -> tuple[Node, ...]:
    """The dense maps at the end of a network, from the first that reads hidden units."""
    found: list[Node] = []
    node = graph[graph.outputs[0]]
    while node.op == "component.linear" and len(node.type.axes) == 2:
        source = graph[node.inputs[0]]
        before = _map_before(graph, source)
        if before is None:
            break
        found.insert(0, node)
        node = before
    if not found:
        raise InputError(
            "The network does not end in dense maps of hidden units, in which a module could be looked for."
        )
    return tuple(found)


def _map_before(graph: Graph, node: Node) -> Node | None:
    """The map whose units a value holds, through what changes no order."""
    while node.op not in ("component.linear", "component.conv2d"):
        if len(node.inputs) != 1:
            return None
        node = graph[node.inputs[0]]
    return node


def _clusters(pairs: _Pairs, labels: Int[np.ndarray, " n"]) -> list[tuple[Members, tuple[int, ...]]]:
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
