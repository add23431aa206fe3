"""A sequence network with fewer heads, fewer neurons and fewer directions of its residual stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from exegesis.ir import Array, Graph, Node
from exegesis.measure import Bench
from exegesis.measure.sensitivity import sensitivities, spread
from exegesis.passes.canonicalise.fold_norms import FoldNorms
from exegesis.passes.canonicalise.merge_constants import MergeConstants
from exegesis.passes.compressing.drop_parts import Part, parts_of, removals, without_units
from exegesis.passes.compressing.least_squares import Moments, Removal
from exegesis.passes.compressing.stream import Stream, centred, narrowed, stream_of
from exegesis.passes.manager import Setting
from exegesis.passes.raising.composed.weights import Weight, matrix, read_and_given, stages, weights_of

TOKENS = 4096  # that are fitted to


@dataclass(frozen=True, eq=False)
class Thinner:
    """A network from which heads, neurons and directions can be taken away, at any strength.

    Attributes:
        network: the lifted network with norms folded and constants merged, and RMS norms where that can be.
        fit: inputs to fit on.
        setting: as for passes.
        stream: the residual stream, or why its directions are left alone.
    """

    network: Graph
    fit: Bench
    setting: Setting
    stream: Stream | str

    @classmethod
    def of(cls, lifted: Graph, setting: Setting) -> Thinner:
        """Brings a lifted network into the form in which its parts can go; exact to float error."""
        graph = lifted
        for step in (FoldNorms(), MergeConstants()):
            if step.requires(graph) is None:
                graph = step.run(graph, setting).graph
        stream = stream_of(graph)
        if isinstance(stream, Stream):
            turned = centred(graph, stream)
            if isinstance(turned, str):
                stream = turned
            else:
                graph = turned
        return cls(graph, setting.fit.sample(TOKENS), setting, stream)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The heads and neurons that may go."""
        return parts_of(self.network)

    @cached_property
    def _felt(self) -> Mapping[str, Float[np.ndarray, "d d"]]:
        """How much outputs feel changes of what parts write, and of what is read from the stream."""
        places = self.stream.places if isinstance(self.stream, Stream) else ()
        return sensitivities(self.network, self.fit, [*(p.writer for p in self.parts), *places], seed=self.setting.seed)

    @cached_property
    def _removals(self) -> Mapping[str, Removal]:
        return removals(self.network, self.fit, self.parts, self._felt, spread(self.network, self.fit))

    def masks(self, tolerance: float) -> dict[str, Bool[np.ndarray, " units"]]:
        """By writer, which units stay when those go that cost at most so much of the outputs' variance."""
        return {p.writer: self._removals[p.writer].kept(tolerance, least=0) for p in self.parts}

    @cached_property
    def _squares(self) -> Mapping[str, Float[np.ndarray, "d d"]]:
        """Per place of the stream, the mean outer product of its values."""
        assert isinstance(self.stream, Stream)
        sums: dict[str, Array] = {}
        count = 0
        for seen, values in self.fit.each(self.network, self.stream.places):
            count += seen.scored.numel()
            for name in self.stream.places:
                x = values[name].flatten(0, -2).double().numpy()
                sums[name] = sums[name] + x.T @ x if name in sums else x.T @ x
        return {name: total / count for name, total in sums.items()}

    @cached_property
    def _directions(self) -> Float[np.ndarray, "d d"]:
        """Directions of the stream, those that the outputs feel most first.

        With C = Σ E[xxᵀ] and M = Σ E[JᵀJ] over all places that are read, these are what reads off the eigenvectors u of
        C^½ M C^½: C^-½ u.
        """
        total = sum(self._squares.values())
        felt = sum(self._felt[name] for name in self._squares)
        size, basis = np.linalg.eigh(total)
        floor = max(float(size.max()), 1e-30) * 1e-10
        root = (basis * np.sqrt(size.clip(0))) @ basis.T
        inverse = (basis * np.where(size > floor, 1 / np.sqrt(size.clip(floor)), 0)) @ basis.T
        _, order = np.linalg.eigh(root @ felt @ root)
        found: Float[np.ndarray, "d d"] = inverse @ order[:, ::-1]
        return found

    def at(self, tolerance: float, directions: int | None = None) -> Graph:
        """The network without the units that cost at most so much, and with so many directions of its stream.

        What stays makes up for what went: every map comes as close to the network's own values as what it reads
        allows. None leaves the stream as wide as it is.
        """
        graph, masks = self.network, self.masks(tolerance)
        for part in self.parts:
            graph = without_units(graph, part, masks[part.writer])
        basis = None
        if directions is not None and isinstance(self.stream, Stream) and directions < self.stream.size:
            basis = np.linalg.qr(self._directions[:, :directions])[0]
            stream = stream_of(graph)
            assert isinstance(stream, Stream)
            rest = np.eye(len(basis)) - basis @ basis.T
            energy = {n: float(np.trace(rest @ self._squares[place])) for n, place in self.stream.norms.items()}
            graph = narrowed(graph, stream, basis, energy)
        if basis is None and all(m.all() for m in masks.values()):
            return graph
        return self._refitted(graph, masks, basis)

    def _refitted(
        self, graph: Graph, masks: Mapping[str, Bool[np.ndarray, " units"]], basis: Float[np.ndarray, "d r"] | None
    ) -> Graph:
        columns = self._columns(masks)
        learned = [w for w in weights_of(graph) if graph[w.node].op != "component.embed"]
        rests: dict[str, Array] = {}
        for stage in stages(graph, learned):
            seen = read_and_given(self.fit, graph, stage)
            for where in stage:
                target = self._targets[where.node]
                if where.node in columns:
                    target = target[:, columns[where.node]]
                elif basis is not None and where.node in self._written:
                    target = target @ basis
                graph, rest = _fitted(graph, where, seen[where.node][0], target)
                if rest is not None:
                    rests[where.node] = rest
        return self._with_constants(graph, rests, basis)

    def _columns(self, masks: Mapping[str, Bool[np.ndarray, " units"]]) -> dict[str, Bool[np.ndarray, " m"]]:
        """For nodes that give units: which of their numbers are left."""
        found = {}
        for part in self.parts:
            for name in part.inside:
                node = self.network[name]
                if node.op == "component.heads":
                    found[name] = np.repeat(masks[part.writer], self.network.tensors[node.tensors["weight"]].shape[2])
                elif node.op == "component.linear":
                    found[name] = masks[part.writer]
        return found

    @cached_property
    def _written(self) -> frozenset[str]:
        return frozenset(self.stream.writers if isinstance(self.stream, Stream) else ())

    @cached_property
    def _targets(self) -> Mapping[str, Array]:
        """What every learned node of the network gives at all positions, without its bias."""
        learned = [w for w in weights_of(self.network) if self.network[w.node].op != "component.embed"]
        return {node: given for node, (_, given) in read_and_given(self.fit, self.network, learned).items()}

    def _with_constants(self, graph: Graph, rests: dict[str, Array], basis: Float[np.ndarray, "d r"] | None) -> Graph:
        """What writers no longer give on average, added to the sums that they enter."""
        for part in self.parts:
            if graph[part.writer].op == "component.constant":
                mean = self._targets[part.writer].mean(0)
                bias = self.network[part.writer].tensors.get("bias")
                mean = mean if bias is None else mean + self.network.tensors[bias]
                value = mean if basis is None else mean @ basis
                graph = graph.with_nodes(
                    graph.nodes, tensors={graph[part.writer].tensors["value"]: value.astype(np.float32)}
                )
        new = {w: _constant(graph, w) for w in rests}
        nodes: list[Node] = []
        for node in graph.nodes:
            more = tuple(new[w].id for w in rests if w in node.inputs and node.op == "component.add")
            nodes.append(replace(node, inputs=(*more, *node.inputs)) if more else node)
        tensors = {f"{w}.rest": rest.astype(np.float32) for w, rest in rests.items()}
        graph = graph.with_nodes([*nodes, *new.values()], tensors=tensors)
        merge = MergeConstants()
        return merge.run(graph, self.setting).graph if merge.requires(graph) is None else graph


def _constant(graph: Graph, writer: str) -> Node:
    name = f"{writer}.rest"
    return Node(name, "component.constant", (graph.inputs[0].id,), graph[writer].type, tensors={"value": name})


def _fitted(graph: Graph, where: Weight, read: Array, target: Array) -> tuple[Graph, Array | None]:
    """The graph with a node that comes closest to a target; and what it misses on average where it has no bias."""
    node = graph[where.node]
    plain = matrix(node, graph.tensors[where.name])
    about = _moments(read.astype(np.float64), target.astype(np.float64))
    weight = about.fitted(plain)
    rest = about.bias(weight)
    like = graph.tensors[where.name]
    stored = weight
    if node.op == "component.heads":
        heads, width, size = like.shape
        stored = weight.reshape(width, heads, size).swapaxes(0, 1)
    tensors = {where.name: np.ascontiguousarray(stored.reshape(like.shape)).astype(np.float32)}
    if node.op == "component.write":
        return graph.with_nodes(graph.nodes, tensors=tensors), rest
    name = node.tensors.get("bias", f"{node.id}.bias")
    shape = (like.shape[0], like.shape[2]) if node.op == "component.heads" else (like.shape[1],)
    before = graph.tensors[name] if name in graph.tensors else np.zeros(shape, np.float32)
    tensors[name] = (before + rest.reshape(shape)).astype(np.float32)
    nodes = [replace(n, tensors={**n.tensors, "bias": name}) if n.id == node.id else n for n in graph.nodes]
    return graph.with_nodes(nodes, tensors=tensors), None


def _moments(x: Float[np.ndarray, "n k"], z: Float[np.ndarray, "n m"]) -> Moments:
    mean_x, mean_z = x.mean(0), z.mean(0)
    x, z = x - mean_x, z - mean_z
    n = len(x)
    return Moments(mean_x, mean_z, x.T @ x / n, x.T @ z / n, (z**2).mean(0), n)
