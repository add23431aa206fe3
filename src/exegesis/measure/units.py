"""Units of any lifted network: which there are, what they do on a split, what becomes of the answers without them.

A *layer* is what a map (dense, convolution, attention head, recurrent cell) hands on, after its activation:

==========  ===========================  ==================================================================
kind        units are                    activations
==========  ===========================  ==================================================================
dense       neurons                      [n, units] ([n, units, places] where arrays are cut in patches)
conv        channels                     [n, units, height, width]
recurrent   entries of the hidden state  [n, units, steps]
heads       attention heads              [n, units, d_head]: what each head mixed, before it writes
==========  ===========================  ==================================================================

n counts answers in the order of `Units.answers`: rows of an `ArraySplit`, scored positions of a `SequenceSplit` (there
a neuron's activation is the one at that position, and a lesion takes a unit away at every position).

    units = Units.of(graph, readout, split)
    units.layers                                    # in the order of computation; units.layers[k].units etc.
    units.activations(k)                            # a layer's activations on the whole split
    units.answers, units.logits                     # untouched: [n] or [n, outputs]; [n, outputs]
    units.answers_under([Lesion({k: [3, 7]})])      # [m, n, ...], one row per lesion
    units.logits_under([Lesion({k: [3]}, "zero")])  # [m, n, outputs]
    units.kept([Lesion({0: [1], 2: [5, 6]})])       # [m]: share of answers that stay
    units.outputs_under([[Set(node, value)]])       # any interventions of the runtime, [m, n, outputs]

A lesion replaces units by zero, by their mean over the split (`mean`; per place of a picture), or by what they are on
another input (`resample`: one donor per input for all units at once, so that what units share stays together). What no
lesion touches is computed once per batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from exegesis.behavior import Answers, ArraySplit, Readout, Split
from exegesis.ir import Graph, InputError, Node
from exegesis.measure.bench import Bench, Observed
from exegesis.runtime import Ablate, Executor, Intervention, Set

Kind: TypeAlias = Literal["dense", "conv", "recurrent", "heads"]
Ablation: TypeAlias = Literal["zero", "mean", "resample"]

MAPS = ("component.linear", "component.conv2d")
AFTER = ("component.activation", "component.gate")
MAX_ELEMENTS = 1 << 21  # numbers of the widest value in one batch: 8 MiB in float32


@dataclass(frozen=True)
class Layer:
    """What one map hands on.

    Attributes:
        index: its number among the layers.
        nodes: ids of the nodes that carry it: one, or one per step of a recurrent layer.
        kind: dense, conv, recurrent or heads.
        units: how many neurons, channels or heads.
        axis: name of the unit axis in the types of the nodes.
        spatial: sizes of the axes after the units in `Units.activations`: (height, width), (steps,), (d_head,) or ().
        maps: ids of the maps that write it, as far as nothing nonlinear lies between.
    """

    index: int
    nodes: tuple[str, ...]
    kind: Kind
    units: int
    axis: str
    spatial: tuple[int, ...]
    maps: tuple[str, ...]

    @property
    def node(self) -> str:
        """The node that carries it; for a recurrent layer that of the last step."""
        return self.nodes[-1]


@dataclass(frozen=True)
class Layers(Sequence[Layer]):
    """The layers of a network in the order of computation, without its outputs."""

    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, graph: Graph) -> Layers:
        """The layers of a lifted network. Raises InputError where there are none."""
        found: list[Layer] = []
        carriers = [n for n in graph.nodes if _carries_units(n, graph)]
        for nodes in _steps(carriers, graph):
            if (layer := _layer(len(found), nodes, graph)) is not None:
                found.append(layer)
        if not found:
            raise InputError("The network has no layer of units: nothing lies between its inputs and its outputs.")
        return cls(tuple(found))

    def __getitem__(self, index: int) -> Layer:  # type: ignore[override]
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def total(self) -> int:
        """How many units there are in all layers."""
        return sum(layer.units for layer in self.layers)


def _carries_units(node: Node, graph: Graph) -> bool:
    """Whether a node is the last that says what a map hands on."""
    if node.type.kind != "real" or node.id in graph.outputs:
        return False
    readers = graph.users(node.id)
    if node.op == "component.mix" or "state" in node.attrs:
        return True
    if node.op in AFTER:
        maps = _maps_of(node.id, graph)
        if _are_repeated(maps, graph):  # inside a recurrent cell: gates are layers, their products are not
            return node.op == "component.activation"
        return not any(r.op == "component.gate" for r in readers) and bool(maps)
    plain = ("component.flatten", "component.pool2d", "component.pick", "component.scale", *MAPS)
    return node.op in MAPS and bool(readers) and all(r.op in plain for r in readers)


def _are_repeated(maps: Sequence[str], graph: Graph) -> bool:
    """Whether these maps are steps of recurrent ones, whose weights other nodes read too."""
    weights = {graph[m].tensors["weight"] for m in maps}
    return bool(weights) and any(
        n.id not in maps and n.op in MAPS and n.tensors["weight"] in weights for n in graph.nodes
    )


def _maps_of(node_id: str, graph: Graph) -> tuple[str, ...]:
    """The maps that a value comes from with no other layer between."""
    found, stack, seen = set[str](), [node_id], set[str]()
    through = (*AFTER, "component.add", "component.scale", "component.norm", "component.slice")
    while stack:
        node = graph[stack.pop()]
        if node.id in seen:
            continue
        seen.add(node.id)
        if node.op in MAPS:
            found.add(node.id)
        elif node.id == node_id or (node.op in through and node.op not in AFTER):
            stack.extend(node.inputs)
    return tuple(n.id for n in graph.nodes if n.id in found)


def _steps(nodes: Sequence[Node], graph: Graph) -> Iterator[tuple[Node, ...]]:
    """Nodes that are steps of one recurrent layer together; all others alone."""
    series: dict[tuple[object, ...], list[Node]] = {}
    for node in nodes:
        maps = _maps_of(node.id, graph)
        key: tuple[object, ...] = (node.id,)
        if "state" in node.attrs:
            key = ("state", node.attrs["state"])
        elif _are_repeated(maps, graph):
            key = ("maps", *sorted({graph[m].tensors["weight"] for m in maps}))
        series.setdefault(key, []).append(node)
    for group in series.values():
        yield tuple(group)


def _layer(index: int, nodes: tuple[Node, ...], graph: Graph) -> Layer | None:
    node = nodes[-1]
    axes = node.type.axes
    sizes = [graph.axes[a].size if a in graph.axes else int(a.removeprefix("=")) for a in axes]
    kind: Kind = "dense"
    at, spatial = len(axes) - 1, tuple[int | None, ...]()
    if node.op == "component.mix":
        kind, at, spatial = "heads", 1, (sizes[-1],)
    elif len(axes) == 4:
        kind, at, spatial = "conv", 1, tuple(sizes[2:])
    elif len(nodes) > 1 or "state" in node.attrs:
        kind, spatial = "recurrent", (len(nodes),)
    elif len(axes) == 3 and axes[1] in graph.axes and sizes[1] is not None:
        spatial = (sizes[1],)
    size = sizes[at] if at >= 1 else None
    if size is None or size < 1 or None in spatial or axes.count(axes[at]) != 1:
        return None
    known = tuple(s for s in spatial if s is not None)
    maps = tuple(dict.fromkeys(m for n in nodes for m in _maps_of(n.id, graph)))
    return Layer(index, tuple(n.id for n in nodes), kind, size, axes[at], known, maps)


@dataclass(frozen=True)
class Lesion:
    """Units that are taken away together.

    Attributes:
        units: layer number → indices of its units.
        kind: what takes their place.
        seed: decides the donors of `resample`.
    """

    units: Mapping[int, Sequence[int] | NDArray[np.integer]]
    kind: Ablation = "mean"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Units:
    """A network's layers on one split; make one with `Units.of`.

    Attributes:
        graph: the lifted network (or any program that still has its nodes).
        layers: its layers.
        bench: the split in batches, with the network's answers.
        chunk: how many rows a batch holds at most.
    """

    graph: Graph
    layers: Layers
    bench: Bench
    chunk: int
    _run: Executor = field(repr=False)

    @classmethod
    def of(
        cls,
        graph: Graph,
        readout: Readout,
        split: Split,
        *,
        max_elements: int = MAX_ELEMENTS,
        layers: Layers | None = None,
    ) -> Units:
        """Looks at a network over a split.

        Args:
            graph: the lifted network.
            readout: how its outputs are read.
            split: the inputs.
            max_elements: bounds the memory: how many numbers the widest value of a batch may hold.
            layers: which layers to look at; None: all.

        Raises:
            InputError: the network has no layers, or the split does not fit it.
        """
        found = layers or Layers.of(graph)
        widest = max(layer.units * int(np.prod(layer.spatial)) for layer in found)
        chunk = max(2, max_elements // max(1, widest))
        run = Executor(graph)
        return cls(graph, found, Bench(graph, readout, split, max_tokens=chunk), chunk, run)

    @property
    def answers(self) -> Answers:
        """What the network says, [n] (or [n, outputs] for a `sign` readout)."""
        return self.bench.answers

    @property
    def logits(self) -> Float[np.ndarray, "n outputs"]:
        """The network's outputs, [n, outputs]."""
        found: Float[np.ndarray, "n outputs"] = self.outputs_under([[]])[0]
        return found

    def activations(self, layer: int) -> Float[np.ndarray, "n units ..."]:
        """What the units of a layer are on the whole split: shapes at the head of this module."""
        here = self.layers[layer]
        parts = []
        for seen, values in self.bench.each(self.graph, here.nodes):
            parts.append(_by_answer(here, [values[n] for n in here.nodes], seen))
        return np.concatenate(parts)

    @cached_property
    def means(self) -> tuple[Mapping[str, Tensor], ...]:
        """Per layer, the mean value of each of its nodes over inputs (and positions of a sequence).

        By node id, on the axes that stay: [units], [units, height, width], or [units, 1, d_head] for heads."""
        nodes = [n for layer in self.layers for n in layer.nodes]
        sums: dict[str, Tensor] = {}
        counts = dict.fromkeys(nodes, 0)
        positions = not isinstance(self.bench.split, ArraySplit)
        for _, values in self.bench.each(self.graph, nodes):
            for layer in self.layers:
                for name in layer.nodes:
                    value = values[name].double()
                    over = [0] if not positions else [0, 2] if layer.kind == "heads" else [0, 1]
                    total = value.sum(over, keepdim=True)[0]
                    sums[name] = sums[name] + total if name in sums else total
                    counts[name] += int(np.prod([value.shape[a] for a in over]))
        return tuple({n: (sums[n] / counts[n]).float() for n in layer.nodes} for layer in self.layers)

    def interventions(self, lesion: Lesion, rows: int) -> list[Intervention]:
        """A lesion in the words of the runtime, for a batch of so many rows."""
        made: list[Intervention] = []
        for number, chosen in lesion.units.items():
            layer = self.layers[number]
            units = [int(u) for u in chosen]
            if units and (min(units) < 0 or max(units) >= layer.units):
                wrong = min(units) if min(units) < 0 else max(units)
                raise InputError(f"Layer {number} has {layer.units} units; there is no unit {wrong}.")
            for name in layer.nodes if units else ():
                index = {layer.axis: units}
                if lesion.kind == "resample" and rows > 1:
                    made.append(Ablate(name, "resample", seed=lesion.seed, index=index))
                elif lesion.kind == "zero":
                    made.append(Set(name, torch.zeros(()), index=index))
                else:  # a batch of one row has no donor either
                    made.append(Set(name, self._mean_of(layer, name, units), index=index))
        return made

    def _mean_of(self, layer: Layer, name: str, units: Sequence[int]) -> Tensor:
        """The mean of some units, as it broadcasts to their part of the value."""
        mean = self.means[layer.index][name]
        at = mean.ndim - 1 if layer.kind in ("dense", "recurrent") else 0
        return mean.index_select(at, torch.tensor(units))

    def outputs_under(self, sets: Sequence[Sequence[Intervention]]) -> Float[np.ndarray, "m n outputs"]:
        """The network's outputs at every answer under each set of interventions."""
        return np.concatenate([o for _, o in self._sweep([sets] * len(self.bench.batches))], axis=1)

    def logits_under(self, lesions: Sequence[Lesion]) -> Float[np.ndarray, "m n outputs"]:
        """The network's outputs at every answer under each lesion."""
        return np.concatenate([o for _, o in self._sweep(self._sets(lesions))], axis=1)

    def answers_under(self, lesions: Sequence[Lesion]) -> Answers:
        """What the network says under each lesion: [m, n], or [m, n, outputs] for a `sign` readout."""
        read = self.bench.readout
        parts = [np.stack([read.answers(one) for one in found]) for _, found in self._sweep(self._sets(lesions))]
        return np.concatenate(parts, axis=1)

    def kept(self, lesions: Sequence[Lesion]) -> Float[np.ndarray, " m"]:
        """Share of answers that stay as they are under each lesion."""
        same = np.zeros(len(lesions))
        for seen, found in self._sweep(self._sets(lesions)):
            same += [self.bench.readout.equal(self.bench.readout.answers(one), seen.answers).sum() for one in found]
        return same / self.bench.n

    def _sets(self, lesions: Sequence[Lesion]) -> list[list[list[Intervention]]]:
        sizes = {len(seen.scored) for seen in self.bench.batches}
        made = {rows: [self.interventions(lesion, rows) for lesion in lesions] for rows in sizes}
        return [made[len(seen.scored)] for seen in self.bench.batches]

    def _sweep(
        self, sets: Sequence[Sequence[Sequence[Intervention]]]
    ) -> Iterator[tuple[Observed, Float[np.ndarray, "m k outputs"]]]:
        """Batch by batch, the outputs at its answers under each of the sets for that batch."""
        out = self.graph.outputs[0]
        for seen, changes in zip(self.bench.batches, sets, strict=True):
            found = [
                seen.batch.at_scored(_flat(values[out].numpy(), seen))
                for values in self._run.sweep(seen.inputs, changes, [out])
            ]
            yield seen, np.stack(found) if found else np.zeros((0, len(seen.answers), 0))


def _flat(value: NDArray[np.generic], seen: Observed) -> NDArray[np.generic]:
    return value[..., None] if value.ndim == seen.scored.ndim else value


def _by_answer(layer: Layer, values: Sequence[Tensor], seen: Observed) -> NDArray[np.float32]:
    """A layer's values on one batch with one row per answer, units second."""
    value = torch.stack(list(values), -1) if layer.kind == "recurrent" else values[0]
    if seen.scored.ndim == 2:
        value = value.transpose(1, 2) if layer.kind == "heads" else value
        value = value.expand(*seen.scored.shape, *value.shape[2:])[seen.scored]
    elif layer.kind == "dense":
        value = value.movedim(-1, 1)
    found: NDArray[np.float32] = value.numpy().astype(np.float32)
    return found
